"""Small random histories: of a correct object or store, or of a careless one; crashed, keyed and typed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from definitions import ILLEGAL, OBJECTS, Op, Txn

from outlast.history.formats.events import EventPairer
from outlast.history.op import Ops, Outcome

OWNED = ("owner-mutex", "reentrant-mutex")
"""Models whose calls have their process as their value."""
READS = ("read", "dequeue", "pop", "get", "txn")
VALUES = (1, 2, 3, "a", ":a", True, 1.0, 2**70)


@dataclass
class _Open:
    f: str
    value: Any
    key: int
    begin: int
    applied: bool = False
    answer: Any = None


def object_history(model: str, rng: random.Random) -> tuple[Ops, list[Op]]:
    """Return a history of a few ops, for the checkers and for brute force. A third is correct for certain."""
    pairer, ops = EventPairer(), list[Op]()
    careless = rng.choice((0.0, 0.3, 0.6))
    keys, crash = rng.randint(1, 2), rng.choice((0.0, 0.0, 0.2))
    states: dict[int, Any] = dict.fromkeys(range(keys), OBJECTS[model][0])
    waiting: dict[int, _Open] = {}
    clients = list(range(rng.randint(1, 4)))
    next_value = 0
    values = list(VALUES) if rng.random() < 0.3 else [1, 2, 3]
    for position in range(rng.randint(4, 20)):
        slot = rng.randrange(len(clients))
        if slot not in waiting:
            f, value = _ask(model, rng, values, next_value)
            next_value += 1
            waiting[slot] = _Open(
                f, clients[slot] if model in OWNED else value, rng.randrange(keys), position
            )
            pairer.invoke(clients[slot], f, waiting[slot].key, value)
        else:
            call = waiting.pop(slot)
            _apply(model, call, states)
            outcome = Outcome.INFO if rng.random() < crash else Outcome.OK
            if call.answer is ILLEGAL:
                outcome = Outcome.FAIL
            if outcome is Outcome.FAIL and rng.random() < careless:
                outcome, call.answer = Outcome.OK, call.value
            if outcome is Outcome.OK and call.f in READS and rng.random() < careless / 2:
                call.answer = _wrong(model, rng, values, call.answer)
            answer = call.answer if outcome is Outcome.OK else call.value
            shown = None if model in OWNED else list(answer) if isinstance(answer, frozenset) else answer
            pairer.complete(clients[slot], outcome, shown, f=call.f)
            if outcome is Outcome.INFO:
                clients[slot] += 10
            if outcome is not Outcome.FAIL:
                end = position if outcome is Outcome.OK else None
                ops.append(Op(call.f, answer, call.begin, end, outcome is Outcome.OK, call.key))
        for call in waiting.values():
            if rng.random() < 0.3:
                _apply(model, call, states)
    ops += (Op(call.f, call.value, call.begin, None, False, call.key) for call in waiting.values())
    return pairer.ops(), ops


def _ask(model: str, rng: random.Random, values: list[Any], unique: int) -> tuple[str, Any]:
    value = rng.choice(values)
    if "mutex" in model:
        return rng.choice(("acquire", "release")), None
    if model == "semaphore":
        return rng.choice(("acquire", "release")), rng.choice((1, 1, 2))
    if model == "kv":
        f = rng.choice(("get", "get", "put", "append"))
        return f, None if f == "get" else rng.choice("abc")
    if model == "multi-register":
        mops = [[rng.choice("rw"), rng.choice("xy"), rng.randrange(1, 4)] for _ in range(rng.randint(1, 2))]
        return "txn", [[what, name, None if what == "r" else item] for what, name, item in mops]
    if model == "stack":
        element = value if rng.random() < 0.3 else 100 + unique
        return ("push", element) if rng.random() < 0.5 else ("pop", None)
    if model == "queue":
        element = value if rng.random() < 0.5 else 100 + unique
        return ("enqueue", element) if rng.random() < 0.5 else ("dequeue", None)
    if rng.random() < 0.45:
        return "read", None
    if model == "set":
        return ("remove" if rng.random() < 0.2 else "add"), rng.randrange(3)
    if model == "counter":
        return "add", rng.choice((1, 2, -1, 5))
    if model == "cas-register" and rng.random() < 0.5:
        return "cas", [value, rng.choice(values)]
    return "write", value


def _apply(model: str, call: _Open, states: dict[int, Any]) -> None:
    """Let an op take effect, if it has not."""
    if call.applied:
        return
    call.applied = True
    state = states[call.key]
    call.answer = call.value
    if call.f in ("read", "get"):
        call.answer = state
    elif call.f == "pop":
        call.answer = state[-1] if state else None
        states[call.key] = state[:-1]
    elif call.f == "txn":
        now = dict(state)
        call.answer = []
        for what, name, item in call.value:
            held = now.setdefault(name, 0) if what == "r" else item
            now[name] = held
            call.answer.append([what, name, held])
        states[call.key] = tuple(now.items())
    elif call.f == "dequeue":
        call.answer = state[0] if state else None
        states[call.key] = state[1:]
    else:
        following = OBJECTS[model][1](state, call.f, call.value, True)
        if following is ILLEGAL:
            call.answer = ILLEGAL
        else:
            states[call.key] = following


def _wrong(model: str, rng: random.Random, values: list[Any], answer: Any) -> Any:
    if model == "multi-register":
        return [[what, name, rng.randrange(4) if what == "r" else held] for what, name, held in answer]
    if model == "kv":
        return "".join(rng.choice("abc") for _ in range(rng.randrange(4)))
    if model == "set":
        return [element for element in range(3) if rng.random() < 0.5]
    if model == "counter":
        return rng.randrange(-1, 8)
    return rng.choice([*values, None])


def txn_history(rng: random.Random, *, lists: bool) -> tuple[Ops, list[Txn]]:
    """Return a few transactions on a store whose reads are now and then not of the present state."""
    pairer, txns = EventPairer(), list[Txn]()
    careless = rng.choice((0.0, 0.15, 0.4))
    keys, store = rng.randint(1, 3), dict[int, list[Any]]()
    waiting: dict[int, tuple[int, list[tuple[str, int, Any]]]] = {}
    clients = list(range(rng.randint(1, 4)))
    position, written, begun = 0, 0, 0
    most = rng.randint(2, 6)
    while begun < most or waiting:
        slot = rng.randrange(len(clients))
        if slot not in waiting:
            if begun < most:
                begun += 1
                mops: list[tuple[str, int, Any]] = []
                for _ in range(rng.randint(1, 3)):
                    key = rng.randrange(keys)
                    if rng.random() < 0.5:
                        written += 1
                        mops.append(("append" if lists else "w", key, written))
                    else:
                        mops.append(("r", key, None))
                waiting[slot] = (position, mops)
                pairer.invoke(clients[slot], "txn", None, [list(mop) for mop in mops])
                position += 1
            continue
        begin, asked = waiting.pop(slot)
        process = clients[slot]
        ok = rng.random() > 0.12
        done = _run(rng, asked, store, careless, lists=lists, effective=ok or rng.random() < 0.5)
        if ok:
            shown = [[f, key, list(value) if isinstance(value, tuple) else value] for f, key, value in done]
            pairer.complete(clients[slot], Outcome.OK, shown, f="txn")
        else:
            pairer.complete(clients[slot], Outcome.INFO, None, f="txn")
            clients[slot] += 10
        txns.append(Txn(tuple(done), begin, position, ok, process))
        position += 1
    return pairer.ops(), txns


def _run(
    rng: random.Random,
    asked: list[tuple[str, int, Any]],
    store: dict[int, list[Any]],
    careless: float,
    *,
    lists: bool,
    effective: bool,
) -> list[tuple[str, int, Any]]:
    done = []
    for f, key, value in asked:
        held = store.setdefault(key, [])
        if f != "r":
            if effective:
                held.append(value) if rng.random() > careless / 4 else held.insert(
                    rng.randint(0, len(held)), value
                )
            done.append((f, key, value))
            continue
        seen = list(held)
        if rng.random() < careless:
            seen = seen[: rng.randint(max(0, len(seen) - 2), len(seen))]
        done.append((f, key, tuple(seen) if lists else seen[-1] if seen else None))
    return done
