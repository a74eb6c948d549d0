"""Cobra's logs: a folder with one binary file a client, numbers big-endian, eight bytes each.

    S id                          a transaction begins
    W write key value             it wrote; the write's number tells it from all others
    R txn write key value         it read what that write of that transaction wrote
    C id                          it committed

A transaction that has begun and not ended may have committed. A read of one of the two numbers for "nothing yet" is one
of the initial state. Timestamps, which Cobra can be told to add, are not read. Source: PolySI's CobraHistoryLoader.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from outlast.errors import HistoryError
from outlast.history.formats.binary import Bytes
from outlast.history.formats.files import open_bytes, unreadable
from outlast.history.formats.sessions import SessionTxn, session_ops
from outlast.history.op import Ops, Outcome

SUFFIX: Final = ".log"
_NOTHING_YET: Final = frozenset({0xBEBEEBEE, 0xDEADBEEF})
_ID: Final = struct.Struct(">q")
_WRITE: Final = struct.Struct(">qqq")
_READ: Final = struct.Struct(">qqqq")


def read_cobra(path: Path) -> Ops:
    """Return the transactions of a folder of logs, or of one log.

    Raises HistoryError, naming file and byte, for a log that is cut short or holds what is no record. O(length).
    """
    with unreadable(str(path)):
        logs = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
        if not logs:
            raise HistoryError(f"holds no {SUFFIX} file", file=str(path))
        return session_ops(txn for log in logs for txn in _log(log))


def _log(path: Path) -> Iterator[SessionTxn]:
    with unreadable(str(path)), open_bytes(path) as stream:
        source = Bytes(stream, str(path))
        current: SessionTxn | None = None
        number = 0
        while kind := source.take_one():
            if kind == b"S" and current is None:
                (number,) = source.numbers(_ID, "the beginning of a transaction")
                current = SessionTxn(path.name, outcome=Outcome.INFO)
            elif kind == b"C" and current is not None:
                (ended,) = source.numbers(_ID, "a commit")
                if ended != number:
                    raise source.error(f"transaction {number} is open and {ended} commits")
                current.outcome = Outcome.OK
                yield current
                current = None
            elif kind == b"W" and current is not None:
                write, key, _ = source.numbers(_WRITE, "a write")
                current.mops.append(["w", key, write])
            elif kind == b"R" and current is not None:
                _, write, key, _ = source.numbers(_READ, "a read")
                current.mops.append(["r", key, None if write in _NOTHING_YET else write])
            else:
                place = "outside of a transaction" if current is None else f"in transaction {number}"
                raise source.error(f"{kind!r} {place} is no record")
        if current is not None:
            yield current
