"""Plume's text, which PolySI, IsoVista and AWDIT read and write too: ``r(key,value,session,transaction)`` a line.

A transaction −1 is one that was aborted: its writes did not happen, its reads say nothing. A read of 0 where nobody
wrote 0 is one of the initial state. Sources: PolySI's TextHistoryLoader, AWDIT's formats.rs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from outlast.errors import HistoryError
from outlast.history.formats.sessions import SessionTxn, session_ops
from outlast.history.op import Ops, Outcome

_LINE: Final = re.compile(r"\s*([rw])\(\s*(-?\d+)\s*,\s*(-?\d+)\s*,\s*(-?\d+)\s*,\s*(-?\d+)\s*\)\s*")
_ABORTED: Final = "-1"


def read_plume(lines: Iterable[str], file: str | None = None) -> Ops:
    """Return the transactions of a history in Plume's text. Raises HistoryError, naming the line. O(length)."""
    known: dict[tuple[str, str], SessionTxn] = {}
    aborted: list[SessionTxn] = []
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line)
        if match is None:
            if not line.strip():
                continue
            shown = repr(line.strip()[:60])
            raise HistoryError(
                f"not r(key,value,session,txn) or w(key,value,session,txn): {shown}", file=file, line=number
            )
        f, key, value, session, name = match.groups()
        mop = [f, int(key), int(value)]
        if name == _ABORTED:
            if f == "w":
                aborted.append(SessionTxn(int(session), [mop], Outcome.FAIL))
            continue
        txn = known.get((session, name))
        if txn is None:
            txn = known[session, name] = SessionTxn(int(session))
        txn.mops.append(mop)
    return session_ops([*known.values(), *aborted], initial=0)
