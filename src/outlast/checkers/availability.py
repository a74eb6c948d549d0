"""Availability: the share of operations that were acknowledged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from outlast.checkers.base import Finding, Verdict
from outlast.checkers.outage import availability
from outlast.checkers.writes import acks_of, nothing_acknowledged
from outlast.history.history import History


@dataclass(frozen=True, slots=True)
class Availability:
    """Holds the share of a workload's ops that were acknowledged to a lower limit, from 0 to 1."""

    workload: str
    limit: float

    name: ClassVar[str] = "availability"

    def check(self, history: History, deadline: int) -> Finding:
        """Return the share as value; ops that were due and could not be sent count against it. O(n)."""
        if not acks_of(history, self.workload).any():
            return nothing_acknowledged(self.name, self.limit)
        share = availability(history, self.workload)
        verdict = Verdict.PASS if share >= self.limit else Verdict.FAIL
        summary = f"{share:.3%} of ops acknowledged, at least {self.limit:.3%} wanted"
        return Finding(self.name, verdict, summary, value=round(share, 6), limit=self.limit, at_least=True)
