"""Errors that no fault explains: ops that were refused, lost or not sent while nothing was wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.values import any_of
from outlast.checkers.windows import fault_windows, outside
from outlast.checkers.writes import EVIDENCE_MAX, nothing_acknowledged, seconds_in
from outlast.history.history import History
from outlast.history.op import Outcome
from outlast.units import NS_PER_S

CLIENT_GRACE_S: Final = 1.0
"""A client that was refused during a fault tells of it when its pause is over, and then tries again."""


@dataclass(frozen=True, slots=True)
class ErrorsOutside:
    """Counts the ops of some functions that were not acknowledged and touch no fault's window, once the load has begun:
    what was due while clients still connected is nobody's error.

    name: ``read_errors`` or ``write_errors``. functions: the ops' names. An op that was under way when a fault began
    is the fault's. A window ends CLIENT_GRACE_S after the fault is healed.
    """

    name: str
    functions: tuple[str, ...]
    limit: int = 0

    def check(self, history: History, deadline: int) -> Finding:
        """Return the number of such ops as value; INVALID when none at all was acknowledged. O(ops · faults)."""
        ops = history.ops
        mine = any_of(ops, self.functions)
        ok = mine & ops.outcome_is(Outcome.OK)
        if not ok.any():
            return nothing_acknowledged(self.name, self.limit)
        bad = mine & ~ops.outcome_is(Outcome.OK) & (ops.invoke_ns >= history.start_ns)
        grace_ns = int(CLIENT_GRACE_S * NS_PER_S)
        windows = tuple((start, end + grace_ns) for start, end in fault_windows(history))
        begun = outside(ops.invoke_ns, windows)
        for start, end in windows:  # a long op may begin before a window and end after it
            begun &= ~((ops.invoke_ns < start) & (ops.complete_ns >= start) & (ops.invoke_ns < end))
        alone = np.flatnonzero(bad & begun)
        excused = int(bad.sum()) - len(alone)
        said = f"{len(alone)} of {int(mine.sum())} ops not acknowledged while no fault was under way"
        said += f"; {excused} more during faults" if excused else ""
        evidence = tuple(
            Evidence(
                f"{seconds_in(history, int(ops.invoke_ns[index])):.3f} s: {ops.error_text(index) or 'never ended'}",
                (index,),
            )
            for index in alone[:EVIDENCE_MAX].tolist()
        )
        return Finding(
            self.name,
            Verdict.FAIL if len(alone) > self.limit else Verdict.PASS,
            said,
            value=len(alone),
            limit=self.limit,
            anomalies={"errors": len(alone)} if len(alone) else {},
            evidence=evidence,
        )
