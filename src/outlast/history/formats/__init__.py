"""Reads histories in any format that we know: ours, Jepsen's, Porcupine's, etcd's, those of isolation checkers."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TextIO

from outlast.errors import HistoryError
from outlast.gc_pause import pause_gc
from outlast.history.formats.cobra import read_cobra
from outlast.history.formats.dbcop import read_dbcop
from outlast.history.formats.etcd_robustness import read_etcd_robustness
from outlast.history.formats.files import open_text, unreadable
from outlast.history.formats.guess import guess_format, guess_of
from outlast.history.formats.jepsen_edn import read_jepsen_edn
from outlast.history.formats.jepsen_txt import read_jepsen_txt
from outlast.history.formats.json_history import read_json
from outlast.history.formats.plume import read_plume
from outlast.history.formats.porcupine import read_porcupine_etcd, read_porcupine_kv
from outlast.history.history import History
from outlast.history.op import Ops

_TEXTS: Final[dict[str, Callable[[TextIO, str | None], Ops]]] = {
    "jepsen-edn": lambda stream, file: read_jepsen_edn(stream.read(), file),
    "jepsen-txt": read_jepsen_txt,
    "json": read_json,
    "porcupine-etcd": lambda stream, file: read_porcupine_etcd(stream.read(), file),
    "porcupine-kv": lambda stream, file: read_porcupine_kv(stream.read(), file),
    "plume": read_plume,
}
_PATHS: Final[dict[str, Callable[[Path, str | None], Ops]]] = {
    "etcd-robustness": read_etcd_robustness,
    "dbcop": lambda path, _: read_dbcop(path),
    "cobra": lambda path, _: read_cobra(path),
}
__all__ = ["FORMATS", "MODEL_OF", "guess_format", "read_history", "read_history_text"]

FORMATS: Final = ("outlast", *_TEXTS, *_PATHS)
"""The names that ``read_history`` knows."""
MODEL_OF: Final[Mapping[str, str]] = {
    "porcupine-etcd": "cas-register",
    "porcupine-kv": "kv",
    "etcd-robustness": "etcd",
    "plume": "rw-register",
    "dbcop": "rw-register",
    "cobra": "rw-register",
}
"""The model of formats that are made for one."""


def read_history(path: str | Path, format: str | None = None, *, model: str | None = None) -> History:
    """Return the history in a file, gzipped or not, or in a folder.

    format: one of FORMATS, None to have it guessed. model: what it is going to be judged by, for a format that says
    more than some models take. A foreign history has ops only. Raises HistoryError, naming file and line or byte, when
    the file cannot be read or makes no sense. Cost: about 2 µs an EDN token; our own store far less.
    """
    path = Path(path)
    format = guess_format(path) if format is None else format
    _check_name(format)
    if format == "outlast":
        return _read_store(path)
    with pause_gc():
        if format in _PATHS:
            return History(ops=_PATHS[format](path, model))
        with unreadable(str(path)), open_text(path) as stream:
            return History(ops=_TEXTS[format](stream, str(path)))


def read_history_text(text: str, format: str | None = None) -> tuple[History, str]:
    """Return the history in a text, and its format. Raises as read_history does, and for formats that are no text."""
    format = guess_of(text[:65536].encode()) if format is None else format
    if format is None:
        raise HistoryError("the text looks like no history that we know", hint="say its format")
    _check_name(format)
    if format not in _TEXTS:
        raise HistoryError(f"{format} is read from a file, not from a text", hint="give its path")
    with pause_gc(), unreadable(None):
        return History(ops=_TEXTS[format](io.StringIO(text), None)), format


def _check_name(format: str) -> None:
    if format not in FORMATS:
        raise HistoryError(f"there is no format {format}", hint=f"the formats are {', '.join(FORMATS)}")


def _read_store(path: Path) -> History:
    # The store needs Arrow, which takes a twentieth of a second to import; foreign histories do without.
    from importlib import import_module

    load: Callable[[Path], tuple[History, object]] = import_module("outlast.history.store").load_run
    return load(path)[0]
