"""From the ops of a history to one search an object.

Ops that failed, and reads that were told nothing, are left out. Ops on different keys are independent objects
where the model says so (Herlihy and Wing's locality; Horn and Kroening's P-compositionality).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from outlast.checkers.linearizable.models import UNKNOWN, Call, Model, decode, is_miss
from outlast.checkers.linearizable.search import ILLEGAL, OPEN, Crashed, Search, TransitionRow
from outlast.errors import HistoryError
from outlast.history.op import I64, NONE, Mask, Ops, Outcome
from outlast.history.values import Atom, freeze

UNOBSERVED: Final = Atom("a value that nobody reads")
"""Stands for every value of a crashed write that no read and no cas ever names."""


_STATE_BYTES: Final = 400
_TRANSITION_BYTES: Final = 100
"""What a state costs beside itself, and a transition, measured with CPython 3.11."""


class UnknownFunctionError(HistoryError):
    """An op calls a function that the model does not know."""


@dataclass(slots=True)
class Automaton:
    """A model's states and calls as small integers, its transitions memoised.

    calls: by code, those that never change a state first (n_pure of them). states: by code, the first is the
    initial one.
    """

    model: Model
    calls: list[Call]
    n_pure: int
    states: list[Hashable] = field(default_factory=list)
    rows: list[TransitionRow] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    only_grows: bool = False
    """Whether the states are numbers that no call lessens."""
    memory_bytes: int = 0
    """About what states and transitions hold."""
    _codes: dict[Hashable, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._code(self.model.initial)
        for call in self.calls:
            model, target = self.model, ILLEGAL
            if call.f in model.matches and call.value != UNKNOWN:
                target = self._code(call.value)
            elif call.f in model.overwrites:
                following = model.step(model.initial, call)
                target = ILLEGAL if following is None else self._code(following[0])
            self.targets.append(target)
        if self.model.name == "counter":
            reads, adds = self.calls[: self.n_pure], self.calls[self.n_pure :]
            after: list[Any] = [self.model.step(0, call) for call in adds]
            self.only_grows = all(type(read.value) is int for read in reads if read.value != UNKNOWN) and all(
                step is not None and step[0] >= 0 for step in after
            )

    def step(self, state: int, call: int) -> int:
        """Return the code of the next state, or ILLEGAL."""
        following = self.model.step(self.states[state], self.calls[call])
        self.memory_bytes += _TRANSITION_BYTES
        return ILLEGAL if following is None else self._code(following[0])

    def _code(self, state: Hashable) -> int:
        code = self._codes.get(state)
        if code is None:
            code = self._codes[state] = len(self.states)
            self.states.append(state)
            self.memory_bytes += _STATE_BYTES + _size(state)
            self.rows.append(TransitionRow(code, self.step))
        return code


def _size(state: Hashable) -> int:
    """Return about the bytes of a state; what is in it is its own only where it is a tuple of a map."""
    own = sys.getsizeof(state)
    return own + 72 * len(state) if isinstance(state, frozenset) else own


@dataclass(slots=True)
class ObjectHistory:
    """The ops of one object and their search. key: its name, None when there is but one. ops: numbers in the
    history of the required ops, ascending. automaton: shared by all objects of a history."""

    key: str | None
    ops: Sequence[int]
    search: Search
    automaton: Automaton


def refuse_unknown_functions(model: Model, ops: Ops) -> None:
    """Raise UnknownFunctionError for an op that may have happened and that the model does not know. O(n)."""
    known = np.array([name in model.functions for name in ops.f_names], dtype=np.bool_)
    strange = (ops.outcome != int(Outcome.FAIL)) & (~known[ops.f] if len(ops) else False)
    if strange.any():
        index = int(np.flatnonzero(strange)[0])
        raise UnknownFunctionError(
            f"op {index} calls :{ops.f_names[ops.f[index]]}, which a {model.name} does not have",
            hint=f"a {model.name} has {', '.join(sorted(model.functions))}; --model chooses another",
        )


def object_histories(model: Model, ops: Ops, chosen: Mask | None = None) -> list[ObjectHistory]:
    """Return one searchable history an object. chosen: the ops to take, all without it.

    Raises UnknownFunctionError for an op that may have happened and that the model does not know,
    HistoryError for a value that it cannot take. O(n log n).
    """
    refuse_unknown_functions(model, ops)
    happened = ops.outcome != int(Outcome.FAIL)
    if chosen is not None:
        happened &= chosen
    codes, calls = _encode(model, ops, happened)
    n_pure, codes, calls = _pure_first(model, codes, calls)
    acked = ops.outcome == int(Outcome.OK)
    silent = np.array([model.says_nothing(call) for call in calls] or [False], dtype=np.bool_)
    required = acked & happened & ~silent[np.maximum(codes, 0)]
    crashed = happened & ~acked & (codes >= n_pure)
    if model.name in ("register", "cas-register"):
        codes, calls = _merge_unobserved(codes, calls, crashed)
    automaton = Automaton(model, calls, n_pure)
    objects = []
    for key, members in _groups(ops.key, required | crashed):
        name = None if key == NONE else ops.key_name(key)
        objects.append(
            _object(name, ops, codes, members[required[members]], members[crashed[members]], automaton)
        )
    return objects


def _object(
    key: str | None, ops: Ops, codes: I64, required: I64, crashed: I64, automaton: Automaton
) -> ObjectHistory:
    order = required[np.argsort(ops.invoke_pos[required], kind="stable")]
    search = Search(
        invoked=ops.invoke_pos[order].tolist(),
        returned=np.minimum(ops.complete_pos[order], OPEN - 1).tolist(),
        calls=codes[order].tolist(),
        n_pure=automaton.n_pure,
        crashed=crashed_classes(
            zip(codes[crashed].tolist(), ops.invoke_pos[crashed].tolist(), crashed.tolist(), strict=True)
        ),
        rows=automaton.rows,
        targets=automaton.targets,
        order=automaton.states if automaton.only_grows else None,
    )
    return ObjectHistory(key, order.tolist(), search, automaton)


def crashed_classes(crashed: Any) -> list[Crashed]:
    """Return the classes of crashed ops, given as (call, invoked, op number), by first invocation."""
    classes: dict[int, list[tuple[int, int]]] = {}
    for call, invoked, number in crashed:
        classes.setdefault(call, []).append((invoked, number))
    for members in classes.values():
        members.sort()
    kinds, shift = [], 0
    for call, members in sorted(classes.items(), key=lambda item: item[1][0]):
        invoked, numbers = zip(*members, strict=True)
        kinds.append(Crashed(call, invoked, numbers, shift))
        shift += len(members).bit_length() + 1
    return kinds


def _groups(keys: I64, chosen: Mask) -> list[tuple[int, I64]]:
    """Return (key, numbers of its chosen ops), shortest first: a cheap object is told on early."""
    members = np.flatnonzero(chosen)
    if not len(members):
        return []
    order = members[np.argsort(keys[members], kind="stable")]
    cuts = np.flatnonzero(np.diff(keys[order])) + 1
    parts = np.split(order, cuts)
    return sorted(((int(keys[part[0]]), part) for part in parts), key=lambda item: len(item[1]))


def _encode(model: Model, ops: Ops, happened: Mask) -> tuple[I64, list[Call]]:
    """Return each op's call code (−1 for one that did not happen) and the calls. O(n log n)."""
    codes = np.full(len(ops), -1, dtype=np.int64)
    seen: dict[Call, int] = {}
    if model.owned:
        for index in np.flatnonzero(happened).tolist():
            call = Call(ops.f_names[int(ops.f[index])], _owner(ops, index))
            codes[index] = seen.setdefault(call, len(seen))
        return codes, list(seen)
    texts = ops.payload or [None] * len(ops)
    has_text = np.array([text is not None for text in texts], dtype=np.bool_)
    plain = np.flatnonzero(happened & ~has_text)
    if len(plain):
        values, which = np.unique(ops.value[plain], return_inverse=True)
        pairs, inverse = np.unique(which * len(ops.f_names) + ops.f[plain], return_inverse=True)
        local = []
        for pair in pairs.tolist():
            which_value, f = divmod(pair, len(ops.f_names))
            number = int(values[which_value])
            local.append(_intern(model, ops.f_names[f], None if number == NONE else number, None, seen))
        codes[plain] = np.array(local, dtype=np.int64)[inverse]
    if model.name in ("queue", "stack"):
        # An answer of nil is "empty"; without an answer it is not known what was taken.
        takes = "dequeue" if model.name == "queue" else "pop"
        empty = ops.f_is(takes) & ops.outcome_is(Outcome.OK) & (ops.value == NONE) & ~has_text
        if empty.any():
            codes[empty] = seen.setdefault(Call(takes, None), len(seen))
    memo: dict[tuple[int, str], int] = {}
    for index in np.flatnonzero(happened & has_text).tolist():
        f, text = int(ops.f[index]), texts[index] or ""
        known = memo.get((f, text))
        if known is None:
            known = memo[f, text] = _intern(model, ops.f_names[f], None, text, seen)
        codes[index] = known
    return codes, list(seen)


def _owner(ops: Ops, index: int) -> Hashable:
    """Return who calls: the client that the op's value names, else the process."""
    text, number = None if ops.payload is None else ops.payload[index], int(ops.value[index])
    value = json.loads(text) if text is not None else None if number == NONE else number
    if isinstance(value, dict):
        value = value.get("client")
    return ops.process_name(index) if value is None else freeze(value)


def _intern(model: Model, f: str, number: int | None, text: str | None, seen: dict[Call, int]) -> int:
    if text is None and number is not None and (f in model.matches or f in model.overwrites):
        return seen.setdefault(Call(f, number), len(seen))
    try:
        call = Call(f, decode(model.name, f, number, text))
        model.step(model.initial, call)
    except (ValueError, TypeError) as error:
        raise HistoryError(f":{f} {text or number} is no call of a {model.name}: {error}") from None
    return seen.setdefault(call, len(seen))


def _pure_first(model: Model, codes: I64, calls: list[Call]) -> tuple[int, I64, list[Call]]:
    pure = [model.is_pure(call) for call in calls]
    order = sorted(range(len(calls)), key=lambda code: not pure[code])
    place = np.zeros(len(calls) + 1, dtype=np.int64)
    place[order] = np.arange(len(calls))
    place[-1] = -1
    return sum(pure), place[codes], [calls[code] for code in order]


def _merge_unobserved(codes: I64, calls: list[Call], crashed: Mask) -> tuple[I64, list[Call]]:
    """Give crashed writes of values that nothing ever names one common value.

    To a register it matters only *that* such a value was written (a cas may miss for it), not which. So a
    million crashed writes of a million values are one class.
    """
    named: set[Hashable] = set()
    for call in calls:
        if call.f == "read" or is_miss(call):
            named.update(call.value if isinstance(call.value, tuple) else (call.value,))
        elif call.f == "cas" and isinstance(call.value, tuple):
            named.add(call.value[0])
        if call.f == "read":
            named.add(call.value)
    merged: dict[Call, int] = {}
    target = np.arange(len(calls) + 1, dtype=np.int64)
    extended = list(calls)
    for code in np.unique(codes[crashed]).tolist():
        call = calls[code]
        if call.f == "write" and call.value not in named:
            alias = Call("write", UNOBSERVED)
        elif (
            call.f == "cas"
            and isinstance(call.value, tuple)
            and len(call.value) == 2
            and call.value[1] not in named
        ):
            alias = Call("cas", (call.value[0], UNOBSERVED))
        else:
            continue
        if alias not in merged:
            merged[alias] = len(extended)
            extended.append(alias)
        target[code] = merged[alias]
    if not merged:
        return codes, calls
    codes = codes.copy()
    codes[crashed] = target[codes[crashed]]
    return codes, extended
