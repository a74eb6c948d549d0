"""A counter's reads lie between what was surely added and what may have been. Source: Jepsen checker.clj,
counter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.values import acked, attempted, each_key, nothing_to_judge, value_of
from outlast.errors import HistoryError
from outlast.history.history import History
from outlast.history.op import I64, NONE, Ops, Outcome

_ADDS = ("add", "increment", "inc", "decrement", "dec")


@dataclass(frozen=True, slots=True)
class CounterBounds:
    """Every read of a counter is possible, given the adds around it. Negative amounts are fine."""

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
        wrong: list[tuple[int, int, int, int]] = []
        reads = acked(ops, "read")
        adds = dict(each_key(ops, attempted(ops, *_ADDS)))
        none = np.zeros(0, dtype=np.int64)
        for key, members in each_key(ops, reads):
            wrong += _outside(ops, adds.get(key, none), members)
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


def amounts(ops: Ops, adds: I64) -> I64:
    """Return what each add adds; 1 where it says nothing, and less for decrements."""
    changes = []
    for index in adds.tolist():
        value = value_of(ops, index)
        if value is not None and type(value) is not int:
            raise HistoryError(f"op {index} adds {value!r}, which is no integer")
        amount = 1 if value is None else value
        changes.append(-amount if ops.f_names[ops.f[index]] in ("decrement", "dec") else amount)
    return np.array(changes, dtype=np.int64)


def _outside(ops: Ops, adds: I64, reads: I64) -> list[tuple[int, int, int, int]]:
    """Return (read, value, lowest possible, highest possible) of the reads of one counter that are
    outside."""
    amount = amounts(ops, adds)
    ok = ops.outcome[adds] == int(Outcome.OK)
    sure, maybe = _SumUntil(ops.complete_pos[adds[ok]], amount[ok]), _SumUntil(ops.invoke_pos[adds], amount)
    violations = []
    for read in reads.tolist():
        value = int(ops.value[read])
        if value == NONE:
            continue
        acked_up, acked_down = sure.at(int(ops.invoke_pos[read]))
        begun_up, begun_down = maybe.at(int(ops.complete_pos[read]))
        low, high = acked_up + begun_down, begun_up + acked_down
        if not low <= value <= high:
            violations.append((read, value, low, high))
    return violations


class _SumUntil:
    """Sums of positive and of negative amounts up to a position."""

    def __init__(self, positions: I64, amount: I64) -> None:
        order = np.argsort(positions, kind="stable")
        self.positions = positions[order]
        self.up = np.concatenate([[0], np.cumsum(np.maximum(amount[order], 0))])
        self.down = np.concatenate([[0], np.cumsum(np.minimum(amount[order], 0))])

    def at(self, position: int) -> tuple[int, int]:
        """Return the sums of amounts whose position is smaller."""
        place = int(np.searchsorted(self.positions, position))
        return int(self.up[place]), int(self.down[place])
