"""ReadIndex: linearizable reads without a log entry.

A leader notes its commit index, proves by one round of heartbeats that it still leads, and only then lets the
read go on once that index is applied. Reads that arrive together share rounds: proof of a later one proves
all earlier ones. Source: thesis §6.4.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from raftlog.core.types import Message


@dataclass(slots=True)
class PendingRead:
    """A read that waits for its round. index: the commit index when it came. acks: who has answered the round."""

    request: Message
    index: int
    round: bytes
    acks: dict[int, bool] = field(default_factory=dict)


class PendingReads:
    """The reads a leader has not yet answered, oldest first."""

    def __init__(self) -> None:
        self._queue: deque[PendingRead] = deque()
        self._by_round: dict[bytes, PendingRead] = {}

    def add(self, request: Message, index: int, round_mark: bytes, leader: int) -> None:
        """Queue a read; the leader itself counts as the first to answer its round."""
        if round_mark not in self._by_round:
            read = PendingRead(request, index, round_mark, {leader: True})
            self._queue.append(read)
            self._by_round[round_mark] = read

    def ack(self, node: int, round_mark: bytes) -> dict[int, bool]:
        """Note that node answered a round; return everyone who has, or {} for a round that is not waiting."""
        read = self._by_round.get(round_mark)
        if read is None:
            return {}
        read.acks[node] = True
        return read.acks

    def release(self, round_mark: bytes) -> list[PendingRead]:
        """Return the read of a proven round and all before it, and forget them."""
        released: list[PendingRead] = []
        if round_mark in self._by_round:
            while self._queue:
                read = self._queue.popleft()
                del self._by_round[read.round]
                released.append(read)
                if read.round == round_mark:
                    break
        return released

    @property
    def last_round(self) -> bytes:
        """The mark that a heartbeat carries so that its answer proves the newest round; empty when none waits."""
        return self._queue[-1].round if self._queue else b""

    def __len__(self) -> int:
        return len(self._queue)
