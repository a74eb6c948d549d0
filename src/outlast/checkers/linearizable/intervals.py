"""The ops of all objects as columns on one time line, for tests that need no search.

The objects' histories are laid one after another, so that a test looks at all of them at once: ops of different
objects never overlap, and an op that never ends ends with its object.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from outlast.checkers.linearizable.models import UNKNOWN, Model, decode
from outlast.history.op import I64, NONE, Mask, Ops, Outcome

UNSAID: Final = -1
"""Code of a value that the client was not told."""

NIL: Final = 0
"""Code of nil."""


@dataclass(frozen=True, slots=True)
class Violation:
    """Why an object is not linearizable. message: one sentence. op: the op that shows it. others: the ops that it
    contradicts. All by their numbers in the history."""

    message: str
    op: int
    others: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """What a test without search says. test: its name, for a person. decided: by op of the history, whether its
    object is shown to be linearizable. violation: of the first object that is not."""

    test: str
    decided: Mask
    violation: Violation | None = None


@dataclass(frozen=True, slots=True)
class Values:
    """The values of a history by code. numbers: integers, ascending, codes from 1 on. others: code by value."""

    numbers: I64
    others: dict[Hashable, int]

    def __len__(self) -> int:
        return len(self.numbers) + len(self.others) + 1

    def code(self, value: Hashable) -> int:
        """Return the code of a value, one of no value where it does not occur. O(log n)."""
        if value is None:
            return NIL
        if value == UNKNOWN:
            return UNSAID
        if isinstance(value, int) and _is_small(value):
            place = int(np.searchsorted(self.numbers, value))
            return place + 1 if place < len(self.numbers) and self.numbers[place] == value else len(self)
        return self.others.get(value, len(self))

    def name(self, code: int) -> str:
        """Return how the value of a code is written for a person."""
        if code == NIL:
            return "nil"
        if code <= len(self.numbers):
            return str(self.numbers[code - 1])
        return next(str(value) for value, known in self.others.items() if known == code)


@dataclass(frozen=True, slots=True)
class Intervals:
    """The ops that may have happened, ordered by object and beginning.

    op: number in the history. key: the object's number. begin, end: on the common line, distinct. f: index into
    the history's f_names. value: code of the value, NIL, UNSAID, or positive. expected: for a cas, of what it
    expects, else UNSAID. odd: of a form that only the search takes. acked: whether it was acknowledged.
    first, last: by object, before and after all its events.
    """

    op: I64
    key: I64
    begin: I64
    end: I64
    f: I64
    value: I64
    expected: I64
    odd: Mask
    acked: Mask
    first: I64
    last: I64
    values: Values

    def __len__(self) -> int:
        return len(self.op)

    def only(self, chosen: Mask) -> Intervals:
        """Return the chosen ops. O(n)."""
        columns = ("op", "key", "begin", "end", "f", "value", "expected", "odd", "acked")
        return replace(self, **{each: getattr(self, each)[chosen] for each in columns})

    def cell(self, value: I64) -> I64:
        """Return one number for each op's object and a value code of it, −1 where the value is unsaid."""
        return np.where(value < 0, -1, self.key * (len(self.values) + 1) + value)

    def name(self, cell: int) -> str:
        """Return how the value of a cell is written for a person."""
        return self.values.name(cell % (len(self.values) + 1))


def intervals(model: Model, ops: Ops) -> Intervals:
    """Return the ops that may have happened. Raises ValueError for a payload that is no JSON. O(n log n)."""
    chosen = np.flatnonzero(ops.outcome != int(Outcome.FAIL))
    keys, key = np.unique(ops.key[chosen], return_inverse=True)
    order = np.argsort(key, kind="stable")
    chosen, key = chosen[order], key[order]
    n, never = len(chosen), ops.outcome[chosen] != int(Outcome.OK)  # the end of a crashed op ends nothing
    places = ops.complete_pos[chosen[~never]]
    last = int(max(places.max(initial=0), ops.invoke_pos[chosen].max(initial=0)))
    span = last + 3
    begin = ops.invoke_pos[chosen] + key * span + 1
    end = np.where(never, span - 1, ops.complete_pos[chosen] + 1) + key * span
    first = np.arange(len(keys)) * span
    if len(keys) > 1:  # dense again, so that places can be multiplied without overflow
        marks = np.concatenate([begin, end[~never], first, first + span - 1])
        by_place = np.argsort(marks, kind="stable")
        rank = np.empty(len(marks), dtype=np.int64)
        rank[by_place] = np.arange(len(marks))
        ended = n + int((~never).sum())
        first, lasts = rank[ended : ended + len(keys)], rank[ended + len(keys) :]
        begin, finished = rank[:n], rank[n:ended]
        end = lasts[key]
        end[~never] = finished
    else:
        lasts = first + span - 1
    value, expected, odd, values = _codes(model, ops, chosen)
    return Intervals(
        op=chosen,
        key=key,
        begin=begin,
        end=end,
        f=ops.f[chosen].astype(np.int64),
        value=value,
        expected=expected,
        odd=odd,
        acked=~never,
        first=first,
        last=lasts,
        values=values,
    )


def _codes(model: Model, ops: Ops, chosen: I64) -> tuple[I64, I64, Mask, Values]:
    """Return (value, expected, odd) of the chosen ops as codes, and the values."""
    plain, numbers = ops.value[chosen], ops.value[chosen] != NONE
    silent = [code for code, f in enumerate(ops.f_names) if f in ("read", "get", "dequeue", "pop")]
    said: list[tuple[int, Hashable]] = []
    expects: list[tuple[int, Hashable]] = []
    odd = np.isin(ops.f[chosen], functions(ops, "cas"))  # until it is seen to be [expected new]
    memo: dict[tuple[int, str], Hashable] = {}
    texts = ops.payload or ()
    for place, op in enumerate(chosen.tolist() if texts else ()):
        text = texts[op]
        if text is None:
            continue
        f = int(ops.f[op])
        if (f, text) not in memo:
            memo[f, text] = decode(model.name, ops.f_names[f], None, text)
        value = memo[f, text]
        if ops.f_names[f] != "cas":
            said.append((place, value))
        elif isinstance(value, tuple) and len(value) == 2:
            expects.append((place, value[0]))
            said.append((place, value[1]))
            odd[place] = False
    small = [value for _, value in (*said, *expects) if _is_small(value)]
    distinct = np.unique(np.concatenate([plain[numbers], np.array(small, dtype=np.int64)]))
    others: dict[Hashable, int] = {}
    for _, value in (*said, *expects):
        if not _is_small(value) and value is not None:
            others.setdefault(value, len(distinct) + len(others) + 1)
    values = Values(distinct, others)
    column = np.where(numbers, np.searchsorted(distinct, plain) + 1, NIL).astype(np.int64)
    column[~numbers & np.isin(ops.f[chosen], silent)] = UNSAID
    expected = np.full(len(chosen), UNSAID, dtype=np.int64)
    for pairs, target in ((said, column), (expects, expected)):
        for place, value in pairs:
            target[place] = values.code(value)
    return column, expected, odd, values


def _is_small(value: Hashable) -> bool:
    return type(value) is int and NONE < value <= np.iinfo(np.int64).max


def functions(ops: Ops, *names: str) -> list[int]:
    """Return the codes of functions, those that occur."""
    return [code for code, name in enumerate(ops.f_names) if name in names]


def twice(cells: I64, among: Mask) -> Mask:
    """Return the mask of those among ops whose cell another one among them has too. O(n log n)."""
    found, counts = np.unique(cells[among], return_counts=True)
    if len(found) == int(among.sum()):
        return np.zeros(len(cells), dtype=np.bool_)
    return among & np.isin(cells, found[counts > 1])


def unheard_of(
    ops: Intervals, seen: tuple[I64, I64], cells: I64, makers: Mask, verbs: tuple[str, str]
) -> Violation | None:
    """Return what was seen and nobody had begun to make; None when there is no such thing.

    seen: cells, and the places of the ops that saw them. cells: by op. makers: the ops that make their cell's
    value. verbs: what those that see and those that make do, for the message. O(n log n).
    """
    wanted, places = seen
    makes = np.flatnonzero(makers)
    makes = makes[np.lexsort((ops.begin[makes], cells[makes]))]
    made = cells[makes]
    at = np.searchsorted(made, wanted)
    there = at < len(makes)
    there[there] = made[at[there]] == wanted[there]
    begun = np.full(len(wanted), np.iinfo(np.int64).max)
    begun[there] = ops.begin[makes[at[there]]]
    wrong = np.flatnonzero(begun > ops.end[places])
    if not len(wrong):
        return None
    worst = int(wrong[np.argmin(ops.end[places[wrong]])])
    place = int(places[worst])
    op, what = int(ops.op[place]), ops.name(int(wanted[worst]))
    if there[worst]:
        maker = int(ops.op[makes[at[worst]]])
        message = f"op {op} {verbs[0]} {what} and ended before op {maker}, which {verbs[1]} it, began"
        return Violation(message, op, (maker,))
    return Violation(f"op {op} {verbs[0]} {what}, which nobody {verbs[1]}", op, ())
