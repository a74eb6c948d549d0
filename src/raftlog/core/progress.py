"""What a leader knows of one follower, and how much it may send it.

    state      next sent                        leaves when
    PROBE      one append, then waits           an append is accepted → REPLICATE; the log is gone → SNAPSHOT
    REPLICATE  appends in a pipeline, bounded   an append is refused or lost → PROBE
    SNAPSHOT   nothing                          the follower's log reaches ours again → REPLICATE; failed →
    PROBE

Source: Raft §5.3 (nextIndex, matchIndex); the three states are how etcd's raft names them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from raftlog.core.types import ProgressState


@dataclass(slots=True)
class Inflight:
    """Appends that are sent and not yet answered, oldest first. count_max, bytes_max: the window (0: no bound)."""

    count_max: int = 256
    bytes_max: int = 0
    bytes: int = 0
    sent: deque[tuple[int, int]] = field(default_factory=deque)

    def add(self, last_index: int, size: int) -> None:
        """Note an append whose last entry is last_index and whose payload is size bytes."""
        self.sent.append((last_index, size))
        self.bytes += size

    def free_to(self, index: int) -> None:
        """Forget every append that ends at or before index: the follower has it."""
        sent = self.sent
        while sent and sent[0][0] <= index:
            self.bytes -= sent.popleft()[1]

    def reset(self) -> None:
        """Forget all of them."""
        self.sent.clear()
        self.bytes = 0

    @property
    def full(self) -> bool:
        """Whether nothing more may be sent until an answer comes."""
        return len(self.sent) >= self.count_max or 0 < self.bytes_max <= self.bytes


@dataclass(slots=True)
class Progress:
    """One follower (or the leader itself), as its leader sees it.

    match: the highest index known to be stored there. next: the next index to send; always > match.
    active: heard from since the last quorum check. paused: no append until a heartbeat is answered.
    sent_commit: the highest commit index it was told.
    """

    next: int
    match: int = 0
    state: ProgressState = ProgressState.PROBE
    learner: bool = False
    active: bool = False
    paused: bool = False
    pending_snapshot: int = 0
    sent_commit: int = 0
    inflight: Inflight = field(default_factory=Inflight)

    def probe(self) -> None:
        """Send one append at a time until one is accepted. After a snapshot, start behind what it covered."""
        after = self.pending_snapshot if self.state == ProgressState.SNAPSHOT else 0
        self._reset(ProgressState.PROBE)
        self.next = max(self.match, after) + 1
        self.sent_commit = min(self.sent_commit, self.next - 1)

    def replicate(self) -> None:
        """Send appends in a pipeline: the logs are known to agree at match."""
        self._reset(ProgressState.REPLICATE)
        self.next = self.match + 1

    def await_snapshot(self, index: int) -> None:
        """Send nothing: a snapshot that ends at index is on its way."""
        self._reset(ProgressState.SNAPSHOT)
        self.pending_snapshot = index
        self.next = index + 1
        self.sent_commit = index

    def _reset(self, state: ProgressState) -> None:
        self.state = state
        self.paused = False
        self.pending_snapshot = 0
        self.inflight.reset()

    @property
    def is_paused(self) -> bool:
        """Whether no append may be sent now."""
        return self.paused or self.state == ProgressState.SNAPSHOT

    def on_sent(self, count: int, size: int) -> None:
        """Note an append of count entries and size payload bytes that starts at next."""
        if self.state == ProgressState.REPLICATE:
            if count:
                self.next += count
                self.inflight.add(self.next - 1, size)
            self.paused = self.inflight.full
        elif count:
            self.paused = True

    def can_raise_commit(self, index: int) -> bool:
        """Whether telling the follower that index is committed would let it commit more than it could so far."""
        return index > self.sent_commit and self.sent_commit < self.next - 1

    def on_accepted(self, index: int) -> bool:
        """Note that the log is stored there up to index; return whether that is news."""
        if index <= self.match:
            return False
        self.match = index
        self.next = max(self.next, index + 1)
        self.paused = False
        return True

    def on_rejected(self, refused: int, hint: int) -> bool:
        """Move next back after the append behind `refused` was refused; return False for an answer out of date.

        hint: the last index at which the logs may agree (Raft §5.3, the faster backtracking).
        """
        if self.state == ProgressState.REPLICATE:
            if refused <= self.match:
                return False
            self.next = self.match + 1
        else:
            if self.next - 1 != refused:
                return False
            self.next = max(min(refused, hint + 1), self.match + 1)
            self.paused = False
        self.sent_commit = min(self.sent_commit, self.next - 1)
        return True

    def __str__(self) -> str:
        parts = [f"State{self.state.name.capitalize()} match={self.match} next={self.next}"]
        if self.learner:
            parts.append("learner")
        if self.is_paused:
            parts.append("paused")
        if self.pending_snapshot:
            parts.append(f"pendingSnap={self.pending_snapshot}")
        if not self.active:
            parts.append("inactive")
        if self.inflight.sent:
            parts.append(f"inflight={len(self.inflight.sent)}{'[full]' if self.inflight.full else ''}")
        return " ".join(parts)
