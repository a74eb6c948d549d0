"""Promotions: nobody becomes primary but by a fault or on an operator's word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.windows import fault_windows
from outlast.checkers.writes import EVIDENCE_MAX, seconds_in
from outlast.history.history import History


@dataclass(frozen=True, slots=True)
class UnplannedPromotions:
    """Counts the nodes that took writes on a timeline of their own while no fault or act of ours was under way.

    The first primary is nobody's promotion. A node that says that it is primary on a timeline that it was seen to lead
    before is the same one.
    """

    limit: int = 0

    name: ClassVar[str] = "unplanned_promotions"

    def check(self, history: History, deadline: int) -> Finding:
        """Return their number as value; UNKNOWN when no primary was observed. O(observations + faults)."""
        windows = fault_windows(history)
        first: dict[tuple[str, int], int] = {}
        for seen in sorted(history.observations, key=lambda seen: seen.at_ns):
            if seen.source == "node" and seen.role == "primary":
                first.setdefault((seen.node, seen.timeline), seen.at_ns)
        if not first:
            return Finding(self.name, Verdict.UNKNOWN, "no primary was observed", limit=self.limit)
        began_ns = min(first.values())
        strange = [
            (node, timeline, at_ns)
            for (node, timeline), at_ns in first.items()
            if at_ns != began_ns and not any(start <= at_ns <= end for start, end in windows)
        ]
        said = f"{len(first) - 1} promotions, {len(strange)} of them unasked"
        evidence = tuple(
            Evidence(
                f"{node} took writes on timeline {timeline} from {seconds_in(history, at_ns):.3f} s on, unasked",
                (),
                {"node": node, "timeline": timeline},
            )
            for node, timeline, at_ns in strange[:EVIDENCE_MAX]
        )
        return Finding(
            self.name,
            Verdict.FAIL if len(strange) > self.limit else Verdict.PASS,
            said,
            value=len(strange),
            limit=self.limit,
            anomalies={"unplanned": len(strange)} if strange else {},
            evidence=evidence,
        )
