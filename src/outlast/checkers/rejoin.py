"""Rejoin: a node that a fault took comes back by itself once the fault is healed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.history.history import FaultRecord, History, NodeObservation
from outlast.history.op import NEVER
from outlast.units import NS_PER_S

WIRES: Final = "net_"
"""How the names of faults of the wires begin."""


@dataclass(frozen=True, slots=True)
class Rejoin:
    """Holds the time from a fault's healing until its targets follow again to a limit in seconds.

    relink_s: how long the system, by its own documentation, may take to notice after a partition that a peer's
    connection is dead and to dial anew. Faults of the wires are given that much more, and the finding says so.

    A target has rejoined when ``follows_again`` says so. A fault that the next one on the same target overtook is
    judged by that one.
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
                if fault.healed_ns is None or target not in shown:
                    continue
                seconds = _seconds(history, fault, target)
                if seconds is None and _is_hit_again(history, fault, target):
                    continue
                known = times.get(target, 0.0)
                times[target] = None if seconds is None or known is None else max(seconds, known)
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


def follows_again(
    observations: Iterable[NodeObservation], node: str, since_ns: int, until_ns: int = NEVER
) -> int | None:
    """Return when a node was first seen to follow after since_ns, or to lead; None when it was not, until until_ns.

    It follows when it is on the newest timeline that any node showed by then, and its own position moves with the
    primary's, seen twice in a row: first it has what the primary had at since_ns, then also what the primary had after
    that first sight. What a node or its primary merely says of it, such as that it streams, is no sight of anything: a
    server that is up and gets nothing says so too. O(observations).
    """
    newest, goal = 0, -1  # goal: the position to be reached, −1 while it is not known
    first: NodeObservation | None = None
    for seen in sorted(observations, key=lambda seen: seen.at_ns):
        if seen.source != "node" or seen.at_ns >= until_ns:
            continue
        if seen.timeline > newest:
            newest, goal, first = seen.timeline, -1, None
        is_current = bool(seen.role) and seen.timeline == newest
        if is_current and seen.role == "primary" and (goal < 0 or seen.at_ns <= since_ns):
            goal = seen.lsn
        if seen.node != node or seen.at_ns < since_ns:
            continue
        if not is_current:
            first = None
        elif first is None:
            if seen.role == "primary" or 0 <= goal <= seen.lsn:
                first, goal = seen, -1
        elif seen.role == "primary" or (goal <= seen.lsn if goal >= 0 else first.lsn < seen.lsn):
            return first.at_ns
    return None


def whole_again_s(history: History) -> float | None:
    """Return the seconds from the last healing until each node that was seen followed or led; None: not known.

    O(nodes · observations).
    """
    healed_ns = max(
        (fault.healed_ns for fault in history.faults if fault.healed_ns is not None), default=None
    )
    gone = history.final.removed if history.final is not None else ()
    nodes = {seen.node for seen in history.observations if seen.source == "node"} - set(gone)
    if healed_ns is None or not nodes:
        return None
    back = [follows_again(history.observations, node, healed_ns) for node in nodes]
    found = [at_ns for at_ns in back if at_ns is not None]
    return (max(found) - healed_ns) / NS_PER_S if len(found) == len(back) else None


def _seconds(history: History, fault: FaultRecord, node: str) -> float | None:
    healed = fault.healed_ns
    assert healed is not None
    until_ns = min((other.started_ns for other in _later(history, fault, node)), default=NEVER)
    back = follows_again(history.observations, node, healed, until_ns)
    return None if back is None else (back - healed) / NS_PER_S


def _is_hit_again(history: History, fault: FaultRecord, node: str) -> bool:
    return any(True for _ in _later(history, fault, node))


def _later(history: History, fault: FaultRecord, node: str) -> Iterator[FaultRecord]:
    """Yield the faults that hit the node after this one was healed."""
    assert fault.healed_ns is not None
    for other in history.faults:
        if node in other.targets and other.started_ns >= fault.healed_ns:
            yield other
