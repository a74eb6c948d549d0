"""Promotions: nobody becomes primary but by a fault or on an operator's word; somebody does where that was promised."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.windows import fault_windows
from outlast.checkers.writes import EVIDENCE_MAX, seconds_in
from outlast.history.history import History
from outlast.units import NS_PER_S


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


@dataclass(frozen=True, slots=True)
class LeaderChanges:
    """Counts how often another node came to lead, and holds that to a lower limit: who promises a failover shows it.

    model_s: the longest outage that the system's own settings allow. A load that ended sooner after the first fault
    proves nothing of who would have taken over.
    """

    limit: int = 1
    model_s: float = 0.0

    name: ClassVar[str] = "leader_changes"

    def check(self, history: History, deadline: int) -> Finding:
        """Return their number as value, with who followed whom as evidence; UNKNOWN when no leader was observed.

        A node that leads again on a later timeline, with nobody in between, is no change. O(observations).
        """
        led: dict[tuple[int, str], int] = {}
        for seen in sorted(history.observations, key=lambda seen: seen.at_ns):
            if seen.source == "node" and seen.role == "primary":
                led.setdefault((seen.timeline, seen.node), seen.at_ns)
        if not led:
            return Finding(
                self.name, Verdict.UNKNOWN, "no leader was observed", limit=self.limit, at_least=True
            )
        order = sorted(led)
        changes = [
            (before, node, led[timeline, node])
            for (_, before), (timeline, node) in pairwise(order)
            if node != before
        ]
        verdict = Verdict.PASS if len(changes) >= self.limit else Verdict.FAIL
        said = f"{len(changes)} changes of leader, at least {self.limit} wanted"
        begun_ns = min((fault.started_ns for fault in history.faults), default=history.start_ns)
        left_s = (history.end_ns - begun_ns) / NS_PER_S
        if verdict is Verdict.FAIL and left_s < self.model_s:
            verdict = Verdict.INVALID
            said += f": the load ended {left_s:.1f} s after the first fault, and a failover may take {self.model_s:g} s"
        evidence = tuple(
            Evidence(
                f"{node} leads from {seconds_in(history, at_ns):.3f} s on, after {before}",
                (),
                {"node": node, "before": before, "at_s": round(seconds_in(history, at_ns), 3)},
            )
            for before, node, at_ns in changes[:EVIDENCE_MAX]
        )
        return Finding(
            self.name,
            verdict,
            said,
            value=len(changes),
            limit=self.limit,
            evidence=evidence,
            at_least=True,
        )
