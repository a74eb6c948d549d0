"""Histories in JSON, as elle-cli takes them: Jepsen's events, as objects in one array or one after another.

``type`` and ``f`` are keywords there and strings here, and so are the functions of micro-operations. Keys of objects
that read as integers are integers: JSON has no others. A process called "nemesis" is no client.
Source: ligurio/elle-cli, cli.clj read-json-history.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, TextIO

from outlast.history.formats.edn import Keyword
from outlast.history.formats.jepsen_events import event_ops
from outlast.history.formats.json_values import json_values
from outlast.history.op import Ops

_KEYWORDS: Final = frozenset({"type", "f"})
_INTEGER: Final = re.compile(r"-?(0|[1-9]\d*)")
_NO_CLIENTS: Final = frozenset({"nemesis", ":nemesis"})


def read_json(stream: TextIO, file: str | None = None) -> Ops:
    """Return the client ops of a history in JSON. Raises HistoryError, naming the line. O(length)."""
    return event_ops(_events(stream, file), file)


def _events(stream: TextIO, file: str | None) -> Iterator[tuple[Any, int]]:
    for value, line in json_values(stream, file):
        yield _event(value) if isinstance(value, dict) else value, line


def _event(value: dict[str, Any]) -> dict[str, Any]:
    event: dict[str, Any] = {}
    for name, item in value.items():
        if name in _KEYWORDS and isinstance(item, str):
            event[":" + name] = Keyword(":" + item.removeprefix(":"))
        elif name == "process":
            event[":process"] = Keyword(":nemesis") if item in _NO_CLIENTS else _with_integers(item)
        else:
            event[":" + name] = _with_integers(item)
    return event


def _with_integers(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            int(key) if _INTEGER.fullmatch(key) else key: _with_integers(item) for key, item in value.items()
        }
    if isinstance(value, list):
        return [_with_integers(item) if type(item) in (list, dict) else item for item in value]
    return value
