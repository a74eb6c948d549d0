"""What a transaction checker has seen before any cycle is searched: anomalies, edges, and reasons for edges."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from outlast.checkers.base import Evidence
from outlast.history.history import JSON
from outlast.history.txn import Txns

CASES_SHOWN = 4
"""Cases of one anomaly that become evidence; all are counted."""


@dataclass(slots=True)
class Anomalies:
    """Counts by name and a few cases of each."""

    counts: dict[str, int] = field(default_factory=dict)
    cases: dict[str, list[Evidence]] = field(default_factory=dict)

    def add(self, name: str, count: int, cases: Iterable[Evidence]) -> None:
        """Note count cases of an anomaly, if there are any; cases are drawn until enough are shown."""
        if count == 0:
            return
        self.counts[name] = self.counts.get(name, 0) + count
        shown = self.cases.setdefault(name, [])
        for case in cases:
            if len(shown) >= CASES_SHOWN:
                return
            shown.append(case)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one transaction comes before another. text: with {a} and {b} for their names."""

    text: str
    details: dict[str, JSON]


Explainer = Callable[[int, int, int], Reason]
"""From (earlier transaction, later transaction, kind) to the reason for the edge."""


def case(anomaly: str, txns: Txns, members: Iterable[int], message: str, **details: JSON) -> Evidence:
    """Return a case of an anomaly as evidence. members: the transactions involved."""
    ops = tuple(int(txns.op[txn]) for txn in members)
    return Evidence(f"{anomaly}: {message}", ops=ops, details={"anomaly": anomaly, **details})


def show(txns: Txns, txn: int) -> str:
    """Return a transaction as its client wrote it: ``append x 3, r y [1 2]``."""
    parts = []
    verb = "append" if len(txns.elements) else "w"
    for mop in range(int(txns.mop_start[txn]), int(txns.mop_start[txn + 1])):
        key = txns.key_name(int(txns.key[mop]))
        if txns.is_write[mop]:
            parts.append(f"{verb} {key} {txns.value_name(int(txns.value[mop]))}")
        elif not txns.known[mop]:
            parts.append(f"r {key} ?")
        elif txns.list_start[mop + 1] > txns.list_start[mop]:
            parts.append(f"r {key} {show_list(txns, mop)}")
        else:
            parts.append(f"r {key} {txns.value_name(int(txns.value[mop]))}")
    return ", ".join(parts)


def show_list(txns: Txns, mop: int) -> str:
    """Return what a list read gave, shortened in the middle when it is long."""
    elements = [txns.value_name(element) for element in txns.list_of(mop).tolist()]
    if len(elements) > 12:
        elements = [*elements[:4], "…", *elements[-6:]]
    return f"[{' '.join(elements)}]"
