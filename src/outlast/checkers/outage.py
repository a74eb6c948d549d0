"""Outage: for how long after a fault nothing was acknowledged that lasted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

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
from outlast.history.op import I64, NEVER, Mask
from outlast.units import NS_PER_S

_MANAGERS = ("manager", "dcs")

OPEN_NS_MIN: Final = NS_PER_S // 10
"""An op that ends with the load was asked this short before: nothing is known of it, and nothing is wrong."""


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
    """Return the share of a workload's ops that were acknowledged; one due and not sent counts as an op.

    What was due before the load began, while clients still connected, does not count.
    """
    begun = history.ops.invoke_ns >= history.start_ns
    writes = int((writes_of(history, workload) & begun).sum())
    return int((acks_of(history, workload) & begun).sum()) / writes if writes else 0.0


def longest_gap(history: History, workload: str = "append", *, lasting: bool = True) -> Gap:
    """Return the longest time in which clients asked and got no ack that survived.

    It begins with the first op, open or new, that has no such ack yet, so a time in which nobody asked is no outage;
    it ends with the next ack. Nothing before the load's start or the first fault's counts. One that the load's end
    cuts off is at least that long: ``ended`` is False then. An ack that the final read misses ends no gap; without a
    final read, or with lasting off, every ack counts; with lasting off, every time counts as one in which was asked.
    O(n log n).
    """
    return max(*_gaps(history, workload, lasting), key=lambda gap: gap.seconds)


def _gaps(history: History, workload: str, lasting: bool) -> tuple[Gap, Gap]:
    """Return the longest gap that ended, and the one that the load's end cut off; of no length where there is none."""
    ops = history.ops
    writes, survived = writes_of(history, workload), acks_of(history, workload)
    values = final_values(history, workload) if lasting else None
    if values is not None:
        survived &= found_in(values, ops.value)
    acks = np.sort(ops.complete_ns[survived])
    begin_ns = history.start_ns or (int(acks[0]) if len(acks) else 0)
    begin_ns = max(begin_ns, min((fault.started_ns for fault in history.faults), default=begin_ns))
    end_ns = max(begin_ns, history.end_ns or (int(acks[-1]) if len(acks) else 0))
    inside = acks[acks > begin_ns]
    # The first ack at or after the load's end, of an op that was open then, still says when an outage was over.
    inside = inside[: int(np.searchsorted(inside, end_ns)) + 1]
    moments = np.concatenate([[begin_ns], inside])
    # A program of somebody's tells of an op when it is done: it may be asking at any time, at its own pace.
    starts = _first_asked(history, writes, moments) if lasting else moments
    pause_ns = 0 if lasting or len(acks) < 2 else 2 * int(np.median(np.diff(acks)))
    lengths = inside - np.minimum(starts[:-1], inside)
    place = int(np.argmax(lengths)) if len(lengths) else -1
    over = (int(inside[place] - lengths[place]), int(inside[place])) if place >= 0 else (begin_ns, begin_ns)
    is_open = end_ns - int(starts[-1]) >= OPEN_NS_MIN + pause_ns
    return (
        _split(Gap(*over, ended=True), history),
        _split(Gap(int(starts[-1]) if is_open else end_ns, end_ns, ended=not is_open), history),
    )


def _first_asked(history: History, writes: Mask, moments: I64) -> I64:
    """Return when it was first asked from each moment on: at once where an op is open, NEVER where none follows."""
    ops = history.ops
    invoked, completed = ops.invoke_ns[writes], ops.complete_ns[writes]
    begun = np.sort(invoked)
    ended = np.sort(
        np.where(completed == NEVER, invoked, completed)
    )  # an op whose client is gone asks no more
    after = np.searchsorted(begun, moments, side="right")
    following = np.append(begun, NEVER)[after]
    is_open = after > np.searchsorted(ended, moments, side="right")
    return np.where(is_open, moments, following)


def _split(gap: Gap, history: History) -> Gap:
    """Return the gap with the fault that began nearest to it, and its parts as far as a new primary was observed.

    detect: until the manager or DCS no longer shows the old primary as leader, or anyone is primary in its
    place; promote: until a node other than the old primary, or on a newer timeline, says itself that it is
    primary; route: until the first ack that survived. Observations are samples, so a moment that was sampled
    later than what must follow it is moved back to that.
    """
    begun = [fault for fault in history.faults if fault.started_ns < gap.end_ns]
    fault = min(begun, key=lambda fault: abs(fault.started_ns - gap.start_ns), default=None)
    ordered = sorted(history.observations, key=lambda seen: seen.at_ns)
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

        INVALID when nothing was acknowledged, UNKNOWN without a final read (an ack that is lost ends no outage) and
        for an outage within the limit that was not over when the load ended: it is a lower bound.
        """
        if not self.lasting and not writes_of(history, self.workload).any():
            return Finding(self.name, Verdict.PASS, "the program told of no operations", limit=self.limit)
        if not acks_of(history, self.workload).any():
            return nothing_acknowledged(self.name, self.limit)
        if self.lasting and final_values(history, self.workload) is None:
            return no_final_read(self.name, self.limit)
        over, cut_off = _gaps(history, self.workload, self.lasting)
        gap = max(over, cut_off, key=lambda gap: gap.seconds)
        share = availability(history, self.workload)
        cause = f" after {gap.fault.fault} on {', '.join(gap.fault.targets)}" if gap.fault is not None else ""
        lasted = "" if gap.ended else ", not over when the load ended"
        what = "no acknowledgement that lasted" if self.lasting else "no acknowledgement"
        message = (
            f"{what} from {seconds_in(history, gap.start_ns):.3f} s "
            f"to {seconds_in(history, gap.end_ns):.3f} s into the load{cause}{lasted}"
        )
        evidence = Evidence(
            message,
            (),
            {
                "detect_s": gap.detect_s,
                "promote_s": gap.promote_s,
                "route_s": gap.route_s,
                "availability": share,
                "ended": gap.ended,
                "from_s": round(seconds_in(history, gap.start_ns), 6),
                "until_s": round(seconds_in(history, gap.end_ns), 6),
            },
        )
        verdict = Verdict.PASS
        summary = f"out for {gap.seconds:.3f} s{cause}{lasted}; {share:.3%} of ops acknowledged"
        if self.limit is not None and gap.seconds > self.limit:
            verdict = Verdict.FAIL
        elif not cut_off.ended:
            verdict = Verdict.UNKNOWN
            at_least = f"at least {cut_off.seconds:.3f} s"
            summary += f"; how long the last outage is was not seen: {at_least}"
        return Finding(
            self.name,
            verdict,
            summary,
            value=round(gap.seconds, 6),
            limit=self.limit,
            evidence=(evidence,),
        )
