"""The log: entries already stored, entries on their way to the disk, and how far it is committed and applied.

    first ……… applied ……… committed ……… stored ┊ unstable ……… last
              └ applied ≤ committed ≤ last      ┊ └ handed out by Ready, then marked stable

Safety rests on two rules kept here: nothing committed is ever replaced (Raft §5.4, asserted), and a new entry
replaces a conflicting one together with everything behind it (Raft §5.3).
"""

from __future__ import annotations

from collections.abc import Sequence

from raftlog.core.storage import NO_LIMIT, Storage, limit_bytes
from raftlog.core.types import Entry, EntryKind, LogCompacted, SnapshotPoint


class RaftLog:
    """The log of one node. storage: what is on disk. applying_bytes_max: most data that one Ready hands out
    to apply."""

    def __init__(self, storage: Storage, applying_bytes_max: int = NO_LIMIT) -> None:
        self._storage = storage
        self._applying_bytes_max = applying_bytes_max
        self._unstable: list[Entry] = []
        self._offset = storage.last_index + 1
        self.pending: SnapshotPoint | None = None
        """A snapshot received and not yet stored."""
        self.committed = storage.first_index - 1
        self.applied = self.committed

    @property
    def first_index(self) -> int:
        """The first index that can be read."""
        return self.pending.index + 1 if self.pending else self._storage.first_index

    @property
    def last_index(self) -> int:
        """The last index, stored or not."""
        return self._offset + len(self._unstable) - 1

    @property
    def last_term(self) -> int:
        """The term of the last entry."""
        return self.term(self.last_index)

    def term(self, index: int) -> int:
        """Return the term of the entry at index; 0 beyond the end. Raises LogCompacted where a snapshot took it."""
        if index >= self._offset:
            position = index - self._offset
            return self._unstable[position].term if position < len(self._unstable) else 0
        if self.pending is not None:
            if index == self.pending.index:
                return self.pending.term
            raise LogCompacted(index)
        if index + 1 < self._storage.first_index:
            raise LogCompacted(index)
        return self._storage.term(index)

    def term_or_zero(self, index: int) -> int:
        """Return the term at index, 0 when it is not known."""
        try:
            return self.term(index)
        except LogCompacted:
            return 0

    def matches(self, index: int, term: int) -> bool:
        """Whether this log has an entry at index with that term: then all before it agree too (Raft §5.3)."""
        return self.first_index - 1 <= index <= self.last_index and self.term_or_zero(index) == term

    def is_up_to_date(self, index: int, term: int) -> bool:
        """Whether a log that ends at index with that term holds all that ours may have committed (Raft §5.4.1)."""
        last = self.last_term
        return term > last or (term == last and index >= self.last_index)

    def entries(self, low: int, high: int, bytes_max: int = NO_LIMIT) -> Sequence[Entry]:
        """Return the entries in [low, high) within bytes_max. Raises LogCompacted when low is gone."""
        if low >= high:
            return ()
        if low < self.first_index:
            raise LogCompacted(low)
        if low >= self._offset:
            return limit_bytes(self._unstable[low - self._offset : high - self._offset], bytes_max)
        stored = self._storage.entries(low, min(high, self._offset), bytes_max)
        if high <= self._offset or len(stored) < self._offset - low:
            return stored
        return limit_bytes([*stored, *self._unstable[: high - self._offset]], bytes_max)

    def append(self, entries: Sequence[Entry]) -> int:
        """Put entries at their indices, replacing what was there and behind; return the last index."""
        if entries:
            after = entries[0].index - 1
            if after < self.committed:
                raise AssertionError(f"entry {after + 1} would replace a committed one ({self.committed})")
            if after + 1 <= self._offset:
                self._offset = after + 1
                self._unstable = list(entries)
            else:
                del self._unstable[after + 1 - self._offset :]
                self._unstable.extend(entries)
        return self.last_index

    def try_append(self, index: int, term: int, entries: Sequence[Entry], commit: int) -> int | None:
        """Take a leader's append: return the last index now known to agree with it, None when the logs differ before.

        index, term: the entry before the first one. commit: the leader's commit index. Source: Raft §5.3,
        figure 2 (AppendEntries, rules 2 to 5).
        """
        if not self.matches(index, term):
            return None
        new = self._first_conflict(entries)
        if new is not None:
            self.append(entries[new:] if new else entries)
        last = index + len(entries)
        self.commit_to(min(commit, last))
        return last

    def _first_conflict(self, entries: Sequence[Entry]) -> int | None:
        if entries and entries[0].index > self.last_index:
            return 0
        return next(
            (at for at, entry in enumerate(entries) if not self.matches(entry.index, entry.term)), None
        )

    def last_at_or_below_term(self, index: int, term: int) -> tuple[int, int]:
        """Return the last entry at or before index whose term is at most term, and its term (0 when not known).

        Neither log can agree at an entry of a later term, so probing skips whole terms (Raft §5.3, last paragraphs).
        """
        while index > 0:
            try:
                ours = self.term(index)
            except LogCompacted:
                return index, 0
            if ours <= term:
                return index, ours
            index -= 1
        return 0, 0

    def commit_to(self, index: int) -> bool:
        """Raise the commit index to index; it never falls. Return whether it rose."""
        if index <= self.committed:
            return False
        if index > self.last_index:
            raise AssertionError(
                f"commit {index} is beyond the log's end {self.last_index}: was the log truncated?"
            )
        self.committed = index
        return True

    def try_commit(self, index: int, term: int) -> bool:
        """Commit up to index if its entry is of the leader's own term (Raft §5.4.2, figure 8)."""
        return index > self.committed and self.term_or_zero(index) == term and self.commit_to(index)

    def restore(self, point: SnapshotPoint) -> None:
        """Let a snapshot stand for the whole log (Raft §7)."""
        self.pending = point
        self.committed = point.index
        self._unstable = []
        self._offset = point.index + 1

    def unstable(self) -> list[Entry]:
        """Return the entries that are not yet on disk."""
        return self._unstable[:]

    @property
    def has_unstable(self) -> bool:
        """Whether any entry is not yet on disk."""
        return bool(self._unstable)

    def to_apply(self) -> Sequence[Entry]:
        """Return committed entries not yet applied, within the size bound. None while a snapshot waits."""
        if self.pending is not None or self.applied >= self.committed:
            return ()
        return self.entries(self.applied + 1, self.committed + 1, self._applying_bytes_max)

    @property
    def has_to_apply(self) -> bool:
        """Whether to_apply() would return any."""
        return self.pending is None and self.applied < self.committed

    def unapplied_config_change(self) -> bool:
        """Whether a membership change is committed and not yet applied: then nobody may campaign (thesis §4.1)."""
        low = self.applied + 1
        while low <= self.committed:
            page = self.entries(low, self.committed + 1, 1 << 20)
            if any(entry.kind != EntryKind.NORMAL for entry in page):
                return True
            low += len(page)
        return False

    def stable_to(self, index: int, term: int) -> None:
        """Note that the disk holds everything up to index, unless the entry there has been replaced meanwhile."""
        position = index - self._offset
        if 0 <= position < len(self._unstable) and self._unstable[position].term == term:
            del self._unstable[: position + 1]
            self._offset = index + 1

    def snapshot_stored(self, index: int) -> None:
        """Note that the received snapshot that ends at index is on disk."""
        if self.pending is not None and self.pending.index == index:
            self.pending = None

    def applied_to(self, index: int) -> None:
        """Note that the caller has applied everything up to index."""
        if not self.applied <= index <= self.committed:
            raise AssertionError(f"applied {index} is not in [{self.applied}, {self.committed}]")
        self.applied = index

    def latest_snapshot(self) -> SnapshotPoint | None:
        """Return the snapshot that a follower too far behind can be sent."""
        return self.pending or self._storage.snapshot()
