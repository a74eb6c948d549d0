"""Outage: for how long after a fault nothing was acknowledged that lasted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.writes import (
    acks_of,
    final_values,
    found_in,
    no_final_read,
    nothing_acknowledged,
    seconds_in,
    writes_of,
)
from outlast.history.history import FaultRecord, History, NodeObservation
from outlast.units import NS_PER_S

_MANAGERS = ("manager", "dcs")


@dataclass(frozen=True, slots=True)
class Gap:
    """The longest time without a surviving ack. fault: the one that began nearest to it, or None.

    ended: False when the load ended first. detect_s, promote_s, route_s: its parts, None where the
    observations show no new primary; together they are seconds.
    """

    start_ns: int
    end_ns: int
    ended: bool
    fault: FaultRecord | None = None
    detect_s: float | None = None
    promote_s: float | None = None
    route_s: float | None = None

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end_ns - self.start_ns) / NS_PER_S


def availability(history: History, workload: str = "append") -> float:
    """Return the share of a workload's ops that were acknowledged; one due and not sent counts as an op."""
    writes = int(writes_of(history, workload).sum())
    return int(acks_of(history, workload).sum()) / writes if writes else 0.0


def longest_gap(history: History, workload: str = "append", *, lasting: bool = True) -> Gap:
    """Return the longest gap between acks that survived, from the first fault's start to the load's end.

    The start of the first fault and the end of the load bound it like acks: what came before a fault is not
    its outage, and an outage that outlasts the load is at least that long. Without faults the whole load
    counts. An ack that the final read misses ends no gap; without a final read, or with lasting off, every ack counts.
    O(n log n).
    """
    ops = history.ops
    survived = acks_of(history, workload)
    values = final_values(history, workload) if lasting else None
    if values is not None:
        survived &= found_in(values, ops.value)
    acks = np.sort(ops.complete_ns[survived])
    begin_ns = min((fault.started_ns for fault in history.faults), default=history.start_ns or int(acks[0]))
    end_ns = history.end_ns or int(acks[-1])
    inside = acks[(acks > begin_ns) & (acks < end_ns)]
    moments = np.concatenate([[begin_ns], inside, [max(begin_ns, end_ns)]])
    place = int(np.argmax(np.diff(moments)))
    gap = Gap(int(moments[place]), int(moments[place + 1]), ended=place < len(inside))
    begun = [fault for fault in history.faults if fault.started_ns < gap.end_ns]
    nearest = min(begun, key=lambda fault: abs(fault.started_ns - gap.start_ns), default=None)
    return _split(gap, nearest, history.observations)


def _split(gap: Gap, fault: FaultRecord | None, observations: Iterable[NodeObservation]) -> Gap:
    """Return the gap with its parts, as far as the observations show a new primary.

    detect: until the manager or DCS no longer shows the old primary as leader, or anyone is primary in its
    place; promote: until a node other than the old primary, or on a newer timeline, says itself that it is
    primary; route: until the first ack that survived. Observations are samples, so a moment that was sampled
    later than what must follow it is moved back to that.
    """
    ordered = sorted(observations, key=lambda seen: seen.at_ns)
    old, timeline = "", 0
    for seen in ordered:
        if seen.at_ns > gap.start_ns:
            break
        if seen.role == "primary" and seen.timeline >= timeline:
            old, timeline = seen.node, seen.timeline
    later = [seen for seen in ordered if gap.start_ns < seen.at_ns]

    def replaces(seen: NodeObservation) -> bool:
        return seen.role == "primary" and (seen.node != old or 0 < timeline < seen.timeline)

    def shows_loss(seen: NodeObservation) -> bool:
        return replaces(seen) or (seen.source in _MANAGERS and seen.node == old and seen.role != "primary")

    promoted_ns = next((seen.at_ns for seen in later if seen.source == "node" and replaces(seen)), None)
    detected_ns = next((seen.at_ns for seen in later if shows_loss(seen)), None)
    if not old or promoted_ns is None or detected_ns is None or not gap.ended:
        return Gap(gap.start_ns, gap.end_ns, gap.ended, fault)
    promoted_ns = min(promoted_ns, gap.end_ns)
    detected_ns = min(detected_ns, promoted_ns)
    return Gap(
        gap.start_ns,
        gap.end_ns,
        gap.ended,
        fault,
        detect_s=(detected_ns - gap.start_ns) / NS_PER_S,
        promote_s=(promoted_ns - detected_ns) / NS_PER_S,
        route_s=(gap.end_ns - promoted_ns) / NS_PER_S,
    )


@dataclass(frozen=True, slots=True)
class Outage:
    """Holds ``outage_s`` to a limit in seconds; without one it only measures.

    lasting: whether only acks that the final read finds count; False for loads whose values nobody can read back, or
    were deleted on purpose.
    """

    workload: str = "append"
    limit: float | None = None
    lasting: bool = True

    name: ClassVar[str] = "outage"

    def check(self, history: History, deadline: int) -> Finding:
        """Return the outage in seconds as value; its evidence has the parts and the availability. O(n log n).

        INVALID when nothing was acknowledged, UNKNOWN without a final read: an ack that is lost ends no outage.
        """
        if not self.lasting and not writes_of(history, self.workload).any():
            return Finding(self.name, Verdict.PASS, "the program told of no operations", limit=self.limit)
        if not acks_of(history, self.workload).any():
            return nothing_acknowledged(self.name, self.limit)
        if self.lasting and final_values(history, self.workload) is None:
            return no_final_read(self.name, self.limit)
        gap = longest_gap(history, self.workload, lasting=self.lasting)
        share = availability(history, self.workload)
        cause = f" after {gap.fault.fault} on {', '.join(gap.fault.targets)}" if gap.fault is not None else ""
        lasted = "" if gap.ended else ", not over when the load ended"
        what = "no acknowledgement that lasted" if self.lasting else "no acknowledgement"
        message = (
            f"{what} from {seconds_in(history, gap.start_ns):.3f} s "
            f"to {seconds_in(history, gap.end_ns):.3f} s into the load{cause}{lasted}"
        )
        return Finding(
            self.name,
            Verdict.FAIL if self.limit is not None and gap.seconds > self.limit else Verdict.PASS,
            f"out for {gap.seconds:.3f} s{cause}{lasted}; {share:.3%} of ops acknowledged",
            value=round(gap.seconds, 6),
            limit=self.limit,
            evidence=(
                Evidence(
                    message,
                    (),
                    {
                        "detect_s": gap.detect_s,
                        "promote_s": gap.promote_s,
                        "route_s": gap.route_s,
                        "availability": share,
                        "ended": gap.ended,
                    },
                ),
            ),
        )
