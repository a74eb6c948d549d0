"""Levels below snapshots, from their definitions: whether transactions can be ordered so that all was seen that had to
be. Nothing is taken from the checkers.

Sources: Adya (1999) for PL-1, PL-2 and PL-CS; Biswas and Enea (OOPSLA 2019) for read atomic and causal; Lipton and
Sandberg (1988) for PRAM.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from definitions import State, Txn, run

Edges = dict[int, set[int]]
Read = tuple[int, int, int | None]
"""(reader, key, who wrote what it saw; None for nobody)."""


def holds(level: str, txns: list[Txn], *, lists: bool) -> bool | None:
    """Whether a level below snapshots holds; None where it is not said what it means."""
    order = "session" if level.startswith("strong-session-") or level in ("read-atomic", "causal") else ""
    level = level.removeprefix("strong-session-")
    if level == "pram":
        return all(_one_view(txns, process) for process in {txn.process for txn in txns})
    happened = _Happened(txns, lists)
    if level == "read-uncommitted":
        if lists and not happened.compatible:
            return None
        edges = happened.written(intermediate=True)
    elif level in ("read-committed", "cursor-stability"):
        edges = happened.written(intermediate=False)
    else:
        edges = happened.seen_whole(level, order)
    if edges is None:
        return False
    for number, txn in enumerate(txns):
        edges[number] |= {n for n, other in enumerate(txns) if txn.precedes(other, order)}
    if level == "cursor-stability":
        return _undisturbed(txns, edges, happened.updates())
    return acyclic(edges)


class _Happened:
    """What the transactions wrote and read of each other."""

    def __init__(self, txns: list[Txn], lists: bool) -> None:
        self.txns, self.lists = txns, lists
        self.writes: dict[tuple[int, int], list[Any]] = {}
        for number, txn in enumerate(txns):
            for f, key, value in txn.mops:
                if f != "r":
                    self.writes.setdefault((key, number), []).append(value)
        self.writer = {(key, v): n for (key, n), values in self.writes.items() for v in values}
        self.final = {(key, values[-1]) for (key, _), values in self.writes.items()}
        lists_read = [(key, v) for txn in txns if txn.ok for f, key, v in txn.mops if f == "r"]
        self.compatible = not lists or all(
            a[: len(b)] == b[: len(a)] for k, a in lists_read for key, b in lists_read if k == key
        )

    def edges(self) -> Edges:
        return {number: set() for number in range(len(self.txns))}

    def saw(self, key: int, value: Any) -> Any:
        """The last write that a read saw: its value, or None."""
        return (value[-1] if value else None) if self.lists else value

    def order_of_lists(self, edges: Edges) -> bool:
        """Add who comes after whom by the lists that were read; whether each could be the beginning of one list."""
        for txn in self.txns if self.lists else ():
            for f, key, value in txn.mops if txn.ok else ():
                if f == "r" and not self._order_of_list(edges, key, value):
                    return False
        return True

    def _order_of_list(self, edges: Edges, key: int, value: tuple[Any, ...]) -> bool:
        if len(set(value)) < len(value) or any((key, each) not in self.writer for each in value):
            return False
        writers = [self.writer[key, each] for each in value]
        for writer in set(writers):
            mine = [each for each in value if self.writer[key, each] == writer]
            if mine != self.writes[key, writer][: len(mine)]:
                return False
        for earlier, later in pairwise(writers):
            if earlier != later:
                edges[earlier].add(later)
        for (other_key, other), values in self.writes.items():
            # What was not seen comes after; if only the rest of one's own appends is, that is in order anyway.
            if writers and other_key == key and values[-1] not in value and other != writers[-1]:
                edges[writers[-1]].add(other)
        return True

    def written(self, *, intermediate: bool) -> Edges | None:
        """PL-1 (intermediate) and PL-2: reads of what was written; only what was written last, and nobody reads in a
        circle."""
        edges = self.edges()
        for number, txn in enumerate(self.txns):
            mine: set[tuple[int, Any]] = set()
            for f, key, value in txn.mops if txn.ok else ():
                if f != "r":
                    mine.add((key, value))
                elif (last := self.saw(key, value)) is not None:
                    if (key, last) not in self.writer:
                        return None
                    if intermediate:
                        continue
                    writer = self.writer[key, last]
                    if self.lists and any(
                        self.writer.get((key, each)) == number and (key, each) not in mine for each in value
                    ):
                        return None
                    if writer == number and (key, last) not in mine:
                        return None
                    if writer != number:
                        if (key, last) not in self.final:
                            return None
                        edges[writer].add(number)
        return edges if self.order_of_lists(edges) else None

    def updates(self) -> list[Read]:
        """What was read last before its reader wrote the key."""
        found: list[Read] = []
        for number, txn in enumerate(self.txns):
            last: dict[int, Read] = {}
            wrote: set[int] = set()
            for f, key, value in txn.mops if txn.ok else ():
                if f == "r":
                    last[key] = (number, key, self.writer.get((key, self.saw(key, value))))
                elif key in last and key not in wrote:
                    found.append(last[key])
                if f != "r":
                    wrote.add(key)
        return found

    def seen_whole(self, level: str, order: str) -> Edges | None:
        """Read atomic, causal: who saw a transaction saw all that it wrote, or what came later."""
        edges, reads = self.edges(), list[Read]()
        for number, txn in enumerate(self.txns):
            bases = self._bases(txn) if txn.ok else {}
            if bases is None:
                return None
            for key, value in bases.items():
                last = self.saw(key, value)
                if last is not None and (key, last) not in self.final:
                    return None
                writer = None if last is None else self.writer[key, last]
                if writer == number:
                    return None
                reads.append((number, key, writer))
        before: Edges = self.edges()
        for reader, _, writer in reads:
            if writer is not None:
                before[reader].add(writer)
                edges[writer].add(reader)
        for number, txn in enumerate(self.txns):
            before[number] |= {n for n, other in enumerate(self.txns) if other.precedes(txn, order)}
        for _ in self.txns if level == "causal" else ():
            for seen in before.values():
                seen |= {each for other in seen for each in before[other]}
        for reader, key, writer in reads:
            for other in before[reader] - {reader, writer}:
                if (key, other) in self.writes:
                    if writer is None:
                        return None
                    edges[other].add(writer)
        return edges if self.order_of_lists(edges) else None

    def _bases(self, txn: Txn) -> dict[int, Any] | None:
        """What a transaction saw of others, by key; None when it contradicts itself."""
        mine: State = {}
        bases: dict[int, Any] = {}
        for f, key, value in txn.mops:
            if f == "append":
                mine[key] = (*(mine.get(key) or ()), value)  # type: ignore[misc]
            elif f == "w":
                mine[key] = value
            elif not self.lists and key in mine:
                if mine[key] != value:
                    return None
            else:
                own: Any = mine.get(key, ())
                if self.lists and tuple(value)[len(value) - len(own) :] != tuple(own):
                    return None
                base = tuple(value)[: len(value) - len(own)] if self.lists else value
                if bases.setdefault(key, base) != base:
                    return None
        return bases


def _undisturbed(txns: list[Txn], edges: Edges, updates: list[Read]) -> bool:
    """Whether there is an order with nothing written between a read and its own write of the key. Exponential."""

    def place(done: tuple[int, ...]) -> bool:
        left = [number for number in range(len(txns)) if number not in done]
        if not left:
            return True
        for number in left:
            if any(number in edges[other] for other in left):
                continue
            if all(
                _last(txns, done, key) == writer for reader, key, writer in updates if reader == number
            ) and place((*done, number)):
                return True
        return False

    def needed() -> set[int]:
        return {number for number, txn in enumerate(txns) if txn.ok or edges[number]}

    gone = set(range(len(txns))) - needed()
    return place(tuple(gone)) if not gone else _without(txns, edges, updates, gone)


def _without(txns: list[Txn], edges: Edges, updates: list[Read], gone: set[int]) -> bool:
    """The same for those that happened: nobody has seen the others."""
    kept = [number for number in range(len(txns)) if number not in gone]
    new = {number: place for place, number in enumerate(kept)}
    return _undisturbed(
        [txns[number] for number in kept],
        {new[number]: {new[each] for each in edges[number] if each in new} for number in kept},
        [(new[a], key, None if b is None else new[b]) for a, key, b in updates],
    )


def _last(txns: list[Txn], done: tuple[int, ...], key: int) -> int | None:
    return next((number for number in reversed(done) if key in txns[number].keys), None)


def _one_view(txns: list[Txn], process: int) -> bool:
    """Whether all writes have an order, each process' in its own, in which what one process read is right."""
    mine = {number for number, txn in enumerate(txns) if txn.ok and txn.process == process}
    dead: set[tuple[frozenset[int], str]] = set()

    def place(done: frozenset[int], state: State) -> bool:
        if mine <= done:
            return True
        seen = (done, repr(sorted(state.items())))
        if seen in dead:
            return False
        left = [number for number in range(len(txns)) if number not in done]
        for number in left:
            txn = txns[number]
            if any(txns[other].precedes(txn, "session") for other in left):
                continue
            deaf = Txn(txn.mops, txn.begin, txn.end, number in mine, txn.process)
            changed = run(deaf, state)
            if changed is not None and place(done | {number}, state | changed):
                return True
        dead.add(seen)
        return False

    return place(frozenset(), {})


def acyclic(edges: Edges) -> bool:
    """Whether there is an order that keeps these edges."""
    left = dict(edges)
    while left:
        free = [node for node, targets in left.items() if not targets & left.keys()]
        if not free:
            return False
        for node in free:
            del left[node]
    return True
