"""Sequential specifications: what each object does when nothing is concurrent.

A model is pure: ``step(state, call)`` gives the next state, or None when the call cannot have happened in it.
States and calls are hashable. A state of None is legal, so the answer is wrapped: ``(state,)`` or None.
Sources: knossos.model (register, cas-register, mutex, multi-register; a read of nil there is a read of
something unknown), Porcupine's etcd and kv models, Herlihy and Wing (TOPLAS 1990) for the FIFO queue.
Mutexes with owners and semaphores are those of Jepsen's Hazelcast tests; an owner is the op's value, or the
client that it names, and else the process.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final

from outlast.history.values import Atom, freeze

State = Hashable
Next = tuple[State] | None

UNKNOWN: Final = Atom("unknown")
"""The value of a read that was not told what it saw."""


_READS: Final = frozenset({"r", "read", ":r", ":read"})
_WRITES: Final = frozenset({"w", "write", ":w", ":write"})


@dataclass(frozen=True, slots=True)
class Call:
    """What a client asked and was told. f: the function. value: its value, hashable. Equal calls do the same."""

    f: str
    value: Hashable


@dataclass(frozen=True, slots=True)
class Model:
    """A sequential specification.

    initial: the first state. step: see above. pure: the functions that never change any state. functions:
    all that it knows. matches: pure functions that are legal in exactly the state that equals their value.
    overwrites: functions that are legal everywhere and lead to the same state from everywhere. show: how a
    state is written for a person. owned: whether a call's value is who makes it.
    """

    name: str
    initial: State
    step: Callable[[Any, Call], Next]
    functions: frozenset[str]
    pure: frozenset[str] = frozenset({"read"})
    matches: frozenset[str] = frozenset({"read"})
    overwrites: frozenset[str] = frozenset()
    show: Callable[[Any], str] = str
    owned: bool = False

    def is_pure(self, call: Call) -> bool:
        """Whether the call only reads: it leaves every state as it is, or binds what was never written."""
        if self.name == "multi-register" and isinstance(call.value, tuple):
            return all(isinstance(mop, tuple) and mop and mop[0] in _READS for mop in call.value)
        return call.f in self.pure or (call.f == "cas" and is_miss(call))

    def says_nothing(self, call: Call) -> bool:
        """Whether the call is pure and legal everywhere: it can be left out."""
        return call.f in self.pure and call.value == UNKNOWN


def is_miss(call: Call) -> bool:
    """Whether a cas was served and missed: its value is (expected,) only."""
    return isinstance(call.value, tuple) and len(call.value) == 1


def _register(state: Any, call: Call) -> Next:
    if call.f == "write":
        return (call.value,)
    return (state,) if call.value in (UNKNOWN, state) else None


def _cas_register(state: Any, call: Call) -> Next:
    if call.f != "cas":
        return _register(state, call)
    if not isinstance(call.value, tuple) or not 1 <= len(call.value) <= 2:
        raise ValueError(f"a cas takes [expected new], not {call.value!r}")
    if is_miss(call):
        return (state,) if call.value[0] != state else None
    expected, new = call.value
    return (new,) if expected == state else None


def _multi_register(state: frozenset[tuple[Any, Any]], call: Call) -> Next:
    """A map of registers. A register that was never written may hold anything until a read shows what: the
    first values are the test's choice and no history carries them."""
    if call.value == UNKNOWN or call.value is None:
        return (state,)
    registers = dict(state)
    mops: Any = call.value
    for f, key, value in mops:
        if f in _WRITES:
            registers[key] = value
        elif value is not None and registers.setdefault(key, value) != value:
            return None
    return (frozenset(registers.items()),)


def _kv(state: str, call: Call) -> Next:
    if call.f == "put":
        return (call.value,)
    if call.f == "append":
        return (state + str(call.value),)
    return (state,) if call.value in (UNKNOWN, state) else None


def _mutex(state: bool, call: Call) -> Next:
    taking = call.f == "acquire"
    return None if taking == state else (taking,)


def _owner_mutex(state: Hashable, call: Call) -> Next:
    if call.f == "acquire":
        return (call.value,) if state is None else None
    return (None,) if state == call.value else None


def _reentrant_mutex(state: tuple[Hashable, int] | None, call: Call) -> Next:
    """Held by its owner as often as it was acquired, and free when it was released as often."""
    if state is None:
        return ((call.value, 1),) if call.f == "acquire" else None
    owner, held = state
    if owner != call.value:
        return None
    if call.f == "acquire":
        return ((owner, held + 1),)
    return ((owner, held - 1),) if held > 1 else (None,)


def _semaphore(state: int, call: Call) -> Next:
    """Permits that are free. A release is always legal, as Dijkstra's V is."""
    permits = 1 if call.value is None else call.value
    if type(permits) is not int or permits < 0:
        raise ValueError(f"a semaphore takes permits, not {permits!r}")
    if call.f == "release":
        return (state + permits,)
    return (state - permits,) if state >= permits else None


def _stack(state: tuple[Any, ...], call: Call) -> Next:
    if call.f == "push":
        return ((*state, call.value),)
    if call.value == UNKNOWN:
        return (state[:-1],)
    if call.value is None:
        return (state,) if not state else None
    return (state[:-1],) if state and state[-1] == call.value else None


def _queue(state: tuple[Any, ...], call: Call) -> Next:
    if call.f == "enqueue":
        return ((*state, call.value),)
    if call.value == UNKNOWN:
        return (state[1:],)
    if call.value is None:
        return (state,) if not state else None
    return (state[1:],) if state and state[0] == call.value else None


def _set(state: frozenset[Any], call: Call) -> Next:
    if call.f == "add":
        return (state | {call.value},)
    if call.f == "remove":
        return (state - {call.value},)
    return (state,) if call.value == UNKNOWN or call.value == state else None


def _counter(state: int, call: Call) -> Next:
    if call.f == "read":
        return (state,) if call.value in (UNKNOWN, state) else None
    amount = 1 if call.value in (None, UNKNOWN) else call.value
    if not isinstance(amount, int):
        raise ValueError(f"a counter adds integers, not {amount!r}")
    return (state - amount,) if call.f in ("decrement", "dec") else (state + amount,)


def _plain(state: object) -> str:
    return "nil" if state is None else str(state)


MODELS: Final[dict[str, Model]] = {
    model.name: model
    for model in (
        Model(
            "register",
            None,
            _register,
            frozenset({"read", "write"}),
            overwrites=frozenset({"write"}),
            show=_plain,
        ),
        Model(
            "cas-register",
            None,
            _cas_register,
            frozenset({"read", "write", "cas"}),
            overwrites=frozenset({"write"}),
            show=_plain,
        ),
        Model(
            "multi-register",
            frozenset(),
            _multi_register,
            frozenset({"txn", "read", "write"}),
            pure=frozenset(),
            matches=frozenset(),
            show=lambda state: str(dict(sorted(state, key=repr))),
        ),
        Model(
            "kv",
            "",
            _kv,
            frozenset({"get", "put", "append"}),
            pure=frozenset({"get"}),
            matches=frozenset({"get"}),
            overwrites=frozenset({"put"}),
            show=repr,
        ),
        Model(
            "mutex",
            False,
            _mutex,
            frozenset({"acquire", "release"}),
            pure=frozenset(),
            matches=frozenset(),
            show=lambda held: "held" if held else "free",
        ),
        *(
            Model(
                name,
                None,
                step,
                frozenset({"acquire", "release"}),
                pure=frozenset(),
                matches=frozenset(),
                show=lambda held: "free" if held is None else f"held by {held}",
                owned=True,
            )
            for name, step in (("owner-mutex", _owner_mutex), ("reentrant-mutex", _reentrant_mutex))
        ),
        Model(
            "semaphore",
            1,
            _semaphore,
            frozenset({"acquire", "release"}),
            pure=frozenset(),
            matches=frozenset(),
            show=lambda permits: f"{permits} permits free",
        ),
        Model(
            "stack",
            (),
            _stack,
            frozenset({"push", "pop"}),
            pure=frozenset(),
            matches=frozenset(),
            show=lambda state: str(list(state)),
        ),
        Model(
            "queue",
            (),
            _queue,
            frozenset({"enqueue", "dequeue"}),
            pure=frozenset(),
            matches=frozenset(),
            show=lambda state: str(list(state)),
        ),
        Model(
            "set",
            frozenset(),
            _set,
            frozenset({"add", "remove", "read"}),
            show=lambda state: str(sorted(state, key=repr)),
        ),
        Model(
            "counter",
            0,
            _counter,
            frozenset({"read", "add", "increment", "inc", "decrement", "dec"}),
        ),
    )
}
"""The models by name."""


def decode(model: str, f: str, value: int | None, payload: str | None) -> Hashable:
    """Return the value of a call.

    value: the op's integer, None when it has none. payload: its JSON text, which goes before value. A read
    without either is UNKNOWN; ``[null]`` is how Porcupine's logs say that a read saw nil.
    """
    if payload is None:
        return UNKNOWN if value is None and f in ("read", "get", "dequeue", "pop") else value
    decoded = json.loads(payload)
    if f == "read" and model in ("register", "cas-register") and decoded == [None]:
        return None
    if f == "read" and model == "set":
        members = frozenset(freeze(item) for item in decoded)
        return members if len(members) == len(decoded) else freeze(decoded)
    if model == "multi-register" and isinstance(decoded, dict):
        # {register value, …}, as Knossos has it for reads and writes.
        return tuple((f, key, freeze(item)) for key, item in decoded.items())
    return freeze(decoded)
