"""A counter's reads lie between what was surely added and what may have been. Source: Jepsen checker.clj, counter."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.values import acked, attempted, each_key, nothing_to_judge, value_of
from outlast.errors import HistoryError
from outlast.history.history import JSON, History
from outlast.history.op import I64, Ops, Outcome

_ADDS = ("add", "increment", "inc", "decrement", "dec")


@dataclass(frozen=True, slots=True)
class CounterBounds:
    """Every read of a counter is possible, given the adds around it. Negative amounts are fine.

    initial: what the counter holds before the history begins.
    """

    initial: int = 0

    @property
    def name(self) -> str:
        """``counter_bounds``."""
        return "counter_bounds"

    def check(self, history: History, deadline: int) -> Finding:
        """Judge history. The deadline is not needed. Raises HistoryError for amounts that are no integers.

        O(n log n).
        """
        ops = history.ops
        if (nothing := nothing_to_judge(self.name, ops)) is not None:
            return nothing
        wrong: list[_Wrong] = []
        reads = acked(ops, "read")
        adds = dict(each_key(ops, attempted(ops, *_ADDS)))
        none = np.zeros(0, dtype=np.int64)
        for key, members in each_key(ops, reads):
            wrong += _outside(ops, adds.get(key, none), members, self.initial)
        if not wrong:
            return Finding(
                self.name, Verdict.PASS, f"{len(reads)} reads, all within bounds", value=0, limit=0
            )
        evidence = tuple(
            Evidence(
                f"op {read} read {value}; between {low} and {high} was possible",
                ops=(read,),
                details={"value": value, "low": low, "high": high},
            )
            for read, value, low, high in wrong[:8]
        )
        return Finding(
            self.name,
            Verdict.FAIL,
            f"{len(wrong)} of {len(reads)} reads are out of bounds: {evidence[0].message}",
            value=len(wrong),
            limit=0,
            anomalies={"out-of-bounds": len(wrong)},
            evidence=evidence,
        )


def _amounts(ops: Ops, adds: I64) -> list[int]:
    """Return what each add adds; 1 where it says nothing, and less for decrements. O(n)."""
    changes = []
    for index in adds.tolist():
        value = value_of(ops, index)
        if value is not None and type(value) is not int:
            raise HistoryError(f"op {index} adds {value!r}, which is no integer")
        amount = 1 if value is None else value
        changes.append(-amount if ops.f_names[ops.f[index]] in ("decrement", "dec") else amount)
    return changes


_Wrong = tuple[int, JSON, int, int]
"""(read, what it read, the lowest value that was possible, the highest)."""


def _outside(ops: Ops, adds: I64, reads: I64, initial: int) -> list[_Wrong]:
    """Return the reads of one counter that are outside their bounds."""
    amount = _amounts(ops, adds)
    ok = [op for op, outcome in enumerate(ops.outcome[adds].tolist()) if outcome == int(Outcome.OK)]
    sure = _SumUntil(ops.complete_pos[adds[ok]].tolist(), [amount[place] for place in ok])
    maybe = _SumUntil(ops.invoke_pos[adds].tolist(), amount)
    violations: list[_Wrong] = []
    for read in reads.tolist():
        value = value_of(ops, read)
        if value is None:
            continue
        acked_up, acked_down = sure.at(int(ops.invoke_pos[read]))
        begun_up, begun_down = maybe.at(int(ops.complete_pos[read]))
        low, high = initial + acked_up + begun_down, initial + begun_up + acked_down
        if type(value) is not int or not low <= value <= high:
            violations.append((read, value, low, high))
    return violations


class _SumUntil:
    """Sums of positive and of negative amounts up to a position: Python's integers, which have no end."""

    def __init__(self, positions: list[int], amount: list[int]) -> None:
        in_time = sorted(zip(positions, amount, strict=True))
        self.positions = [position for position, _ in in_time]
        self.up = list(accumulate((max(change, 0) for _, change in in_time), initial=0))
        self.down = list(accumulate((min(change, 0) for _, change in in_time), initial=0))

    def at(self, position: int) -> tuple[int, int]:
        """Return the sums of amounts whose position is smaller. O(log n)."""
        place = bisect_left(self.positions, position)
        return self.up[place], self.down[place]
