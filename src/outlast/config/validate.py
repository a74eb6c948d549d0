"""From a document to a model, and from pydantic's errors to the one that a person reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TypeVar, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from outlast.config.document import Document, did_you_mean, kind_of
from outlast.config.formats.base import Path
from outlast.errors import ConfigError

Model = TypeVar("Model")


def validate(kind: type[Model], document: Document) -> Model:
    """Return the model that a document describes. A key without a value takes its default.

    Raises ConfigError for the fault that stands first in the document.
    """
    data = {key: value for key, value in document.data.items() if value is not None}
    try:
        return TypeAdapter(kind).validate_python(data, by_alias=True, by_name=False)
    except ValidationError as error:
        faults = [_Fault(detail, kind) for detail in error.errors(include_url=False)]
        first = min(faults, key=lambda fault: document.place(fault.path).line or 0)
        raise first.error(document) from error


def settings_of(kind: type) -> dict[str, FieldInfo]:
    """Return a model's fields by the key that a person writes."""
    fields: dict[str, FieldInfo] = kind.__pydantic_fields__  # type: ignore[attr-defined]
    return {_key(name, field): field for name, field in fields.items()}


def _key(name: str, field: FieldInfo) -> str:
    return field.validation_alias if isinstance(field.validation_alias, str) else name


class _Fault:
    """One of pydantic's errors, with the path it really means."""

    def __init__(self, detail: ErrorDetails, kind: type) -> None:
        self._detail = detail
        self._kind = kind
        inner = detail.get("ctx", {}).get("path", [])
        self.path: Path = (*(part for part in detail["loc"] if part != "[key]"), *inner)

    def error(self, document: Document) -> ConfigError:
        message, hint = self._words()
        return document.error(message, self.path, hint=hint)

    def _words(self) -> tuple[str, str | None]:
        context = self._detail.get("ctx", {})
        got = kind_of(self._detail["input"])
        match self._detail["type"]:
            case "config":
                return context["message"], context["hint"]
            case "value_error":
                return str(context["error"]), None
            case "unexpected_keyword_argument":
                parent = _model_at(self._kind, self.path[:-1])
                known = tuple(settings_of(parent)) if parent else ()
                return "is not a setting", did_you_mean(str(self.path[-1]), known)
            case "missing" | "missing_argument":
                return "is required", None
            case "literal_error":
                word = self._detail["input"]
                choices = tuple(context["expected"].replace(" or ", ", ").replace("'", "").split(", "))
                hint = did_you_mean(word, choices) if isinstance(word, str) else None
                return f"must be one of {', '.join(choices)}, got {got}", hint
            case "dataclass_type" | "dict_type" | "mapping_type":
                return f"must be a mapping, got {got}", None
            case "tuple_type" | "list_type":
                return f"must be a list, got {got}", None
            case "string_type":
                return f"must be text, got {got}", None
        return f"{self._detail['msg'][:1].lower()}{self._detail['msg'][1:]}, got {got}", None


def _model_at(kind: type, path: Path) -> type | None:
    """Return the model that a path leads to, following annotations; None where settings are free."""
    here: type | None = kind
    for part in path:
        if isinstance(part, int) or here is None:
            continue
        field = settings_of(here).get(part)
        if field is None:  # a name chosen by the person, as in workload.NAME
            continue
        here = next(_models_in(field.annotation), None)
    return here


def _models_in(annotation: object) -> Iterator[type]:
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
