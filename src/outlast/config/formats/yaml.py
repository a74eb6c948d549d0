"""YAML 1.2, the core schema, and no more.

Values are built from parser events by hand: that gives the line of each key, sees duplicate keys, and leaves
nothing that a tag could construct. Aliases share one value; whoever copies it bounds what they unfold to.
Source: YAML 1.2.2, chapter 10.3.2 (tag resolution of the core schema).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from outlast.config.formats.base import DEPTH_MAX, INT_DIGITS_MAX, TOO_LARGE, Lines, Path, ReadError

_NULL = {"", "~", "null", "Null", "NULL"}
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)


def parse_yaml(text: str) -> tuple[object, Lines]:
    """Return the value of a YAML document and the lines of its keys; None for an empty document.

    Raises ReadError for anything that is not one YAML 1.2 document without tags.
    """
    try:
        return _Builder(YAML(typ="safe", pure=True).parse(text)).document()
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ReadError(error.problem or "is not YAML", mark.line + 1 if mark else None) from error
    except (YAMLError, ValueError) as error:
        raise ReadError(f"is not YAML: {error}".splitlines()[0]) from error


class _Builder:
    def __init__(self, events: Iterator[Event]) -> None:
        self._events = events
        self._anchors: dict[str, object] = {}
        self._lines: Lines = {}

    def document(self) -> tuple[object, Lines]:
        value: object = None
        documents = 0
        for event in self._events:
            match event:
                case StreamStartEvent() | DocumentEndEvent() | StreamEndEvent():
                    continue
                case DocumentStartEvent():
                    documents += 1
                    if documents > 1:
                        raise ReadError(
                            "holds more than one document; one file is one document", _line(event)
                        )
                case _:
                    value = self._value(event, ())
        return value, self._lines

    def _value(self, event: Event, path: Path) -> object:
        if isinstance(event, AliasEvent):
            if event.anchor not in self._anchors:
                raise ReadError(f"*{event.anchor} names no value above it", _line(event))
            return self._anchors[event.anchor]
        assert isinstance(event, NodeEvent)  # the parser's grammar leaves nothing else here
        if isinstance(event, ScalarEvent | CollectionStartEvent) and event.tag is not None:
            raise ReadError(f"tags are not used here, got {event.tag}", _line(event))
        if len(path) > DEPTH_MAX:
            raise ReadError(f"is nested deeper than {DEPTH_MAX} levels", _line(event))
        value: object
        if isinstance(event, ScalarEvent):
            value = _scalar(event)
        elif isinstance(event, MappingStartEvent):
            value = self._mapping(path)
        else:
            value = self._sequence(path)
        if event.anchor is not None:
            self._anchors[event.anchor] = value
        return value

    def _mapping(self, path: Path) -> dict[str, object]:
        mapping: dict[str, object] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            if not isinstance(event, ScalarEvent) or event.tag is not None:
                raise ReadError("a key is plain text", _line(event))
            key = event.value
            if key in mapping:
                raise ReadError(f"the key {key!r} appears twice here", _line(event))
            self._lines[(*path, key)] = _line(event)
            mapping[key] = self._value(next(self._events), (*path, key))
        return mapping

    def _sequence(self, path: Path) -> list[object]:
        items: list[object] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            item = (*path, len(items))
            self._lines[item] = _line(event)
            items.append(self._value(event, item))
        return items


def _line(event: Event) -> int:
    return int(event.start_mark.line) + 1


def _scalar(event: ScalarEvent) -> object:
    """Return the value of a scalar: text when it is quoted or a block, else what the core schema says."""
    text: str = event.value
    plain = event.implicit[0]
    if not plain:
        return text
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        if len(text) > INT_DIGITS_MAX:
            raise ReadError(TOO_LARGE, _line(event))
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text
