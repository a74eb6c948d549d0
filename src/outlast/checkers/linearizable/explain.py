"""Says why an object is not linearizable: the longest prefix that is, and the op that cannot follow it."""

from __future__ import annotations

import bisect
import time

from outlast.checkers.base import Evidence
from outlast.checkers.linearizable.models import UNKNOWN, Call
from outlast.checkers.linearizable.prepare import ObjectHistory, crashed_classes
from outlast.checkers.linearizable.search import OPEN, Search
from outlast.checkers.values import place_of
from outlast.history.op import Ops

_SHOWN_OPS = 8
_PREFIX_STEPS = 100_000


def explain(culprit: ObjectHistory, ops: Ops, deadline: int) -> Evidence:
    """Return the evidence against an object whose search ended without a linearization.

    Names the op whose return no configuration survived, the states that were left, one linearization of all
    that returned before it (its end), and what was open with it. Source: Knossos' analysis, :final-paths.
    """
    search = culprit.search
    blocked = search.returned.index(search.furthest) if search.furthest != OPEN else len(culprit.ops) - 1
    number = culprit.ops[blocked]
    automaton = culprit.automaton
    show = automaton.model.show
    states = sorted({show(automaton.states[code]) for code in search.furthest_states})
    returned = sum(1 for position in search.returned[:-1] if position < search.furthest)
    open_with = [
        culprit.ops[index]
        for index in range(len(culprit.ops))
        if search.invoked[index] < search.furthest < search.returned[index]
    ]
    tail = _prefix_linearization(culprit, deadline)[-_SHOWN_OPS:]
    where = f"{automaton.model.name} {culprit.key}: " if culprit.key is not None else ""
    left = " or ".join(states[:4]) + (" or …" if len(states) > 4 else "")
    did = describe(ops, number, automaton.calls[search.calls[blocked]])
    message = (
        f"{where}op {number} cannot be placed: {did}, "
        f"but whatever the order of the {returned} ops that returned before it, the state is {left}"
    )
    return Evidence(
        message,
        ops=(number, *open_with[:_SHOWN_OPS]),
        details={
            "object": culprit.key,
            "op": number,
            "linearizable_prefix_ops": returned,
            "states": list(states[:_SHOWN_OPS]),
            "concurrent_ops": list(open_with[:_SHOWN_OPS]),
            "last_linearized": [describe(ops, op, automaton.calls[call]) for op, call in tail],
            "configurations": search.steps,
        },
    )


def _prefix_linearization(culprit: ObjectHistory, deadline: int) -> list[tuple[int, int]]:
    """Return one linearization, as (op, call), of what returned before the blocked op."""
    search = culprit.search
    end = bisect.bisect_left(search.invoked, search.furthest, hi=len(culprit.ops))
    must = [i for i in range(end) if search.returned[i] < search.furthest]
    may = [
        i for i in range(end) if search.returned[i] >= search.furthest and search.calls[i] >= search.n_pure
    ]
    crashed = [
        (kind.call, at, op) for kind in search.crashed for at, op in zip(kind.invoked, kind.ops, strict=True)
    ]
    again = Search(
        invoked=[search.invoked[i] for i in must],
        returned=[search.returned[i] for i in must],
        calls=[search.calls[i] for i in must],
        n_pure=search.n_pure,
        crashed=crashed_classes(
            [*crashed, *((search.calls[i], search.invoked[i], culprit.ops[i]) for i in may)]
        ),
        rows=search.rows,
        targets=search.targets,
        order=search.order,
    )
    linearizable = None
    for _ in range(20):
        linearizable = again.run(_PREFIX_STEPS)
        if linearizable is not None or time.monotonic_ns() > deadline:
            break
    if not linearizable:
        return []
    call_of = {op: search.calls[i] for i, op in enumerate(culprit.ops)}
    call_of.update((op, call) for call, _, op in crashed)
    numbers = [culprit.ops[must[each]] if each >= 0 else -1 - each for each in again.linearization()]
    return [(op, call_of[op]) for op in numbers]


def describe(ops: Ops, number: int, call: Call) -> str:
    """Return what an op did, for a person: ``process 3 read 4 from pg-node-2``."""
    value = call.value
    if isinstance(value, tuple) and call.f == "cas":
        did = f"cas {value[0]} to {value[1]}" if len(value) == 2 else f"missed a cas from {value[0]}"
    elif isinstance(value, frozenset):
        did = f"{call.f} {sorted(value, key=repr)}"
    else:
        did = call.f if value == UNKNOWN else f"{call.f} {'nil' if value is None else value}"
    place = place_of(ops, number)
    return f"process {ops.process_name(number)} {did}" + (f" at {place}" if place else "")
