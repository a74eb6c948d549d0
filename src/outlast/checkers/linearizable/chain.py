"""Sets that are only added to, and read whole: no search, O(n log n) beside the elements read.

The reads must see ever larger sets. That gives each element the first read that saw it, and each op its stage: an
element enters in the stage before the first read that saw it, one that no read saw in the last. The set is linearizable
when no op of a later stage ended before one of an earlier stage began. An element that was added several times
enters with the first of its adds; the others change nothing, and come after it.

A crashed add whose element no read saw may be left out. Source: Emmi and Enea, "Sound, complete, and tractable
linearizability monitoring for concurrent collections" (POPL 2018), on collections; the stages are ours.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from outlast.checkers.linearizable.intervals import Decision, Violation
from outlast.checkers.linearizable.models import UNKNOWN, Model, decode
from outlast.checkers.values import each_key
from outlast.history.op import I64, NEVER, NONE, Ops, Outcome

_TEST = "the order of what the reads saw"


def chain(model: Model, ops: Ops) -> Decision:
    """Judge sets. Decides those from which nothing is removed."""
    mask = np.zeros(len(ops), dtype=np.bool_)
    happened = np.flatnonzero(ops.outcome != int(Outcome.FAIL))
    removes = ops.f_is("remove")
    for _, members in each_key(ops, happened):
        found = _AddOnly(model, ops).judge(np.sort(members), removing=bool(removes[members].any()))
        if found is not None:
            return Decision(_TEST, np.zeros(len(ops), dtype=np.bool_), found)
        if not removes[members].any():
            mask[members] = True
    return Decision(_TEST, mask)


class _AddOnly:
    """One set. begun, ended: by element, (when, op) of its first add and of the first that was acknowledged.
    reads: acknowledged ones by completion, with the sizes of what they saw. Reads are decoded one at a time: all of
    them together are the square of the set."""

    def __init__(self, model: Model, ops: Ops) -> None:
        self.model, self.ops = model, ops
        self.begun: dict[Hashable, tuple[int, int]] = {}
        self.ended: dict[Hashable, tuple[int, int]] = {}
        self.reads: list[int] = []
        self.size: dict[int, int] = {}

    def judge(self, members: I64, *, removing: bool) -> Violation | None:
        """Return why the set is not linearizable; of one with removes only what is plain to see."""
        f_names, codes = self.ops.f_names, self.ops.f[members].tolist()
        for op, code in zip(members.tolist(), codes, strict=True):
            if f_names[code] == "add":
                self._add(op)
            elif f_names[code] == "read" and self._acked(op):
                self.reads.append(op)
        self.reads.sort(key=lambda op: int(self.ops.complete_pos[op]))
        return self._unheard_of() or (None if removing else self._out_of_order())

    def _acked(self, op: int) -> bool:
        return int(self.ops.outcome[op]) == int(Outcome.OK)

    def _value(self, op: int) -> Any:
        number, text = int(self.ops.value[op]), None if self.ops.payload is None else self.ops.payload[op]
        f = self.ops.f_names[int(self.ops.f[op])]
        return decode(self.model.name, f, None if number == NONE else number, text)

    def _add(self, op: int) -> None:
        value = self._value(op)
        begin, end = (int(self.ops.invoke_pos[op]), op), (int(self.ops.complete_pos[op]), op)
        self.begun[value] = min(self.begun.get(value, begin), begin)
        if self._acked(op):
            self.ended[value] = min(self.ended.get(value, end), end)

    def _unheard_of(self) -> Violation | None:
        known: frozenset[Any] = frozenset()
        for op in self.reads:
            members, end = self._value(op), int(self.ops.complete_pos[op])
            if members == UNKNOWN:
                continue
            if not isinstance(members, frozenset):
                return Violation(f"op {op} read what is no set: {str(members)[:60]}", op, ())
            for element in members - known:
                begin, add = self.begun.get(element, (NEVER, -1))
                if add < 0:
                    return Violation(f"op {op} saw {element}, which nobody added", op, ())
                if begin > end:
                    message = f"op {op} saw {element} and ended before op {add}, which added it, began"
                    return Violation(message, op, (add,))
            known = members
            self.size[op] = len(members)
        return None

    def _out_of_order(self) -> Violation | None:
        """Go through the stages; latest: the last beginning of an op in those before."""
        latest = following = (-1, -1)
        seen: frozenset[Any] = frozenset()
        last_read = -1
        for op in sorted(self.size, key=self.size.__getitem__):
            members = self._value(op)
            if not seen <= members:
                gone, other = next(iter(seen - members)), next(iter(members - seen), None)
                message = f"op {last_read} saw {gone} and op {op} did not, which saw {other}, and op {last_read} not"
                return Violation(message, op, (last_read,))
            entering = members - seen
            if entering or last_read < 0:
                latest = following  # the reads of the stage before are all in
                for element in entering:
                    if (late := self._late(element, latest)) is not None:
                        return late
                latest = max([latest, *(self.begun[element] for element in entering)])
            end = int(self.ops.complete_pos[op])
            if end < latest[0]:
                message = f"op {op} ended before op {latest[1]} began, and saw what must come after that"
                return Violation(message, op, (latest[1],))
            following = max(following, latest, (int(self.ops.invoke_pos[op]), op))
            seen, last_read = members, op
        unseen = (self._late(element, following) for element in self.ended if element not in seen)
        return next((late for late in unseen if late is not None), None)

    def _late(self, element: Hashable, latest: tuple[int, int]) -> Violation | None:
        """Return the violation of an element that must enter after an op began, and was acknowledged before."""
        end, add = self.ended.get(element, (NEVER, -1))
        if end > latest[0]:
            return None
        message = f"op {add} had added {element} before op {latest[1]} began, after which it must come"
        return Violation(message, latest[1], (add,))
