"""Writes histories for other people's tools: Jepsen's EDN, elle-cli's JSON, Plume's text, Porcupine's logs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TextIO

from outlast.errors import HistoryError
from outlast.history.exports.events import write_jepsen_edn, write_json
from outlast.history.exports.plume import write_plume
from outlast.history.exports.porcupine import write_porcupine
from outlast.history.history import History

_WRITERS: Final[dict[str, Callable[[History, TextIO], tuple[str, ...]]]] = {
    "jepsen-edn": write_jepsen_edn,
    "json": write_json,
    "plume": write_plume,
    "porcupine": write_porcupine,
}
EXPORTS: Final = tuple(_WRITERS)
"""The names that ``write_history`` knows."""


def write_history(history: History, format: str, stream: TextIO) -> tuple[str, ...]:
    """Write a history's ops; return what the format cannot say, one sentence each.

    format: one of EXPORTS. Raises HistoryError for a history that the format has no words for, before anything is
    written. O(n log n).
    """
    if format not in _WRITERS:
        raise HistoryError(f"there is no format {format} to write", hint=f"formats: {', '.join(EXPORTS)}")
    return _WRITERS[format](history, stream)
