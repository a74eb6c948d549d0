"""The table of settings: what --set and a file may say, derived from the models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from outlast.config.cluster import ClusterSpec, PostgresqlSpec
from outlast.config.drill import DrillSpec, WorkloadSpec
from outlast.config.validate import settings_of

Scope = Literal["cluster", "drill", "workload"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One key that a person may set. default: as JSON. scope: which document it belongs to."""

    key: str
    default: JsonValue
    description: str
    scope: Scope


def settings() -> tuple[Setting, ...]:
    """Return every setting with its default, as ``outlast ls settings`` prints them."""
    return (
        *_rows(ClusterSpec, "cluster"),
        *_rows(PostgresqlSpec, "cluster", prefix="postgresql."),
        *_rows(DrillSpec, "drill"),
        *_rows(WorkloadSpec, "workload", prefix="workload.NAME."),
    )


def scope_of(key: str) -> Literal["cluster", "drill"] | None:
    """Return which document a dotted key belongs to, by its first part; None for neither.

    ``name`` is in both and means the cluster's: a drill is named by its file.
    """
    first = key.partition(".")[0]
    if first in settings_of(ClusterSpec):
        return "cluster"
    return "drill" if first in settings_of(DrillSpec) else None


def known_keys() -> tuple[str, ...]:
    """Return the first parts of all keys, the cluster's before the drill's."""
    return tuple(dict.fromkeys((*settings_of(ClusterSpec), *settings_of(DrillSpec))))


def _rows(kind: type, scope: Scope, prefix: str = "") -> Iterator[Setting]:
    for key, field in settings_of(kind).items():
        if field.description:  # a field without one is not for --set
            yield Setting(prefix + key, _default(field), field.description, scope)


def _default(field: FieldInfo) -> JsonValue:
    value: JsonValue = to_jsonable_python(field.get_default(call_default_factory=True, validated_data={}))
    return value
