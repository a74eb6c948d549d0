"""The loop that turns the core's instructions into disk writes, frames and applied entries, and answers callers.

    propose / read / message / tick ─▶ core ─▶ Ready ─▶ APPENDs of a leader leave at once
                                                       ├▶ writer thread: one write, one sync
                                                       └▶ then: other messages leave, entries are applied,
                                                       callers told

While a batch is on its way to the disk, everything that comes in gathers and makes the next one: group commit.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from raftlog.core.config_change import ConfigChange, MembershipError
from raftlog.core.rawnode import RawNode, UnknownPeer
from raftlog.core.types import (
    Entry,
    EntryKind,
    Kind,
    Message,
    ProposalDropped,
    Ready,
    SnapshotPoint,
)
from raftlog.errors import RaftlogError
from raftlog.metrics import Histogram
from raftlog.node.log_writer import LogWriter
from raftlog.store.commands import Outcome
from raftlog.store.state_machine import StateMachine
from raftlog.wal.wal import Wal

WAITING_MAX: Final = 100_000
WAITING_BYTES_MAX: Final = 64 << 20
_READ_PATIENCE_TICKS: Final = 10

NOT_LEADER: Final = Outcome("NOT_LEADER_OR_FOLLOWER")
"""Certainly not done."""
OVERLOADED: Final = Outcome("THROTTLING_QUOTA_EXCEEDED")
"""Certainly not done: too much waits already."""
UNKNOWN: Final = Outcome("REQUEST_TIMED_OUT")
"""May be done yet: leadership was lost, or time ran out."""

Answer = Callable[[Outcome], None]


class Network(Protocol):
    """What the loop asks of the transport."""

    def send(self, messages: list[Message]) -> None:
        """Put messages on the wire; some may be lost."""


class ReadyLoop:
    """Drives one core. Everything runs in the event loop, save LogWriter.

    restored: what the state machine holds already. install: swaps in the state of a snapshot that was received.
    fail: called once with what stopped the node.
    """

    def __init__(
        self,
        core: RawNode,
        wal: Wal,
        machine: StateMachine,
        network: Network,
        *,
        restored: SnapshotPoint,
        install: Callable[[SnapshotPoint], None],
        fail: Callable[[RaftlogError], None],
    ) -> None:
        self.core, self.wal, self.machine, self.network = core, wal, machine, network
        self.applied, self.applied_term = restored.index, restored.term
        self.append_seconds, self.commit_seconds = Histogram(), Histogram()
        self.on_applied: list[Callable[[], None]] = []
        """Called after entries were applied: fetches that wait for messages."""
        self._install, self._fail = install, fail
        self._loop = asyncio.get_running_loop()
        self._writer = LogWriter(wal, self._loop)
        self._proposals: list[tuple[Entry, Answer]] = []
        self._proposed_bytes = 0
        self._waiting: deque[tuple[int, int, float, Answer]] = deque()
        """(index, term, when proposed, whom to tell) of this leader's proposals, in log order."""
        self._reads: list[Answer] = []
        self._rounds: dict[bytes, tuple[int, list[Answer]]] = {}
        """Reads under way: since which tick, and whom to tell."""
        self._ticks = 0
        self._until_applied: deque[tuple[int, list[Answer]]] = deque()
        self._mark = f"{core.id}:{secrets.token_hex(4)}".encode()
        """Tells this process's reads from those of another node, or of this one before it was started again."""
        self._round = itertools.count()
        self._busy = self._kicked = self.stopped = False
        self._held: list[Callable[[], None]] = []

    # --- asking -------------------------------------------------------------------------------------------

    def propose(self, data: bytes, answer: Answer, kind: EntryKind = EntryKind.NORMAL) -> None:
        """Propose a command; answer is called once, when it is applied or known to have failed, maybe at once."""
        if not self.core.leads or self.stopped:
            answer(NOT_LEADER)
        elif (
            len(self._waiting) + len(self._proposals) >= WAITING_MAX
            or self._proposed_bytes + len(data) > WAITING_BYTES_MAX
        ):
            answer(OVERLOADED)
        else:
            self._proposed_bytes += len(data)
            self._proposals.append((Entry(0, 0, data, kind), answer))
            self.kick()

    def read(self, answer: Answer) -> None:
        """Call answer once this node's state is at least as new as all that was committed before (thesis §6.4)."""
        if self.stopped or len(self._reads) >= WAITING_MAX:
            answer(OVERLOADED)
            return
        self._reads.append(answer)
        self.kick()

    def receive(self, messages: list[Message]) -> None:
        """Take messages from peers."""
        if self.stopped:
            return
        try:
            for message in messages:
                with contextlib.suppress(UnknownPeer, ProposalDropped, ValueError):
                    self.core.step(message)
        except (RaftlogError, AssertionError) as error:
            self._stop(error)
        self.drive()

    def tick(self) -> None:
        """Let a tick pass."""
        if not self.stopped:
            self._ticks += 1
            self._ask_again()
            self.core.tick()
            self.drive()

    def _ask_again(self) -> None:
        """Start reads anew whose round was not answered: it was lost, or no leader was known."""
        late = [
            mark for mark, (since, _) in self._rounds.items() if self._ticks - since >= _READ_PATIENCE_TICKS
        ]
        for mark in late:
            self._reads += self._rounds.pop(mark)[1]

    def kick(self) -> None:
        """Drive soon: once for all that comes in during this turn of the event loop."""
        if not self._kicked:
            self._kicked = True
            self._loop.call_soon(self._kicked_now)

    def _kicked_now(self) -> None:
        self._kicked = False
        self.drive()

    def between_writes(self, action: Callable[[], None]) -> None:
        """Call action as soon as no write is under way: now, or right after the present one."""
        if self._busy:
            self._held.append(action)
        else:
            action()

    # --- driving ------------------------------------------------------------------------------------------

    def drive(self) -> None:
        """Do all that the core wants done now."""
        if self._busy or self.stopped:
            return
        try:
            self._drive()
        except (RaftlogError, AssertionError) as error:
            self._stop(error)

    def _drive(self) -> None:
        core = self.core
        while True:
            self._hand_in()
            if not core.has_ready():
                return
            ready = core.ready()
            if ready.soft is not None:
                self._leadership_changed()
            if ready.snapshot is not None:
                self._install(ready.snapshot)
                self.applied, self.applied_term = ready.snapshot.index, ready.snapshot.term
            if core.leads:
                self.network.send([m for m in ready.messages if m.kind == Kind.APPEND])
                ready.messages = [m for m in ready.messages if m.kind != Kind.APPEND]
            if ready.must_sync and not self._write(ready):
                return
            self._finish(ready)

    def _write(self, ready: Ready) -> bool:
        """Store a batch; return whether it is durable now, else _written is called once it is."""
        data = self.wal.stage(ready.entries, ready.hard or self.core.hard_state)
        done = self._writer.submit(data, lambda seconds, error: self._written(ready, seconds, error))
        if done:
            self.append_seconds.observe(self._writer.last_s)
        self._busy = not done
        return done

    def _written(self, ready: Ready, seconds: float, error: RaftlogError | None) -> None:
        self._busy = False
        if self.stopped:
            return
        if error is not None:
            self._stop(error)
            return
        self.append_seconds.observe(seconds)
        try:
            self._finish(ready)
            held, self._held = self._held, []
            for action in held:
                self.between_writes(action)  # the one before may have begun another write
        except (RaftlogError, AssertionError) as failure:
            self._stop(failure)
            return
        self.drive()

    def _hand_in(self) -> None:
        """Give the core everything that was asked since it last looked: one entry each, one append for all."""
        if self._proposals:
            proposals, self._proposals = self._proposals, []
            self._proposed_bytes = 0
            entries = [entry for entry, _ in proposals]
            try:
                if not self.core.leads:
                    raise ProposalDropped("this node is not the leader")
                self.core.propose_entries(entries)
            except ProposalDropped:
                for _, answer in proposals:
                    answer(NOT_LEADER)
            else:
                now = time.perf_counter()
                self._waiting.extend((entry.index, entry.term, now, answer) for entry, answer in proposals)
        if self._reads:
            reads, self._reads = self._reads, []
            mark = b"%b:%d" % (self._mark, next(self._round))
            self._rounds[mark] = (self._ticks, reads)
            self.core.read_index(mark)

    def _finish(self, ready: Ready) -> None:
        self.network.send(ready.messages)
        if ready.committed:
            self._apply(ready.committed)
        for read in ready.reads:
            asked = self._rounds.pop(read.context, None)
            if asked is not None:
                self._until_applied.append((read.index, asked[1]))
        self.core.advance(ready)
        while self._until_applied and self._until_applied[0][0] <= self.applied:
            for answer in self._until_applied.popleft()[1]:
                answer(Outcome())

    def _apply(self, entries: list[Entry]) -> None:
        machine, waiting = self.machine, self._waiting
        told: list[tuple[Answer, Outcome]] = []
        for entry in entries:
            outcome = (
                machine.apply(entry) if entry.kind == EntryKind.NORMAL else self._change_membership(entry)
            )
            while waiting and waiting[0][0] <= entry.index:
                index, term, since, answer = waiting.popleft()
                mine = index == entry.index and term == entry.term
                self.commit_seconds.observe(time.perf_counter() - since)
                told.append((answer, outcome if mine else NOT_LEADER))
        self.applied, self.applied_term = entries[-1].index, entries[-1].term
        for answer, outcome in told:
            answer(outcome)
        for notify in self.on_applied:
            notify()

    def _change_membership(self, entry: Entry) -> Outcome:
        try:
            change = ConfigChange.decode(entry.data)
            self.core.apply_change(change)
        except (MembershipError, ValueError) as error:
            return Outcome(str(error))
        self.machine.note_addresses(change)
        return Outcome("", 1)

    def _leadership_changed(self) -> None:
        """Tell everyone who waits for this leader's proposals that it no longer leads; some may be committed yet."""
        if self.core.leads:
            return
        waiting, self._waiting = self._waiting, deque()
        for _, _, _, answer in waiting:
            answer(UNKNOWN)
        rounds, self._rounds = self._rounds, {}
        for _, answers in rounds.values():
            for answer in answers:
                answer(UNKNOWN)

    # --- ending -------------------------------------------------------------------------------------------

    def _stop(self, error: RaftlogError | AssertionError) -> None:
        """Stop for good: the disk failed, or a rule that safety rests on is broken, and going on could only
        lose more."""
        self.close()
        if not isinstance(error, RaftlogError):
            error = RaftlogError(f"a Raft invariant is violated: {error}")
        self._fail(error)

    def close(self) -> None:
        """Stop: nothing more is taken, written or answered, save that everyone who waits is told UNKNOWN."""
        if self.stopped:
            return
        self.stopped = True
        self._writer.close()
        waiting = [answer for *_, answer in self._waiting] + [answer for _, answer in self._proposals]
        waiting += [answer for _, answers in self._rounds.values() for answer in answers] + self._reads
        for answer in waiting:
            answer(UNKNOWN)
