"""DBCop's histories: ``history.bincode`` (Rust's bincode of sessions of transactions of events), or the same as JSON.

An event that did not succeed in a transaction that did: its write did not happen. A transaction without success was
aborted. A read of 0 where nobody wrote 0 is one of the initial state. Sources: dbcop's db/history.rs, PolySI's
DBCopHistoryLoader.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from outlast.errors import HistoryError
from outlast.history.formats.binary import Bytes
from outlast.history.formats.files import open_bytes, unreadable
from outlast.history.formats.sessions import SessionTxn, session_ops
from outlast.history.op import Ops, Outcome

FILE: Final = "history.bincode"
_COUNT: Final = struct.Struct("<Q")
_FLAG: Final = struct.Struct("<B")
_EVENT: Final = struct.Struct("<BQQB")
_PARAMS: Final = 5
_LENGTH_MAX: Final = 1 << 24
"""Events of a transaction, and bytes of a text: a greater count is no count."""

_Event = tuple[int, Any, Any, int]
"""Whether it writes, variable, value, whether it succeeded."""


def read_dbcop(path: Path) -> Ops:
    """Return the transactions of a history. path: the file, or the folder that holds it.

    Raises HistoryError, naming the byte, for a file that is cut short or holds what is no history. O(length).
    """
    path = path / FILE if path.is_dir() else path
    with unreadable(str(path)), open_bytes(path) as stream:
        first = stream.read(1)
        stream.seek(0)
        sessions = _from_json(stream, str(path)) if first == b"{" else _from_bincode(stream, str(path))
        return session_ops(_transactions(sessions), initial=0)


def _transactions(source: Iterator[tuple[int, list[_Event], int]]) -> Iterator[SessionTxn]:
    for session, events, success in source:
        mops = [["w" if write else "r", key, value] for write, key, value, done in events if done]
        yield SessionTxn(session, mops, Outcome.OK if success else Outcome.FAIL)
        lost = [["w", key, value] for write, key, value, done in events if write and not done]
        if lost:
            yield SessionTxn(session, lost, Outcome.FAIL)


def _from_bincode(stream: BinaryIO, file: str) -> Iterator[tuple[int, list[_Event], int]]:
    source = Bytes(stream, file)
    for _ in range(_PARAMS):
        source.numbers(_COUNT, "the parameters")
    for what in ("the description", "the time of the start", "the time of the end"):
        source.take(_length(source, what), what)
    (sessions,) = source.numbers(_COUNT, "the number of sessions")
    for session in range(sessions):
        (transactions,) = source.numbers(_COUNT, f"session {session}")
        for _ in range(transactions):
            what = f"a transaction of session {session}"
            data = source.take(_length(source, what) * _EVENT.size, what)
            events: list[_Event] = list(_EVENT.iter_unpack(data))
            (success,) = source.numbers(_FLAG, what)
            if success > 1 or any(event[0] > 1 or event[3] > 1 for event in events):
                raise source.error(f"{what} has a flag that is neither 0 nor 1")
            yield session, events, success
    if source.take_one():
        raise source.error("bytes after the last session")


def _length(source: Bytes, what: str) -> int:
    (count,) = source.numbers(_COUNT, what)
    if count > _LENGTH_MAX:
        raise source.error(f"{what} has a length of {count}")
    return int(count)


def _from_json(stream: BinaryIO, file: str) -> Iterator[tuple[int, list[_Event], int]]:
    try:
        document = json.load(stream)
        for session, transactions in enumerate(document["data"]):
            for txn in transactions:
                events = [
                    (event["write"], event["variable"], event["value"], event["success"])
                    for event in txn["events"]
                ]
                yield session, events, txn["success"]
    except json.JSONDecodeError as error:
        raise HistoryError(f"no JSON: {error.msg}", file=file, line=error.lineno) from None
    except (KeyError, TypeError) as error:
        raise HistoryError(f"is no history of DBCop: {type(error).__name__}: {error}", file=file) from None
