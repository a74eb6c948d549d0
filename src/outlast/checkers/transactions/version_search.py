"""Is there an order of versions, for each register, in which transactions could have run?

Reads tell which write they saw, not in which order writes of a register came. For a read of a's version by r, any
other writer b of that register comes before a, or after a and then after r too. What one answer excludes forces the
other, until nothing new follows (saturation); what is left open is tried, one way and the other.

Serial: all dependencies together have no cycle. Snapshot: no cycle without two anti-dependencies in a row, for
which each transaction has a second node, *arrived at by an anti-dependency*, that only other edges leave.

Sources: Papadimitriou, "The Serializability of Concurrent Database Updates" (JACM 1979), polygraphs; Biswas and
Enea, "On the Complexity of Checking Transactional Consistency" (OOPSLA 2019); Cerone and Gotsman, "Analysing
Snapshot Isolation" (PODC 2016); Huang et al., "Efficient Black-box Checking of Snapshot Isolation in Databases"
(PolySI, VLDB 2023).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from outlast.clock import now_ns

INITIAL = -1
"""Who wrote what a register holds before it is written."""


@dataclass(frozen=True, slots=True)
class Read:
    """reader saw on key what writer wrote, or INITIAL."""

    reader: int
    key: int
    writer: int


@dataclass(frozen=True, slots=True)
class Conflict:
    """A read, and another writer of its key that can come neither before what was read nor after the read."""

    read: Read
    other: int


@dataclass(slots=True)
class _Order:
    """What is known to come before what, by node: after and before hold all nodes, as bits. seen: by read, what
    was known of its nodes when it was last looked at."""

    after: list[int]
    before: list[int]
    seen: list[tuple[int, int, int]]

    def copy(self) -> _Order:
        return _Order(self.after.copy(), self.before.copy(), self.seen.copy())

    def add(self, first: int, then: int) -> bool:
        """Order two nodes and all that follows from it; False when it makes a cycle."""
        after, before = self.after, self.before
        if after[first] >> then & 1:
            return True
        if first == then or after[then] >> first & 1:
            return False
        later, earlier = after[then] | 1 << then, before[first] | 1 << first
        for node in _bits(earlier):
            after[node] |= later
        for node in _bits(later):
            before[node] |= earlier
        return True


@dataclass(slots=True)
class VersionSearch:
    """One search. count: of transactions, numbered from 0. writers: by key, who wrote a last value of it.
    reads: of committed transactions. after: by transaction, the bits of those that are known to come after it
    (real time), all that follows from it included. snapshot: whether anti-dependencies in a row are fine.
    chain: (earlier, later) writers whose order is known.
    conflict: set when there is no order and no choice had to be tried.
    """

    count: int
    writers: dict[int, list[int]]
    reads: list[Read]
    after: list[int]
    snapshot: bool
    chain: list[tuple[int, int]] = field(default_factory=list)
    conflict: Conflict | None = None
    branches: int = 0
    _masks: dict[int, int] = field(default_factory=dict)

    def run(self, deadline: int) -> bool | None:
        """Return whether there is an order, None when the deadline (monotonic ns) passes first.

        O(reads · count / 64) until nothing new follows, exponential in the choices left at worst.
        """
        self._masks = {key: _mask(members) for key, members in self.writers.items()}
        if self.snapshot:  # two writers of one register are in order, even where nobody reads them
            own = [Read(writer, key, writer) for key, members in self.writers.items() for writer in members]
            self.reads = [*self.reads, *own]
        order = self._begin()
        if order is None or not self._saturate(order):
            return False
        waiting: list[tuple[_Order, Read, int, bool]] = []
        while (choice := self._open_choice(order)) is not None:
            if now_ns() > deadline:
                return None
            self.branches += 1
            read, other = choice
            first = other < read.writer  # as they were invoked
            waiting.append((order.copy(), read, other, not first))
            while not (self._put(order, read, other, before=first) and self._saturate(order)):
                if not waiting:
                    self.conflict = Conflict(read, other)
                    return False
                order, read, other, first = waiting.pop()
        self.conflict = None
        return True

    def _begin(self) -> _Order | None:
        """Return what is known at first: real time, and each read after what it saw; None for a cycle."""
        nodes = 2 * self.count if self.snapshot else self.count
        order = _Order([0] * nodes, [0] * nodes, [(-1, -1, -1)] * len(self.reads))
        for first, later in enumerate(self.after):
            for node in (first, self.count + first) if self.snapshot else (first,):
                order.after[node] |= later
                for then in _bits(later):
                    order.before[then] |= 1 << node
        if not all(self._follows(order, earlier, later) for earlier, later in self.chain):
            return None
        for read in self.reads:
            if read.writer in (INITIAL, read.reader):
                continue
            if not self._follows(order, read.writer, read.reader):
                self.conflict = Conflict(read, read.writer)
                return None
        for read in self.reads:
            if read.writer != INITIAL:
                continue
            for other in self.writers.get(read.key, ()):
                if other != read.reader and not self._overwrites(order, read.reader, other):
                    self.conflict = Conflict(read, other)
                    return None
        return order

    def _follows(self, order: _Order, first: int, then: int) -> bool:
        """Put a transaction after another that it read from or overwrote."""
        if first == then or not order.add(first, then):
            return False
        return not self.snapshot or order.add(self.count + first, then)

    def _overwrites(self, order: _Order, reader: int, writer: int) -> bool:
        """Put the writer of a later version after who read an earlier one."""
        return order.add(reader, self.count + writer if self.snapshot else writer)

    def _put(self, order: _Order, read: Read, other: int, *, before: bool) -> bool:
        return self._put_before(order, read, other) if before else self._put_after(order, read, other)

    def _put_before(self, order: _Order, read: Read, other: int) -> bool:
        return self._follows(order, other, read.writer)

    def _put_after(self, order: _Order, read: Read, other: int) -> bool:
        if other != read.reader and not self._overwrites(order, read.reader, other):
            return False
        return self._follows(order, read.writer, other)

    def _saturate(self, order: _Order) -> bool:
        """Draw all conclusions; False, with the conflict, when they contradict each other."""
        changed = True
        while changed:
            changed = False
            for place, read in enumerate(self.reads):
                if read.writer == INITIAL:
                    continue
                known = self._known(order, read)
                if known == order.seen[place]:
                    continue
                order.seen[place] = known
                changed = True
                for other in _bits(self._after_write(order, read)):
                    if not self._put_after(order, read, other):
                        self.conflict = Conflict(read, other)
                        return False
                for other in _bits(self._before_read(order, read)):
                    if not self._put_before(order, read, other):
                        self.conflict = Conflict(read, other)
                        return False
        return True

    def _known(self, order: _Order, read: Read) -> tuple[int, int, int]:
        return order.after[read.writer], order.before[read.reader], order.before[read.writer]

    def _after_write(self, order: _Order, read: Read) -> int:
        """Return the other writers that surely come after what was read."""
        after = order.after[read.writer]
        return (after | after >> self.count if self.snapshot else after) & self._others(read)

    def _before_read(self, order: _Order, read: Read) -> int:
        """Return the other writers that cannot come after the read."""
        before = order.before[read.reader]
        if self.snapshot:
            before = before >> self.count | order.before[read.writer]
        return before & self._others(read) & ~(1 << read.reader)

    def _others(self, read: Read) -> int:
        everyone = (1 << self.count) - 1
        return self._masks.get(read.key, 0) & everyone & ~(1 << read.writer)

    def _open_choice(self, order: _Order) -> tuple[Read, int] | None:
        """Return a read and a writer that may still come before it or after it, None when all is decided."""
        for read in self.reads:
            if read.writer == INITIAL:
                continue
            decided = order.before[read.writer] | order.after[read.writer]
            left = self._others(read) & ~decided
            if left:
                return read, (left & -left).bit_length() - 1
        return None


def _bits(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def _mask(members: Iterable[int]) -> int:
    mask = 0
    for member in members:
        mask |= 1 << member
    return mask
