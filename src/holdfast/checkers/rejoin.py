"""Rejoin: a node that a fault took comes back by itself once the fault is healed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from holdfast.checkers.base import Evidence, Finding, Verdict
from holdfast.history.history import FaultRecord, History
from holdfast.units import NS_PER_S


@dataclass(frozen=True, slots=True)
class Rejoin:
    """Holds the time from a fault's healing until its targets follow again to a limit in seconds.

    A target has rejoined when it says itself, after the healing, that it is a standby or the primary on the newest
    timeline that any node showed by then.
    """

    limit: float

    name: ClassVar[str] = "rejoin"

    def check(self, history: History, deadline: int) -> Finding:
        """Return the longest rejoin in seconds as value. O(faults · observations).

        UNKNOWN when no healed fault had a node for a target.
        """
        shown = {seen.node for seen in history.observations if seen.source == "node"}
        times: dict[str, float | None] = {}
        for fault in history.faults:
            for target in fault.targets:
                if fault.healed_ns is not None and target in shown:
                    times[target] = _seconds(history, fault, target)
        if not times:
            return Finding(
                self.name, Verdict.UNKNOWN, "no fault took a node that could rejoin", limit=self.limit
            )
        absent = sorted(node for node, seconds in times.items() if seconds is None)
        if absent:
            evidence = tuple(
                Evidence(f"{node} was not seen to rejoin", (), {"node": node}) for node in absent
            )
            words = f"{', '.join(absent)} did not rejoin while it was watched"
            return Finding(self.name, Verdict.FAIL, words, limit=self.limit, evidence=evidence)
        longest = max(seconds for seconds in times.values() if seconds is not None)
        verdict = Verdict.PASS if longest <= self.limit else Verdict.FAIL
        words = f"{', '.join(sorted(times))} back within {longest:.3f} s of healing"
        return Finding(self.name, verdict, words, value=round(longest, 6), limit=self.limit)


def _seconds(history: History, fault: FaultRecord, node: str) -> float | None:
    healed = fault.healed_ns
    assert healed is not None
    newest = 0
    for seen in history.observations:
        newest = max(newest, seen.timeline)
        if seen.at_ns >= healed and seen.node == node and seen.role and seen.timeline == newest:
            return (seen.at_ns - healed) / NS_PER_S
    return None
