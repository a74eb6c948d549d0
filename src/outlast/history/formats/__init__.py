"""Reads histories in any format that we know: ours, Jepsen's, Porcupine's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from outlast.errors import HistoryError
from outlast.gc_pause import pause_gc
from outlast.history.formats.jepsen_edn import read_jepsen_edn
from outlast.history.formats.porcupine import read_porcupine_etcd, read_porcupine_kv
from outlast.history.history import History
from outlast.history.op import Ops

_READERS: Final[dict[str, Callable[[str, str | None], Ops]]] = {
    "jepsen-edn": read_jepsen_edn,
    "porcupine-etcd": read_porcupine_etcd,
    "porcupine-kv": read_porcupine_kv,
}
FORMATS: Final = ("outlast", *_READERS)
"""The names that ``read_history`` knows."""


def read_history(path: str | Path, format: str) -> History:
    """Return the history in a file.

    format: one of FORMATS. A foreign history has ops only. Raises HistoryError, naming file and line, when
    the file cannot be read or makes no sense. Cost: about 2 µs an EDN token; our own store far less.
    """
    if format not in FORMATS:
        raise HistoryError(f"there is no format {format}", hint=f"the formats are {', '.join(FORMATS)}")
    path = Path(path)
    if format == "outlast":
        return _read_store(path)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise HistoryError(f"not text: {error.reason} at byte {error.start}", file=str(path)) from None
    except OSError as error:
        raise HistoryError(f"cannot be read: {error.strerror}", file=str(path)) from None
    with pause_gc():
        return History(ops=_READERS[format](text, str(path)))


def _read_store(path: Path) -> History:
    # The store needs Arrow, which takes a twentieth of a second to import; foreign histories do without.
    from importlib import import_module

    load: Callable[[Path], tuple[History, object]] = import_module("outlast.history.store").load_run
    return load(path)[0]
