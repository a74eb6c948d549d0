"""Elements that go in once and come out once at most: what queues and stacks have in common.

An element is *surely there* from the end of the op that put it in to the beginning of the one that took it out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from outlast.checkers.linearizable.intervals import NIL, Intervals, Violation, functions, twice, unheard_of
from outlast.history.op import I64, Mask, Ops


@dataclass(frozen=True, slots=True)
class Stays:
    """The elements of all objects whose elements go in once each, and what else was done there.

    into, out: places of the ops in ops, out −1 for an element that never came out. into_begin … out_end: when;
    an element that never came out does so after all else. empties: places of the ops that were told "empty".
    crashed: places of the ops that may have taken any one element out. undecided: by object, whether its elements do
    not go in once each.
    """

    ops: Intervals
    into: I64
    out: I64
    into_begin: I64
    into_end: I64
    out_begin: I64
    out_end: I64
    empties: I64
    crashed: I64
    undecided: Mask

    @classmethod
    def of(cls, ops: Ops, all_ops: Intervals, into_name: str, out_name: str) -> Stays | Violation:
        """Return the stays, or what came out and never went in, or came out twice. O(n log n)."""
        puts = np.isin(all_ops.f, functions(ops, into_name))
        takes = ~puts & all_ops.acked
        empties = takes & (all_ops.value <= NIL)
        takes &= ~empties
        cell = all_ops.cell(all_ops.value)
        taken = np.flatnonzero(takes)
        verbs = (f"{out_name}d".replace("pd", "pped"), f"{into_name}d".replace("hd", "hed"))
        wrong = unheard_of(all_ops, (cell[taken], taken), cell, puts, verbs)
        if wrong is not None:
            return wrong
        puts_kept = puts & (all_ops.acked | np.isin(cell, cell[taken]))
        undecided = np.zeros(len(all_ops.first), dtype=np.bool_)
        undecided[all_ops.key[puts & (all_ops.value <= NIL)]] = True  # nil is told for "empty"
        undecided[all_ops.key[twice(cell, puts_kept)]] = True
        here = ~undecided[all_ops.key]
        again = np.flatnonzero(twice(cell, takes & here))
        if len(again):
            last = int(again[np.argmax(all_ops.begin[again])])
            same = tuple(all_ops.op[again[cell[again] == cell[last]]].tolist())
            message = f"ops {same[0]} and {same[1]} both {verbs[0]} {all_ops.name(int(cell[last]))}"
            return Violation(message, int(all_ops.op[last]), same)
        into = np.flatnonzero(puts_kept & here)
        into = into[np.argsort(cell[into], kind="stable")]
        taken = np.flatnonzero(takes & here)
        out = np.full(len(into), -1, dtype=np.int64)
        out[np.searchsorted(cell[into], cell[taken])] = taken
        last_of = all_ops.last[all_ops.key[into]]
        return cls(
            all_ops,
            into,
            out,
            all_ops.begin[into],
            all_ops.end[into],
            np.where(out < 0, last_of, all_ops.begin[out]),
            np.where(out < 0, last_of, all_ops.end[out]),
            np.flatnonzero(empties & here),
            np.flatnonzero(~puts & ~all_ops.acked & here),
            undecided,
        )

    def covered(self, among: Mask) -> I64:
        """Return by place, for the gap that follows it, how many of these elements are surely there then. O(n)."""
        change = np.zeros(int(self.ops.last.max()) + 2, dtype=np.int64)
        sure = among & (self.into_end < self.out_begin)
        np.add.at(change, self.into_end[sure], 1)
        np.subtract.at(change, self.out_begin[sure], 1)
        return np.cumsum(change)

    def decision(
        self, test: str, ops: Ops, violation: Violation | None
    ) -> tuple[str, Mask, Violation | None]:
        """Return what a test's Decision is made of."""
        mask = np.zeros(len(ops), dtype=np.bool_)
        if violation is None:
            mask[self.ops.op[~self.undecided[self.ops.key]]] = True
        return test, mask, violation


def next_free(free: Mask) -> I64:
    """Return by place the first gap from there on that is free; one past the last where there is none. O(n)."""
    n = len(free)
    places = np.where(free, np.arange(n), n)
    return np.minimum.accumulate(places[::-1])[::-1]
