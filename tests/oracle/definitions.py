"""What the models and levels mean, by brute force: every order is tried, and nothing is taken from the checkers.

weak_levels.py has the levels below snapshots.

Sources: Herlihy and Wing, "Linearizability" (TOPLAS 1990); Papadimitriou (JACM 1979) for serializability; Berenson
et al., "A Critique of ANSI SQL Isolation Levels" (SIGMOD 1995) for snapshots and first committer wins. A snapshot
may be old, as in generalized snapshot isolation.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any

ILLEGAL = object()


@dataclass(frozen=True)
class Op:
    """One operation. begin, end: positions; end None when it never ended. ok: whether it was acknowledged; one
    that was not may take effect at any later time, or never. key: of the object."""

    f: str
    value: Any
    begin: int
    end: int | None
    ok: bool
    key: int = 0


def same(a: object, b: object) -> bool:
    """Whether two values are one: 1, 1.0 and true are three."""
    return type(a) is type(b) and a == b


def register(state: Any, f: str, value: Any, ok: bool) -> Any:
    """A register, with compare-and-set; an answer of nil says nothing."""
    if f == "write":
        return value
    if f == "cas":
        return value[1] if same(state, value[0]) else ILLEGAL
    return state if not ok or value is None or same(state, value) else ILLEGAL


def queue(state: tuple[Any, ...], f: str, value: Any, ok: bool) -> Any:
    """First in, first out; an answer of nil means empty."""
    if f == "enqueue":
        return (*state, value)
    if not ok:
        return state[1:]
    if value is None:
        return state if not state else ILLEGAL
    return state[1:] if state and same(state[0], value) else ILLEGAL


def members(state: frozenset[Any], f: str, value: Any, ok: bool) -> Any:
    """A set, read whole."""
    if f == "add":
        return state | {value}
    if f == "remove":
        return state - {value}
    return state if not ok or (len(value) == len(set(value)) and state == set(value)) else ILLEGAL


def counter(state: int, f: str, value: Any, ok: bool) -> Any:
    """A sum."""
    if f == "add":
        return state + value
    return state if not ok or value is None or same(state, value) else ILLEGAL


def mutex(state: bool, f: str, value: Any, ok: bool) -> Any:
    """A lock without an owner."""
    return f == "acquire" if state != (f == "acquire") else ILLEGAL


def stack(state: tuple[Any, ...], f: str, value: Any, ok: bool) -> Any:
    """Last in, first out; an answer of nil means empty."""
    if f == "push":
        return (*state, value)
    if not ok:
        return state[:-1]
    if value is None:
        return state if not state else ILLEGAL
    return state[:-1] if state and same(state[-1], value) else ILLEGAL


def owned_mutex(state: Any, f: str, value: Any, ok: bool) -> Any:
    """A lock that its owner alone gives back; value is who calls."""
    if f == "acquire":
        return value if state is None else ILLEGAL
    return None if state == value else ILLEGAL


def reentrant_mutex(state: tuple[Any, ...], f: str, value: Any, ok: bool) -> Any:
    """The same, taken by its owner again and again: the state has the owner once for each time."""
    if f == "acquire":
        return (*state, value) if not state or state[0] == value else ILLEGAL
    return state[1:] if state and state[0] == value else ILLEGAL


def semaphore(state: int, f: str, value: Any, ok: bool) -> Any:
    """One permit at first; value is how many are taken or given."""
    if f == "release":
        return state + value
    return state - value if state >= value else ILLEGAL


def kv(state: str, f: str, value: Any, ok: bool) -> Any:
    """A text that is put, appended to and got."""
    if f == "put":
        return value
    if f == "append":
        return state + value
    return state if not ok or value is None or state == value else ILLEGAL


def registers(state: tuple[tuple[str, int], ...], f: str, value: Any, ok: bool) -> Any:
    """Registers, several at once; what they hold at first is open until it is read."""
    now = dict(state)
    for what, name, item in value:
        if what == "w":
            now[name] = item
        elif item is not None and now.setdefault(name, item) != item:
            return ILLEGAL
    return tuple(sorted(now.items()))


OBJECTS: dict[str, tuple[Any, Callable[[Any, str, Any, bool], Any]]] = {
    "register": (None, register),
    "cas-register": (None, register),
    "queue": ((), queue),
    "set": (frozenset(), members),
    "counter": (0, counter),
    "mutex": (False, mutex),
    "stack": ((), stack),
    "owner-mutex": (None, owned_mutex),
    "reentrant-mutex": ((), reentrant_mutex),
    "semaphore": (1, semaphore),
    "kv": ("", kv),
    "multi-register": ((), registers),
}


def linearizable(model: str, ops: Iterable[Op]) -> bool:
    """Whether each object's ops have a legal order within their times. Exponential."""
    everything = list(ops)
    return all(
        _linearizable(model, [op for op in everything if op.key == key])
        for key in {op.key for op in everything}
    )


def _linearizable(model: str, ops: list[Op]) -> bool:
    initial, step = OBJECTS[model]
    dead: set[tuple[frozenset[int], str]] = set()

    def place(done: frozenset[int], state: Any) -> bool:
        left = [number for number in range(len(ops)) if number not in done]
        ends = [op.end for number in left if (op := ops[number]).ok and op.end is not None]
        if not ends:
            return True
        if (done, repr(state)) in dead:
            return False
        for number in left:
            op = ops[number]
            if op.begin < min(ends):
                following = step(state, op.f, op.value, op.ok)
                if following is not ILLEGAL and place(done | {number}, following):
                    return True
        dead.add((done, repr(state)))
        return False

    return place(frozenset(), initial)


@dataclass(frozen=True)
class Txn:
    """One transaction. mops: (f, key, value). begin, end, ok: as in Op; what failed is not in a history here.
    process: its client."""

    mops: tuple[tuple[str, int, Any], ...]
    begin: int
    end: int
    ok: bool
    process: int = 0

    @property
    def keys(self) -> frozenset[int]:
        """The keys it writes."""
        return frozenset(key for f, key, _ in self.mops if f != "r")

    def precedes(self, other: Txn, order: str) -> bool:
        """Whether other comes after it by the order: of a "session", in "real" time, or "" for none."""
        known = order == "real" or (order == "session" and self.process == other.process)
        return known and self.ok and self.end < other.begin


State = dict[int, Hashable]


def run(txn: Txn, state: State) -> State | None:
    """Return the keys that a transaction leaves changed when it runs alone; None when it could not have read so."""
    mine = dict(state)
    for f, key, value in txn.mops:
        if f == "w":
            mine[key] = value
        elif f == "append":
            mine[key] = (*(mine.get(key) or ()), value)  # type: ignore[misc]
        elif txn.ok and mine.get(key, () if isinstance(value, tuple) else None) != value:
            return None
    return {key: mine[key] for key in txn.keys}


def serializable(txns: list[Txn], order: str = "") -> bool:
    """Whether the transactions could have run one after another, and in an order that is known."""
    dead: set[tuple[frozenset[int], str]] = set()

    def place(done: frozenset[int], state: State) -> bool:
        left = [number for number in range(len(txns)) if number not in done]
        if not any(txns[number].ok for number in left):
            return True
        seen = (done, repr(sorted(state.items())))
        if seen in dead:
            return False
        for number in left:
            if any(txns[other].precedes(txns[number], order) for other in left):
                continue
            changed = run(txns[number], state)
            if changed is not None and place(done | {number}, state | changed):
                return True
        dead.add(seen)
        return False

    return place(frozenset(), {})


def snapshot_isolated(txns: list[Txn], order: str = "") -> bool:
    """Whether each could have run on a snapshot, no two that overlap having written one key; with what comes before it
    by the order in its snapshot."""
    dead: set[str] = set()

    def place(done: frozenset[int], running: dict[int, tuple[State, frozenset[int]]], state: State) -> bool:
        if not any(txn.ok for number, txn in enumerate(txns) if number not in done):
            return True
        seen = repr(
            (
                sorted(done),
                sorted((n, sorted(c.items()), sorted(k)) for n, (c, k) in running.items()),
                sorted(state.items()),
            )
        )
        if seen in dead:
            return False
        for number, txn in enumerate(txns):
            if number in done:
                continue
            if number not in running:
                if any(txns[n].precedes(txn, order) for n in range(len(txns)) if n not in done):
                    continue
                changed = run(txn, state)
                if changed is not None and place(done, running | {number: (changed, frozenset())}, state):
                    return True
            elif not running[number][1] & txn.keys:
                changed = running[number][0]
                others = {n: (c, k | txn.keys) for n, (c, k) in running.items() if n != number}
                if place(done | {number}, others, state | changed):
                    return True
        dead.add(seen)
        return False

    return place(frozenset(), {}, {})
