"""Rejoin: a node that a fault took comes back by itself once the fault is healed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.history.history import FaultRecord, History
from outlast.units import NS_PER_S

WIRES: Final = "net_"
"""How the names of faults of the wires begin."""


@dataclass(frozen=True, slots=True)
class Rejoin:
    """Holds the time from a fault's healing until its targets follow again to a limit in seconds.

    relink_s: how long the system, by its own documentation, may take to notice after a partition that a peer's
    connection is dead and to dial anew. Faults of the wires are given that much more, and the finding says so.

    A target has rejoined when it says itself, after the healing, that it is a standby or the primary on the newest
    timeline that any node showed by then.
    """

    limit: float
    relink_s: float = 0.0

    name: ClassVar[str] = "rejoin"

    def check(self, history: History, deadline: int) -> Finding:
        """Return the longest rejoin in seconds as value. O(faults · observations).

        UNKNOWN when no healed fault had a node for a target.
        """
        shown = {seen.node for seen in history.observations if seen.source == "node"}
        times: dict[str, float | None] = {}
        wires = False
        for fault in history.faults:
            for target in fault.targets:
                if fault.healed_ns is not None and target in shown:
                    times[target] = _seconds(history, fault, target)
                    wires = wires or fault.fault.startswith(WIRES)
        limit = self.limit + (self.relink_s if wires else 0.0)
        if not times:
            return Finding(self.name, Verdict.UNKNOWN, "no fault took a node that could rejoin", limit=limit)
        absent = sorted(node for node, seconds in times.items() if seconds is None)
        if absent:
            evidence = tuple(
                Evidence(f"{node} was not seen to rejoin", (), {"node": node}) for node in absent
            )
            summary = f"{', '.join(absent)} did not rejoin while it was watched"
            return Finding(self.name, Verdict.FAIL, summary, limit=limit, evidence=evidence)
        longest = max(seconds for seconds in times.values() if seconds is not None)
        verdict = Verdict.PASS if longest <= limit else Verdict.FAIL
        summary = f"{', '.join(sorted(times))} back within {longest:.3f} s of healing"
        if limit > self.limit:
            summary += (
                f" (asked: {self.limit:g} s; the system may take {self.relink_s:g} s more to dial its peers)"
            )
        return Finding(self.name, verdict, summary, value=round(longest, 6), limit=limit)


def _seconds(history: History, fault: FaultRecord, node: str) -> float | None:
    healed = fault.healed_ns
    assert healed is not None
    newest = 0
    for seen in history.observations:
        newest = max(newest, seen.timeline)
        if seen.at_ns >= healed and seen.node == node and seen.role and seen.timeline == newest:
            return (seen.at_ns - healed) / NS_PER_S
    return None
