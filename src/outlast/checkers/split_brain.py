"""Split brain: two nodes that both acknowledge writes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.writes import (
    EVIDENCE_MAX,
    acks_of,
    details_of,
    nothing_acknowledged,
    served,
    writes_of,
)
from outlast.history.history import History
from outlast.history.op import I64, Mask, Outcome
from outlast.units import NS_PER_S


@dataclass(frozen=True, slots=True)
class SplitBrain:
    """Looks for writes that a node on an older timeline acknowledged when a newer one already did.

    Anomalies: ``two_writers``, acks on an older timeline of ops invoked after an ack had completed on a newer
    one (strictly after: an op that was open meanwhile may have been done before); ``same_timeline``,
    timelines on which more than one node acknowledged: a copy was opened for writing without a promotion;
    ``between``, acks that name no timeline, by a node between two acks of another on one timeline: whatever their
    own timeline was, one of the two nodes was the second writer.

    A commit that its client was told of with the warning that it is local only is an ack here: the node took a write.
    """

    workload: str = "append"
    limit: float = 0.0

    name: ClassVar[str] = "split_brain"

    def check(self, history: History, deadline: int) -> Finding:
        """Return two_writers_s as value: for each older timeline and node the time from the first such op's
        invocation to the last one's ack, and for each timeline the time in which several nodes acknowledged
        on it; what overlaps is counted once.

        O(n · timelines) time, O(n) memory. INVALID when nothing was acknowledged, UNKNOWN when an ack names no
        timeline and nothing else shows two writers.
        """
        ops = history.ops
        if not acks_of(history, self.workload).any():
            return nothing_acknowledged(self.name, self.limit)
        taken = _taken(history, self.workload)
        acks = np.flatnonzero(taken & (ops.timeline > 0))
        unnamed = np.flatnonzero(acks_of(history, self.workload) & (ops.timeline <= 0))
        if not len(acks):
            return Finding(
                self.name, Verdict.UNKNOWN, "no acknowledgement names its timeline", limit=self.limit
            )
        late, newer = _late_acks(history, acks)
        shared = _shared_timelines(history, acks)
        spans = sorted([*_spans(history, late), *_overlaps(history, acks)])
        value = _covered_ns(spans) / NS_PER_S
        between = _between(history, acks, unnamed)
        counts = {"two_writers": len(late), "same_timeline": len(shared), "between": len(between)}
        # A write takes no time at all where a clock is coarse: one too many is one too many.
        failed = value > self.limit or shared or between or (len(late) and not self.limit)
        evidence = [Evidence(message, ops_) for message, ops_ in (*shared, *between[:EVIDENCE_MAX])]
        for index, other in zip(late[:EVIDENCE_MAX].tolist(), newer[:EVIDENCE_MAX].tolist(), strict=True):
            details = details_of(history, index)
            message = (
                f"{details['value']} was invoked after timeline {int(ops.timeline[other])} had acknowledged "
                f"{int(ops.value[other])}, and acknowledged {served(details)}"
            )
            evidence.append(Evidence(message, (index, other), details))
        summary = _summary(len(late), value, len(shared), len(between))
        if len(unnamed) and not failed:
            summary += f", as far as they are named: {len(unnamed)} acknowledgements name no timeline"
        return Finding(
            self.name,
            Verdict.FAIL if failed else Verdict.UNKNOWN if len(unnamed) else Verdict.PASS,
            summary,
            value=round(value, 6),
            limit=self.limit,
            anomalies={name: count for name, count in counts.items() if count},
            evidence=tuple(evidence[: 2 * EVIDENCE_MAX]),
        )


@dataclass(frozen=True, slots=True)
class TwoWriters:
    """A node that went on acknowledging on an old timeline: from its first late invocation to its last late ack."""

    node: str
    timeline: int
    start_ns: int
    end_ns: int
    ops: tuple[int, ...]


def two_writers(history: History, workload: str = "append") -> tuple[TwoWriters, ...]:
    """Return the spans in which an older timeline acknowledged beside a newer one. O(n · timelines)."""
    ops = history.ops
    acks = np.flatnonzero(_taken(history, workload) & (ops.timeline > 0))
    if not len(acks):
        return ()
    late, _ = _late_acks(history, acks)
    spans = []
    for node, timeline in sorted(
        {(int(ops.node[index]), int(ops.timeline[index])) for index in late.tolist()}
    ):
        mine = late[(ops.node[late] == node) & (ops.timeline[late] == timeline)]
        start_ns, end_ns = int(ops.invoke_ns[mine].min()), int(ops.complete_ns[mine].max())
        name = ops.node_name(int(mine[0])) or ""
        spans.append(TwoWriters(name, timeline, start_ns, end_ns, tuple(mine.tolist())))
    return tuple(spans)


def _taken(history: History, workload: str) -> Mask:
    """Return the mask of writes that a node told its client it had committed, with or without a warning."""
    return acks_of(history, workload) | (writes_of(history, workload) & history.ops.outcome_is(Outcome.LOCAL))


def _between(history: History, acks: I64, unnamed: I64) -> list[tuple[str, tuple[int, ...]]]:
    """Return the acks without a timeline that lie strictly between two acks of another node on one timeline.

    On that timeline it would be shared; on an older one the ack came late, on a newer one the other node's did.
    """
    ops = history.ops
    unnamed = unnamed[ops.node[unnamed] >= 0]
    found: dict[int, tuple[str, tuple[int, ...]]] = {}
    known = acks[ops.node[acks] >= 0]
    for number, code in sorted(set(zip(ops.timeline[known].tolist(), ops.node[known].tolist(), strict=True))):
        mine = known[(ops.timeline[known] == number) & (ops.node[known] == code)]
        first = int(mine[np.argmin(ops.complete_ns[mine])])
        last = int(mine[np.argmax(ops.invoke_ns[mine])])
        inside = (ops.invoke_ns[unnamed] > ops.complete_ns[first]) & (
            ops.complete_ns[unnamed] < ops.invoke_ns[last]
        )
        for index in unnamed[inside & (ops.node[unnamed] != code)].tolist():
            message = (
                f"{ops.node_name(index)} acknowledged {int(ops.value[index])} between {int(ops.value[first])} and "
                f"{int(ops.value[last])}, which {ops.node_names[code]} acknowledged on timeline {number}"
            )
            found.setdefault(index, (message, (index, first, last)))
    return list(found.values())


def _summary(late: int, value: float, shared: int, between: int) -> str:
    parts = []
    if value:
        parts.append(f"two writers for {value:.3f} s")
    if late:
        parts.append(f"{late} writes acknowledged on a timeline already left")
    if shared:
        parts.append(f"{shared} timelines written by more than one node")
    if between:
        parts.append(f"{between} writes acknowledged by one node while another did on one timeline")
    return "; ".join(parts) or "never two writers"


def _late_acks(history: History, acks: I64) -> tuple[I64, I64]:
    """Return the acks on older timelines that came too late, and for each the newer ack that was first."""
    ops = history.ops
    timeline = ops.timeline[acks]
    late: list[I64] = []
    newer: list[I64] = []
    first = -1
    for number in np.unique(timeline)[::-1].tolist():
        mine = acks[timeline == number]
        if first >= 0:
            after = mine[ops.invoke_ns[mine] > ops.complete_ns[first]]
            late.append(after)
            newer.append(np.full(len(after), first, dtype=np.int64))
        earliest = int(mine[np.argmin(ops.complete_ns[mine])])
        if first < 0 or ops.complete_ns[earliest] < ops.complete_ns[first]:
            first = earliest
    if not late:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    return np.concatenate(late[::-1]), np.concatenate(newer[::-1])


def _spans(history: History, late: I64) -> list[tuple[int, int]]:
    """Return the time of each (timeline, node) from its first late invocation to its last late ack."""
    ops = history.ops
    writer = ops.timeline[late].astype(np.int64) << 16 | (ops.node[late].astype(np.int64) & 0xFFFF)
    spans = []
    for code in np.unique(writer):
        mine = late[writer == code]
        spans.append((int(ops.invoke_ns[mine].min()), int(ops.complete_ns[mine].max())))
    return spans


def _overlaps(history: History, acks: I64) -> list[tuple[int, int]]:
    """Return the times in which two nodes acknowledged on one timeline, a node from its first op to its last ack."""
    ops = history.ops
    known = acks[ops.node[acks] >= 0]
    overlaps = []
    for number in np.unique(ops.timeline[known]).tolist():
        mine = known[ops.timeline[known] == number]
        nodes = [mine[ops.node[mine] == code] for code in np.unique(ops.node[mine]).tolist()]
        spans = [(int(ops.invoke_ns[node].min()), int(ops.complete_ns[node].max())) for node in nodes]
        for span, other in itertools.combinations(spans, 2):
            start, end = max(span[0], other[0]), min(span[1], other[1])
            if start < end:
                overlaps.append((start, end))
    return overlaps


def _covered_ns(spans: list[tuple[int, int]]) -> int:
    """Return the time that sorted spans cover together."""
    total, until = 0, 0
    for start, end in spans:
        total += max(0, end - max(start, until))
        until = max(until, end)
    return total


def _shared_timelines(history: History, acks: I64) -> list[tuple[str, tuple[int, ...]]]:
    """Return for each timeline with several acknowledging nodes a sentence and one op of each node."""
    ops = history.ops
    shared = []
    known = acks[ops.node[acks] >= 0]
    for number in np.unique(ops.timeline[known]).tolist():
        mine = known[ops.timeline[known] == number]
        nodes, first = np.unique(ops.node[mine], return_index=True)
        if len(nodes) > 1:
            names = " and ".join(ops.node_names[code] for code in nodes.tolist())
            indices = tuple(mine[first].tolist())
            values = ", ".join(str(int(ops.value[index])) for index in indices)
            shared.append((f"{names} both acknowledged writes on timeline {number}: {values}", indices))
    return shared
