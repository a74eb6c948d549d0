"""One simulated node: the real core, driven as the real node drives it, on a disk that may lose what was not synced."""

from __future__ import annotations

import hashlib
import random

from raftlog.core.config_change import Change, ConfigChange, MembershipError, Op
from raftlog.core.rawnode import RawNode, UnknownPeer
from raftlog.core.settings import Settings
from raftlog.core.storage import MemoryStorage
from raftlog.core.types import (
    Entry,
    EntryKind,
    Kind,
    Membership,
    Message,
    ProposalDropped,
    Ready,
    SnapshotPoint,
)
from raftlog.sim.environment import Environment
from raftlog.sim.invariants import Violation

TICK_US = 10_000
"""A node's tick, give or take a tenth: clocks do not run alike."""


class SimNode:
    """A node that can crash and start again. number: its id. voters: the membership it is born with (none: it
    joins later)."""

    def __init__(self, environment: Environment, number: int, voters: tuple[int, ...]) -> None:
        self.environment, self.number = environment, number
        self.disk = environment.disks[number]
        if number in voters:
            # As add-nodes does in the conformance scenarios: the first configuration is a snapshot at index
            # 1.
            self.disk.point = SnapshotPoint(1, 1, Membership(voters=voters))
        self.alive = False
        self.applied = 0
        self.digest = ""
        self.core: RawNode
        self.storage: MemoryStorage
        self._lives = 0
        self._busy = False
        self._waiting: dict[tuple[int, int], bytes] = {}
        self._proposed: list[Entry] = []
        self._reads: dict[bytes, int] = {}
        self._states: dict[int, str] = {}

    @property
    def leads(self) -> bool:
        """Whether it is up and thinks that it leads."""
        return self.alive and self.core.leads

    # --- life ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start from what the disk holds."""
        self.storage = self.disk.recover()
        self.alive, self._busy, self._lives = True, False, self._lives + 1
        self.applied, self.digest = self.disk.point.index, self.disk.state
        seed = self.environment.rng.randrange(1 << 30)
        settings = Settings(
            self.number,
            self.storage,
            random.Random(seed),
            append_bytes_max=self.environment.profile.append_bytes_max,
            inflight_max=8,
            applied=self.applied,
            eager_commit=self.environment.profile.eager_commit,
        )
        self.core = RawNode(settings)
        self.environment.invariants.term(self.number, self.core.term)
        self._tick(self._lives)

    def start_if_down(self) -> None:
        """Start unless it runs."""
        if not self.alive:
            self.start()

    def crash(self) -> None:
        """Lose power."""
        self.alive = False
        self._waiting.clear()
        self._proposed.clear()
        self._reads.clear()
        self.disk.crash(self.environment.rng)

    def _tick(self, life: int) -> None:
        if self.alive and life == self._lives:
            self.core.tick()
            self._drive()
            self.environment.after(
                self.environment.rng.randrange(TICK_US - 1_000, TICK_US + 1_000), lambda: self._tick(life)
            )

    # --- what comes in ------------------------------------------------------------------------------------

    def receive(self, message: Message, state: str) -> None:
        """Take a message from the wire."""
        if message.snapshot is not None:
            self._states[message.snapshot.index] = state
        try:
            self.core.step(message)
        except (UnknownPeer, ProposalDropped):
            return
        self._drive()

    def propose(self, payload: bytes) -> None:
        """Propose a command for a client."""
        try:
            self._proposed += self.core.propose(payload)
        except ProposalDropped:
            return
        self._drive()

    def read(self, committed: int) -> None:
        """Ask for a linearizable read; committed: what was committed anywhere when it is asked."""
        mark = b"%d:%d:%d" % (self.number, self._lives, self.environment.rng.randrange(1 << 40))
        self._reads[mark] = committed
        self.core.read_index(mark)
        self._drive()

    def transfer(self, to: int) -> None:
        """Hand leadership over."""
        self.core.transfer(to)
        self._drive()

    def change_membership(self, rng: random.Random) -> None:
        """Add, demote or remove one node; never the last two voters."""
        target = rng.choice(list(self.environment.disks))
        op = rng.choice((Op.ADD_VOTER, Op.ADD_VOTER, Op.ADD_LEARNER, Op.REMOVE))
        if op != Op.ADD_VOTER and len(set(self.core.membership.voters) - {target}) < 2:
            return
        try:
            self.core.propose_change(ConfigChange((Change(op, target),)))
        except ProposalDropped:
            return
        self._drive()

    # --- Ready --------------------------------------------------------------------------------------------

    def _drive(self) -> None:
        if self._busy or not self.core.has_ready():
            return
        self._busy = True
        ready = self.core.ready()
        for entry in ready.entries:
            self.environment.invariants.entry(self.number, entry, self.core.term_at(entry.index - 1))
        if ready.hard is not None:
            self.storage.hard = ready.hard
        early = [m for m in ready.messages if m.kind == Kind.APPEND]
        late = [m for m in ready.messages if m.kind != Kind.APPEND]
        self._send(early)
        if not (ready.must_sync or ready.snapshot):
            self._finish(ready, late)
            return
        if ready.snapshot is not None:
            self._install(ready.snapshot)  # before the entries behind it: it replaces the log
        self.disk.stage(ready.entries, self.storage.hard)
        life = self._lives
        self.environment.after(self.environment.sync_delay_us(), lambda: self._synced(life, ready, late))

    def _install(self, point: SnapshotPoint) -> None:
        self.storage.install(point)
        self.applied, self.digest = point.index, self._states[point.index]
        self.disk.install_snapshot(point, self.digest, self.storage, self.storage.hard)

    def _synced(self, life: int, ready: Ready, late: list[Message]) -> None:
        if self.alive and life == self._lives:
            self.sync()
            self._finish(ready, late)

    def sync(self) -> None:
        """Make what was written durable."""
        self.disk.sync()

    def _finish(self, ready: Ready, late: list[Message]) -> None:
        core = self.core
        self.storage.append(ready.entries)
        self.disk.note_durable(ready.entries)
        self._send(late)
        self._check_commit()
        for entry in ready.committed:
            self._apply(entry)
        for read in ready.reads:
            asked = self._reads.pop(read.context, None)
            if asked is not None:
                self.environment.counts["reads"] += 1
                self.environment.invariants.read(self.number, asked, read.index)
        core.advance(ready)
        self._busy = False
        self._check_roles()
        wanted = core.snapshot_wanted and self.applied > self.disk.point.index
        if wanted or self.applied - self.disk.point.index > self.environment.profile.compact_after:
            core.snapshot_started()
            self._compact()
        self._drive()

    def _apply(self, entry: Entry) -> None:
        if entry.index != self.applied + 1:
            raise Violation(f"node {self.number} applies {entry.index} after {self.applied}")
        self.applied = entry.index
        self.digest = hashlib.md5(self.digest.encode() + b"%d" % entry.term + entry.data).hexdigest()
        self.environment.invariants.applied(self.number, entry.index, self.digest)
        if entry.kind != EntryKind.NORMAL:
            try:
                self.core.apply_change(ConfigChange.decode(entry.data))
            except MembershipError:
                self.environment.counts["refused_changes"] += 1
        self._proposed = [mine for mine in self._proposed if self._still_waits(mine, entry)]

    def _still_waits(self, mine: Entry, applied: Entry) -> bool:
        """Tell a client whose command now stands in the log for good; a forwarded one has no place to wait for."""
        if mine is applied or (mine.index == applied.index and mine.term == applied.term and mine.index):
            if mine.data == applied.data:
                self.environment.acked[mine.data] = applied.index
                self.environment.counts["acked"] += 1
            return False
        return bool(mine.index) and mine.index > applied.index

    def _compact(self) -> None:
        point = SnapshotPoint(self.applied, self.storage.term(self.applied), self.core.membership)
        self.storage.compact(point, keep=self.environment.rng.randrange(40))
        if not self._busy:
            self.disk.save_snapshot(point, self.digest, self.storage, self.storage.hard)
            self.environment.counts["snapshots"] += 1

    def _send(self, messages: list[Message]) -> None:
        for message in messages:
            if message.snapshot is not None:
                self.environment.counts["snapshots_sent"] += 1
                self._give_up_later(message.to, self._lives)
            if message.kind == Kind.VOTE_REPLY and not message.reject:
                self.environment.invariants.vote(self.number, message.term, message.to)
            self.environment.send(message, self.disk.state)

    def _give_up_later(self, to: int, life: int) -> None:
        """Report a snapshot that was not answered in time as lost, as the real transport does."""

        def give_up() -> None:
            if self.alive and life == self._lives:
                self.core.report_snapshot(to, sent=False)
                self._drive()

        self.environment.after(500_000, give_up)

    # --- invariants ---------------------------------------------------------------------------------------

    def _check_commit(self) -> None:
        core, invariants = self.core, self.environment.invariants
        low = max(core.first_index, min(invariants.highest, self.applied) + 1)
        for entry in core.entries(low, core.commit_index + 1):
            first = invariants.committed(self.number, entry)
            if first and core.leads and not core.membership.outgoing:
                voters = core.membership.voters
                holders = self.environment.durable_copies(entry.index, entry.term, voters)
                if holders * 2 <= len(voters):
                    raise Violation(
                        f"durability: {entry.term}/{entry.index} was committed on {holders} of "
                        f"{len(voters)} disks"
                    )

    def _check_roles(self) -> None:
        core, invariants = self.core, self.environment.invariants
        invariants.term(
            self.number, self.storage.hard.term
        )  # what was synced; a later term may yet be forgotten
        if not core.leads or invariants.leaders.get(core.term) == self.number:
            return
        invariants.leader(self.number, core.term)
        self.environment.counts["elections"] += 1
        for index, entry in invariants.chosen.items():
            if index > self.disk.point.index and core.term_at(index) != entry.term:
                raise Violation(
                    f"leader completeness: node {self.number} leads term {core.term} "
                    f"without {entry.term}/{index}"
                )
