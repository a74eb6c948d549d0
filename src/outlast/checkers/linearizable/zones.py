"""Registers in which each value is written once: no search, O(n log n).

A value's ops are its write and its reads, and in any linearization nothing stands between them. Of two values A and
B, A must come first when some op of A ends before some op of B begins; the register is linearizable when no two
values must each come before the other (Gibbons and Korach's zones: two forward ones that overlap, or a backward one
inside a forward one). A compare-and-set that was served ties two values together: the one that it writes follows at
once the one that it expects. Such a chain is judged within itself, and then as one value is.

Source: Gibbons and Korach, "Testing shared memories" (SIAM J. Comput. 1997). The chains are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from outlast.checkers.linearizable.intervals import (
    Decision,
    Intervals,
    Violation,
    functions,
    intervals,
    twice,
    unheard_of,
)
from outlast.checkers.linearizable.models import Model
from outlast.history.op import I64, Mask, Ops

_ROUNDS = 64
"""Crashed compare-and-sets that explain one another are followed so far."""


def zones(model: Model, ops: Ops) -> Decision:
    """Judge registers. Decides those whose values were each written once, and never the initial one.

    A crashed write of a value that was never seen may be left out: what it did is told by nobody.
    """
    all_ops = intervals(model, ops)
    reads, cas = (np.isin(all_ops.f, functions(ops, name)) for name in ("read", "cas"))
    said = ~reads | (all_ops.acked & (all_ops.value >= 0))
    all_ops, reads, cas = all_ops.only(said), reads[said], cas[said]
    initial = all_ops.values.code(model.initial)
    registers = _Registers(all_ops, all_ops.cell(all_ops.value), all_ops.cell(all_ops.expected), ~reads)
    decided = np.ones(len(all_ops.first), dtype=np.bool_)
    decided[all_ops.key[all_ops.odd | (cas & (all_ops.expected == all_ops.value))]] = False
    test = "zones, each value written once"
    if (violation := registers.unwritten(initial, registers.ops.acked)) is not None:
        return Decision(test, np.zeros(len(ops), dtype=np.bool_), violation)
    needed, settled = registers.needed()
    decided[all_ops.key[~settled]] = False
    registers = registers.only(needed)
    decided[registers.ops.key[registers.written_twice(initial)]] = False
    registers = registers.only(decided[registers.ops.key])
    violation = registers.judge(initial)
    mask = np.zeros(len(ops), dtype=np.bool_)
    if violation is None:
        mask[all_ops.op[decided[all_ops.key]]] = True
    return Decision(test, mask, violation)


@dataclass(frozen=True, slots=True)
class _Registers:
    """cell: of the value that an op reads or writes; before: of what a cas expects, else −1; writes: mask."""

    ops: Intervals
    cell: I64
    before: I64
    writes: Mask

    def only(self, chosen: Mask) -> _Registers:
        return _Registers(self.ops.only(chosen), self.cell[chosen], self.before[chosen], self.writes[chosen])

    def seen(self, by: Mask) -> tuple[I64, I64]:
        """Return (cells, places) of what ops saw, these ones."""
        reads = np.flatnonzero(~self.writes)
        swaps = np.flatnonzero((self.before >= 0) & by)
        return np.concatenate([self.cell[reads], self.before[swaps]]), np.concatenate([reads, swaps])

    def unwritten(self, initial: int, by: Mask) -> Violation | None:
        """Return a value that these ops saw and that nobody had begun to write."""
        cells, places = self.seen(by)
        others = cells % (len(self.ops.values) + 1) != initial
        return unheard_of(self.ops, (cells[others], places[others]), self.cell, self.writes, ("saw", "wrote"))

    def needed(self) -> tuple[Mask, Mask]:
        """Return which ops happened as far as anybody saw, and which of them this is settled for."""
        keep = self.ops.acked.copy()
        settled = np.ones(len(self.ops), dtype=np.bool_)
        if keep.all():
            return keep, settled
        cells, _ = self.seen(self.ops.acked)
        maybe = np.flatnonzero(~keep)
        for _ in range(_ROUNDS):
            found = maybe[np.isin(self.cell[maybe], cells)]
            if not len(found):
                return keep, settled
            keep[found] = True
            maybe = np.flatnonzero(~keep)
            cells = self.before[found]
            cells = cells[cells >= 0]
        settled[maybe] = False
        return keep, settled

    def written_twice(self, initial: int) -> Mask:
        """Return the writes of values that another op writes too, or that were there at first."""
        at_first: Mask = self.writes & (self.cell % (len(self.ops.values) + 1) == initial)
        return at_first | twice(self.cell, self.writes)

    def judge(self, initial: int) -> Violation | None:
        """Return why values that are each written once have no order, None when they have one."""
        if not len(self.ops):
            return None
        if (violation := self.unwritten(initial, np.ones(len(self.ops), dtype=np.bool_))) is not None:
            return violation
        width = len(self.ops.values) + 1
        cells, cluster = np.unique(
            np.concatenate([self.cell, self.before[self.before >= 0]]), return_inverse=True
        )
        mine = cluster[: len(self.ops)]
        follows = np.arange(len(cells))
        swaps = np.flatnonzero(self.before >= 0)
        follows[mine[swaps]] = cluster[len(self.ops) :]
        if (violation := self._two_from_one(swaps)) is not None:
            return violation
        root, depth = _chains(follows)
        if (lost := np.flatnonzero(follows[root] != root)).size:
            place = int(swaps[np.flatnonzero(np.isin(mine[swaps], lost))[0]])
            return self._violation(
                f"op {self.ops.op[place]} belongs to a circle of compare-and-sets: each expects what another wrote",
                place,
                (),
            )
        stage = 2 * depth[mine] + ~self.writes
        if (violation := self._within(root[mine], stage)) is not None:
            return violation
        present = np.flatnonzero(cells % width == initial)
        first = self.ops.first[cells[present] // width]
        return self._between(root[mine], len(cells), root[present], first)

    def _two_from_one(self, swaps: I64) -> Violation | None:
        order = swaps[np.argsort(self.before[swaps], kind="stable")]
        again = np.flatnonzero(np.diff(self.before[order]) == 0)
        if not len(again):
            return None
        one, other = int(order[again[0]]), int(order[again[0] + 1])
        what = self.ops.name(int(self.before[one]))
        return self._violation(
            f"ops {self.ops.op[one]} and {self.ops.op[other]} both replaced {what}, which was there once",
            other,
            (int(self.ops.op[one]),),
        )

    def _within(self, block: I64, stage: I64) -> Violation | None:
        """Return an op that ended before one began that must come before it: in a chain, or a read before its write."""
        order = np.lexsort((stage, block))
        groups = np.flatnonzero(np.diff(block[order], prepend=-1) | np.diff(stage[order], prepend=-1))
        begun = np.maximum.reduceat(self.ops.begin[order], groups)
        block_of = block[order[groups]]
        size = int(self.ops.last.max()) + 2
        rank = np.cumsum(np.diff(block_of, prepend=block_of[0]) != 0)
        latest = np.maximum.accumulate(begun + rank * size) - rank * size
        bound = np.full(len(groups), -1, dtype=np.int64)
        bound[1:] = np.where(rank[1:] == rank[:-1], latest[:-1], -1)
        sizes = np.diff(np.append(groups, len(order)))
        wrong = self.ops.end[order] < np.repeat(bound, sizes)
        if not wrong.any():
            return None
        place = int(order[np.flatnonzero(wrong)[0]])
        limit = int(np.repeat(bound, sizes)[wrong][0])
        other = int(self.ops.op[np.flatnonzero(self.ops.begin == limit)[0]])
        what = self.ops.name(int(self.cell[place]))
        return self._violation(
            f"op {self.ops.op[place]} saw or wrote {what} and ended before op {other} began, "
            "which must come before it",
            place,
            (other,),
        )

    def _between(self, block: I64, blocks: int, initial: I64, first: I64) -> Violation | None:
        """Return two chains each of which must come before the other."""
        far = int(self.ops.last.max()) + 1
        ended, begun = np.full(blocks, far, dtype=np.int64), np.full(blocks, -1, dtype=np.int64)
        np.minimum.at(ended, block, self.ops.end)
        np.maximum.at(begun, block, self.ops.begin)
        ended[initial] = first
        begun[initial] = np.maximum(begun[initial], first)
        used = np.flatnonzero(begun >= 0)
        forward = used[ended[used] < begun[used]]
        forward = forward[np.argsort(ended[forward])]
        overlap = np.flatnonzero(ended[forward][1:] < np.maximum.accumulate(begun[forward])[:-1])
        if len(overlap):
            later = int(forward[overlap[0] + 1])
            earlier = forward[: overlap[0] + 1]
            return self._both_ways(block, int(earlier[np.argmax(begun[earlier])]), later, ended, begun)
        if not len(forward):
            return None
        backward = used[ended[used] >= begun[used]]
        around = np.searchsorted(ended[forward], begun[backward]) - 1
        inside = (around >= 0) & (ended[backward] < begun[forward[np.maximum(around, 0)]])
        if not inside.any():
            return None
        place = int(np.flatnonzero(inside)[0])
        return self._both_ways(block, int(forward[around[place]]), int(backward[place]), ended, begun)

    def _both_ways(self, block: I64, one: int, other: int, ended: I64, begun: I64) -> Violation:
        ops = self.ops

        def members(which: int) -> tuple[int | None, int, str]:
            ends = np.flatnonzero((block == which) & (ops.end == ended[which]))
            begins = int(np.flatnonzero((block == which) & (ops.begin == begun[which]))[0])
            return (int(ends[0]) if len(ends) else None), begins, ops.name(int(self.cell[begins]))

        first_of_one, last_of_one, value = members(one)
        first_of_other, last_of_other, between = members(other)
        since = "at first" if first_of_one is None else f"before op {ops.op[last_of_other]} began"
        others = (first_of_one, first_of_other, last_of_other)
        return self._violation(
            f"{value} was there {since}, and again in op {ops.op[last_of_one]}, "
            f"after {between} had been there; each is written once",
            last_of_one,
            tuple(dict.fromkeys(int(ops.op[each]) for each in others if each is not None)),
        )

    def _violation(self, message: str, place: int, others: tuple[int, ...]) -> Violation:
        return Violation(message, int(self.ops.op[place]), others)


def _chains(follows: I64) -> tuple[I64, I64]:
    """Return by value the first of its chain and its distance; in a circle, one that follows another."""
    root, depth = follows.copy(), (follows != np.arange(len(follows))).astype(np.int64)
    for _ in range(max(1, len(follows)).bit_length() + 1):
        further = root[root]
        if (further == root).all():
            break
        depth = depth + depth[root]
        root = further
    return root, depth
