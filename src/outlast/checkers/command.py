"""How somebody's own load program ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from outlast.checkers.base import Finding, Verdict
from outlast.checkers.values import any_of
from outlast.history.history import History
from outlast.history.op import Outcome

ENDED: Final = "command-ended"


@dataclass(frozen=True, slots=True)
class CommandEnded:
    """Passes when a program ended with 0, or was asked to end and did so. workload: whose operations it told of."""

    workload: str = "command"

    name: ClassVar[str] = "command_ended"

    def check(self, history: History, deadline: int) -> Finding:
        """Return how many of its ends were bad as value. UNKNOWN when none was recorded. O(ops)."""
        ops = history.ops
        ends = np.flatnonzero(any_of(ops, (ENDED,)))
        if not len(ends):
            return Finding(self.name, Verdict.UNKNOWN, "how the program ended is not known", limit=0)
        told = any_of(ops, (self.workload,))
        ok = int((told & ops.outcome_is(Outcome.OK)).sum())
        bad = [index for index in ends.tolist() if ops.outcome[index] != int(Outcome.OK)]
        summary = f"the program failed: {ops.error_text(bad[0])}" if bad else "the program ended as it should"
        return Finding(
            self.name,
            Verdict.FAIL if bad else Verdict.PASS,
            f"{summary}; it told of {ok} operations done and {int(told.sum()) - ok} failed",
            value=len(bad),
            limit=0,
        )
