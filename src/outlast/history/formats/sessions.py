"""Histories that know sessions of transactions and no time: Plume's, DBCop's, Cobra's.

What happened before what is said within a session only. So all transactions overlap, and the order of a process is the
order in which its transactions begin; levels that need real time then find none to hold them to.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from outlast.history.formats.events import EventPairer
from outlast.history.op import Ops, Outcome


@dataclass(slots=True)
class SessionTxn:
    """A transaction of a session. mops: [``r`` or ``w``, key, value] each, as in ``Txns``."""

    session: Any
    mops: list[list[Any]] = field(default_factory=list)
    outcome: Outcome = Outcome.OK


def session_ops(transactions: Iterable[SessionTxn], *, initial: int | None = None) -> Ops:
    """Return the transactions as ops, in the given order within each session.

    initial: the value that says that a key was not written yet, where nobody wrote that value to it. O(n).
    """
    txns = list(transactions)
    written = {mop[1] for txn in txns for mop in txn.mops if mop[0] == "w" and mop[2] == initial is not None}
    pairer = EventPairer()
    for number, txn in enumerate(txns):
        for mop in txn.mops:
            if mop[0] == "r" and mop[2] == initial and mop[1] not in written:
                mop[2] = None
        pairer.invoke(number, "txn", None, txn.mops)
    for number, txn in enumerate(txns):
        if txn.outcome is not Outcome.INFO:
            pairer.complete(number, txn.outcome, txn.mops)
    codes = {session: code for code, session in enumerate(dict.fromkeys(txn.session for txn in txns))}
    names = {code: str(session) for session, code in codes.items() if session != code}
    process = np.array([codes[txn.session] for txn in txns], dtype=np.int32)
    return replace(pairer.ops(), process=process, process_names=names or None)
