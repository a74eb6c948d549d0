"""What goes in must come out: elements of a queue lost, unexpected, duplicated.

An element comes out at the earliest when its enqueue was invoked. It is lost when it was acknowledged, the queue
was then seen empty (by a dequeue of nil, or a drain, that began afterwards), and it never came out. A dequeue
that crashed may have taken any one element, a drain that crashed all of them.
Source: Jepsen checker.clj, total-queue; the comparison with real time is ours.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict, deque
from collections.abc import Hashable
from dataclasses import dataclass, field

import numpy as np

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.values import any_of, each_key, list_of, nothing_to_judge, value_of
from outlast.history.history import History
from outlast.history.op import I64, NEVER, Ops, Outcome
from outlast.history.values import freeze

_SHOWN = 8


@dataclass(frozen=True, slots=True)
class TotalQueue:
    """``enqueue``, ``dequeue`` and ``drain`` balance, queue by queue.

    linearizable: whether it is a failure too when the queue was seen empty while an element was surely in it that
    came out later (``missed``).
    """

    linearizable: bool = True

    @property
    def name(self) -> str:
        """``total_queue``."""
        return "total_queue"

    def check(self, history: History, deadline: int) -> Finding:
        """Judge history. The deadline is not needed. O(n log n)."""
        ops = history.ops
        if (nothing := nothing_to_judge(self.name, ops)) is not None:
            return nothing
        chosen = np.flatnonzero(any_of(ops, ("enqueue", "dequeue", "drain")))
        anomalies: Counter[str] = Counter()
        evidence: list[Evidence] = []
        into = out = 0
        for _, members in each_key(ops, chosen):
            queue = _Queue.of(ops, members)
            into += sum(end < NEVER for ends in queue.acked.values() for end in ends)
            out += sum(len(taken) for taken in queue.out.values())
            for name, value, why, op in queue.violations():
                anomalies[name] += 1
                if anomalies[name] <= _SHOWN:
                    involved = () if op is None else (op,)
                    evidence.append(Evidence(f"{name}: {_shown(value)} {why}", ops=involved))
        guilty = [name for name in anomalies if name != "missed" or self.linearizable]
        listed = ", ".join(f"{count} {name}" for name, count in anomalies.items())
        return Finding(
            self.name,
            Verdict.FAIL if guilty else Verdict.PASS,
            f"{into} in, {out} out: {listed or 'they balance'}",
            value=anomalies["lost"],
            limit=0,
            anomalies=dict(anomalies),
            evidence=tuple(evidence),
        )


_View = tuple[int, int, int]
"""(begin, end, op) of what saw a queue empty."""

_Violation = tuple[str, Hashable, str, int | None]
"""(anomaly, element, why, op)."""


@dataclass(slots=True)
class _Queue:
    """One queue. tried, acked: by element, where its enqueues began, and ended if they were acknowledged.
    out: by element, (end, begin, op) of what took it. empty: (begin, end, op) of what saw the queue empty.
    crashed: where dequeues began whose answer never came; drains: likewise for drains."""

    tried: dict[Hashable, list[int]] = field(default_factory=lambda: defaultdict(list))
    acked: dict[Hashable, list[int]] = field(default_factory=lambda: defaultdict(list))
    out: dict[Hashable, list[tuple[int, int, int]]] = field(default_factory=lambda: defaultdict(list))
    empty: list[_View] = field(default_factory=list)
    crashed: list[int] = field(default_factory=list)
    drains: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, ops: Ops, members: I64) -> _Queue:
        queue = cls()
        ok, fail = int(Outcome.OK), int(Outcome.FAIL)
        for op in members.tolist():
            outcome, f = int(ops.outcome[op]), ops.f_names[int(ops.f[op])]
            begin, end = int(ops.invoke_pos[op]), int(ops.complete_pos[op])
            if outcome == fail:
                continue
            if f == "enqueue":
                value = freeze(value_of(ops, op))
                queue.tried[value].append(begin)
                queue.acked[value].append(end if outcome == ok else NEVER)
            elif outcome != ok:
                (queue.crashed if f == "dequeue" else queue.drains).append(begin)
            elif f == "drain":
                queue.empty.append((begin, end, op))
                for element in list_of(ops, op):
                    queue.out[freeze(element)].append((end, begin, op))
            elif (answer := value_of(ops, op)) is None:
                queue.empty.append((begin, end, op))
            else:
                queue.out[freeze(answer)].append((end, begin, op))
        if None in queue.tried:  # an element of nil is not told from an empty queue
            queue.empty = [seen for seen in queue.empty if ops.f_names[int(ops.f[seen[2]])] == "drain"]
        queue.crashed.sort()
        return queue

    def violations(self) -> list[_Violation]:
        found = [each for value, taken in self.out.items() for each in self._too_many(value, sorted(taken))]
        return found + self._missing()

    def _too_many(self, value: Hashable, taken: list[tuple[int, int, int]]) -> list[_Violation]:
        tried = sorted(self.tried.get(value, ()))
        if not tried:
            return [("unexpected", value, "came out and never went in", taken[0][2])]
        found: list[_Violation] = []
        for count, (end, _, op) in enumerate(taken, 1):
            if bisect_left(tried, end) >= count:
                continue
            if len(tried) < count:
                found.append(("duplicated", value, "came out more often than it went in", op))
            else:
                found.append(("unexpected", value, "came out before its enqueue began", op))
        return found

    def _missing(self) -> list[_Violation]:
        """Return what was surely in the queue when it was seen empty, more than crashed dequeues explain."""
        first_drain = min(self.drains, default=NEVER)
        views = sorted(view for view in self.empty if view[1] <= first_drain)
        stays = self._stays()
        if self.crashed:
            counts = _counts_over([(begin, end) for begin, end, _ in views], stays)
            views = [
                view
                for view, count in zip(views, counts, strict=True)
                if count > bisect_left(self.crashed, view[1])
            ]
        begins = [begin for begin, _, _ in views]
        # Of the views from each on, the one that ended first: the best witness against what was there till then.
        witness: list[_View] = []
        for view in reversed(views):
            witness.append(view if not witness or view[1] < witness[-1][1] else witness[-1])
        found: list[_Violation] = []
        for begin, end, value in stays:
            later = len(views) - bisect_right(begins, begin)
            if not later or witness[later - 1][1] > end:
                continue
            op = witness[later - 1][2]
            if end == NEVER:
                found.append(("lost", value, "was acknowledged and never came out", op))
            else:
                found.append(("missed", value, "was there when it was seen empty, and came out later", op))
        return found

    def _stays(self) -> list[tuple[int, int, Hashable]]:
        """Return (from, until, element): when it was surely in the queue, from its acknowledgement to what took it."""
        found = []
        for value, ends in self.acked.items():
            taken = sorted(begin for _, begin, _ in self.out.get(value, ()))
            for place, end in enumerate(sorted(ends)):
                if end < NEVER:
                    found.append((end, taken[place] if place < len(taken) else NEVER, value))
        return found


def _counts_over(views: list[tuple[int, int]], stays: list[tuple[int, int, Hashable]]) -> list[int]:
    """Return how many stays last over the whole of each view; views by begin. O(n log n), with a Fenwick tree."""
    ends = sorted({end for _, end, _ in stays})
    tree = [0] * (len(ends) + 1)
    by_begin = deque(sorted((begin, end) for begin, end, _ in stays))
    entered = 0
    counts = []
    for begin, end in views:
        while by_begin and by_begin[0][0] < begin:
            place = bisect_left(ends, by_begin.popleft()[1]) + 1
            entered += 1
            while place < len(tree):
                tree[place] += 1
                place += place & -place
        place, gone = bisect_left(ends, end), 0
        while place:
            gone += tree[place]
            place -= place & -place
        counts.append(entered - gone)
    return counts


def _shown(value: Hashable) -> str:
    return "nil" if value is None else str(value)
