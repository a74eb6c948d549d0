"""``--set key=value``: one key of a cluster or a drill, set from the command line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import JsonValue

from outlast.config.document import Document, Place, did_you_mean, parse_value
from outlast.config.settings import known_keys, scope_of
from outlast.errors import ConfigError

_PART = r'(?:"[^"]+"|[^".=\s]+)'
_OVERRIDE = re.compile(rf"(?P<key>{_PART}(?:\.{_PART})*)=(?P<value>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Override:
    """A parsed --set. path: the dotted key's parts. text: as it was given."""

    path: tuple[str, ...]
    value: JsonValue
    text: str

    @property
    def place(self) -> Place:
        """Return where an error about this value points."""
        return Place(f"--set {self.text}")


def parse_override(text: str) -> Override:
    """Return the override that ``key=value`` means; the value is YAML. A part with a dot in it is quoted.

    Raises ConfigError when it is not of that form, or no setting has that key.
    """
    place = f"--set {text}"
    found = _OVERRIDE.fullmatch(text)
    if found is None:
        raise ConfigError("must be key=value", file=place, hint="for example --set sync=off")
    path = tuple(part.strip('"') for part in re.findall(_PART, found["key"]))
    if scope_of(path[0]) is None:
        raise ConfigError(
            "is not a setting", file=place, key=path[0], hint=did_you_mean(path[0], known_keys())
        )
    return Override(path, parse_value(found["value"], place=place), text)


def split_overrides(texts: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the overrides of the cluster and those of the drill, for a command that takes both."""
    overrides = [parse_override(text) for text in texts]
    cluster = tuple(one.text for one in overrides if scope_of(one.path[0]) == "cluster")
    drill = tuple(one.text for one in overrides if scope_of(one.path[0]) == "drill")
    return cluster, drill


def apply_overrides(document: Document, texts: Iterable[str], *, known: Iterable[str], what: str) -> Document:
    """Return the document with the overrides set, the last one winning.

    known: the keys that this document may hold. what: its name for the error when a key is another's.
    """
    for override in map(parse_override, texts):
        if override.path[0] not in known:
            raise ConfigError(f"is not a setting of a {what}", file=override.place.file, key=override.path[0])
        document = document.with_value(override.path, override.value, override.place)
    return document
