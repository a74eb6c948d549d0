"""What the core reads back of what its caller has stored, and the simplest thing that can be asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from raftlog.core.types import Entry, HardState, LogCompacted, Membership, SnapshotPoint

NO_LIMIT: Final = 1 << 62
"""Bytes that no log holds."""


class Storage(Protocol):
    """The stored part of the log. Called synchronously by the core: answers come from memory or one short read."""

    def initial(self) -> tuple[HardState, Membership]:
        """Return the hard state and the membership as of the last snapshot."""
        ...

    @property
    def first_index(self) -> int:
        """The first index that entries() can return."""
        ...

    @property
    def last_index(self) -> int:
        """The last index stored; first_index − 1 when there is no entry."""
        ...

    def term(self, index: int) -> int:
        """Return the term of the entry at index; also of first_index − 1. Raises LogCompacted below that."""
        ...

    def entries(self, low: int, high: int, bytes_max: int) -> Sequence[Entry]:
        """Return the entries in [low, high) that fit bytes_max, at least one. Raises LogCompacted when gone."""
        ...

    def snapshot(self) -> SnapshotPoint | None:
        """Return the newest snapshot that can be sent now, or None."""
        ...


def limit_bytes(entries: Sequence[Entry], bytes_max: int) -> Sequence[Entry]:
    """Return the longest prefix whose data fits bytes_max; at least one entry, so that a large one still moves."""
    size = 0
    for count, entry in enumerate(entries):
        size += len(entry.data)
        if size > bytes_max and count:
            return entries[:count]
    return entries


class MemoryStorage:
    """A log in memory: for the simulator, for tests, and as the model that the WAL's storage is held to."""

    def __init__(self) -> None:
        self.hard = HardState()
        self.point = SnapshotPoint()
        self._start = SnapshotPoint()
        self._entries: list[Entry] = []

    def initial(self) -> tuple[HardState, Membership]:
        """Return hard state and membership."""
        return self.hard, self.point.membership

    @property
    def first_index(self) -> int:
        """The first index present."""
        return self._start.index + 1

    @property
    def last_index(self) -> int:
        """The last index present."""
        return self._start.index + len(self._entries)

    def term(self, index: int) -> int:
        """Return the term at index."""
        if index == self._start.index:
            return self._start.term
        if index < self._start.index:
            raise LogCompacted(index)
        return self._entries[index - self._start.index - 1].term

    def entries(self, low: int, high: int, bytes_max: int) -> Sequence[Entry]:
        """Return [low, high) within bytes_max."""
        if low < self.first_index:
            raise LogCompacted(low)
        start = self._start.index + 1
        return limit_bytes(self._entries[low - start : high - start], bytes_max)

    def snapshot(self) -> SnapshotPoint | None:
        """Return the newest snapshot, or None."""
        return self.point if self.point.index else None

    def append(self, entries: Sequence[Entry]) -> None:
        """Store entries, replacing whatever was at their indices and after (Raft §5.3)."""
        if entries:
            keep = entries[0].index - self._start.index - 1
            if keep < 0:
                entries, keep = [e for e in entries if e.index > self._start.index], 0
            del self._entries[keep:]
            self._entries.extend(entries)

    def install(self, point: SnapshotPoint) -> None:
        """Replace the whole log by a snapshot received from a leader."""
        self.point = self._start = point
        self._entries = []

    def compact(self, point: SnapshotPoint, *, keep: int = 0) -> None:
        """Note a snapshot taken here and drop the entries it covers, save the last `keep` of them."""
        self.point = point
        upto = point.index - keep
        if upto > self._start.index:
            start = SnapshotPoint(upto, self.term(upto), point.membership)
            del self._entries[: upto - self._start.index]
            self._start = start
