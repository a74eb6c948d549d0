"""A disk that forgets: what was not synced may be gone, whole or in part, after a crash."""

from __future__ import annotations

import random
from uuid import UUID

from raftlog.core.storage import NO_LIMIT, MemoryStorage
from raftlog.core.types import Entry, HardState, SnapshotPoint
from raftlog.records import encode_entry
from raftlog.wal.scan import Header, encode_batch, encode_state, scan

_PAGE = 512
_STORE = UUID(int=1)


class SimDisk:
    """One node's disk: a log in the format of the real one, and its newest snapshot.

    Bytes behind `synced` are in a cache. crash() keeps an arbitrary part of them, page by page, as a power
    cut would.
    """

    def __init__(self, node: int) -> None:
        self.node = node
        self.point = SnapshotPoint()
        self.state = ""
        """The snapshot's content: in the simulator, the digest of everything applied."""
        self._log = bytearray(Header(_STORE, node, 1, HardState()).encode())
        self._synced = len(self._log)
        self._batch = 0
        self._durable: dict[int, int] = {}
        """Term by index of the entries that are here for good."""

    def stage(self, entries: list[Entry], hard: HardState) -> None:
        """Write a batch into the cache."""
        self._batch += 1
        self._log += encode_batch(self._batch)
        for entry in entries:
            self._log += encode_entry(entry)
        self._log += encode_state(hard)

    def sync(self) -> None:
        """Make everything written so far durable."""
        self._synced = len(self._log)

    def note_durable(self, entries: list[Entry]) -> None:
        """Note that entries were synced; they replace whatever was at their indices and after."""
        if entries:
            first = entries[0].index
            for index in [index for index in self._durable if index >= first]:
                del self._durable[index]
            self._durable.update((entry.index, entry.term) for entry in entries)

    def has_durably(self, index: int, term: int) -> bool:
        """Whether an entry is here for good, itself or in a snapshot."""
        return index <= self.point.index or self._durable.get(index) == term

    def crash(self, rng: random.Random) -> None:
        """Lose power: of what was not synced, each page is kept, zeroed or filled with garbage."""
        tail = self._log[self._synced :]
        del self._log[self._synced :]
        for at in range(0, len(tail), _PAGE):
            page = tail[at : at + _PAGE]
            match rng.randrange(4):
                case 0:
                    page = bytearray(len(page))
                case 1:
                    page = bytearray(rng.randbytes(len(page)))
                case 2:
                    self._log += page[: rng.randrange(len(page) + 1)]
                    return
            self._log += page

    def save_snapshot(
        self, point: SnapshotPoint, state: str, storage: MemoryStorage, hard: HardState
    ) -> None:
        """Replace the snapshot and rewrite the log behind it, in one atomic step as a rename is."""
        self.point, self.state = point, state
        self._log = bytearray(Header(_STORE, self.node, 1, hard).encode())
        self._batch += 1
        self._log += encode_batch(self._batch)
        low = max(storage.first_index, point.index + 1)
        for entry in storage.entries(low, storage.last_index + 1, NO_LIMIT):
            self._log += encode_entry(entry)
        self._log += encode_state(hard)
        self._synced = len(self._log)

    def install_snapshot(
        self, point: SnapshotPoint, state: str, storage: MemoryStorage, hard: HardState
    ) -> None:
        """Let a snapshot received from a leader stand for the whole log."""
        self.save_snapshot(point, state, storage, hard)
        self._durable = {}

    def recover(self) -> MemoryStorage:
        """Read the log back, cutting a torn tail, as a node does when it starts."""
        segment = scan(bytes(self._log), f"node {self.node}", last=True)
        storage = MemoryStorage()
        if self.point.index:
            storage.install(self.point)
        if segment is not None:
            storage.hard = segment.hard
            for _, entry in segment.entries:
                storage.append([entry])
            self._log = self._log[: segment.end]
            self._batch = max(self._batch, segment.last_batch)
        self._synced = len(self._log)
        stored = storage.entries(storage.first_index, storage.last_index + 1, NO_LIMIT)
        self._durable = {entry.index: entry.term for entry in stored}
        if storage.hard.commit < self.point.index:
            storage.hard = HardState(storage.hard.term, storage.hard.vote, self.point.index)
        return storage
