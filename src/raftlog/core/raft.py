"""One Raft node as a pure state machine: messages and ticks in, messages and entries out. No I/O, clock or threads.

    step(message) ── term rules (Raft §5.1) ──▶ HANDLERS[role][kind] in election.py,
                                                              follower.py, candidate.py, leader.py

    from           to             when                                                source
    FOLLOWER       PRE_CANDIDATE  election time-out                                   thesis §9.6
    PRE_CANDIDATE  CANDIDATE      a majority would vote for it                        thesis §9.6
    FOLLOWER       CANDIDATE      its leader asks it to (TIMEOUT_NOW)                 thesis §3.10
    CANDIDATE      LEADER         a majority voted for it                             Raft §5.2
    any            FOLLOWER       a higher term, or a leader of its own term          Raft §5.1, §5.2
    LEADER         FOLLOWER       no majority heard from for an election time-out     thesis §6.2

Time is counted in ticks; the caller says what a tick is. The random part of the election time-out comes from
the generator it is given, so that a run replays exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from raftlog.core.config_change import ConfigChange
from raftlog.core.log import RaftLog
from raftlog.core.membership import Changer, Configuration, ProgressMap
from raftlog.core.progress import Inflight, Progress
from raftlog.core.reads import PendingReads
from raftlog.core.settings import Counters, Settings
from raftlog.core.types import (
    FORCE,
    NOBODY,
    Entry,
    EntryKind,
    HardState,
    Kind,
    LogCompacted,
    Membership,
    Message,
    ProgressState,
    ProposalDropped,
    ReadState,
    Role,
    SnapshotPoint,
    SoftState,
)

Handler = Callable[["Raft", Message], None]
HANDLERS: Final[dict[Role, dict[Kind, Handler]]] = {role: {} for role in Role}
"""What each role does with each message; a kind that is not there is ignored. Filled by election.py for every
role, and by the three role modules."""

_DURABLE_FIRST: Final = frozenset((Kind.APPEND_REPLY, Kind.VOTE_REPLY, Kind.PRE_VOTE_REPLY))
_VOTE_KINDS: Final = frozenset((Kind.VOTE, Kind.PRE_VOTE))
_FROM_LEADER: Final = frozenset((Kind.APPEND, Kind.HEARTBEAT, Kind.SNAPSHOT))


class Raft:
    """One node. Fields named as in Raft figure 2; the caller drives it through RawNode and reads nothing else."""

    def __init__(self, settings: Settings) -> None:
        hard, membership = settings.storage.initial()
        self.settings = settings
        self.id = settings.node
        self.term = hard.term
        self.vote = hard.vote
        self.log = RaftLog(settings.storage, settings.applying_bytes_max)
        if hard.commit:
            self.log.commit_to(hard.commit)
        if settings.applied:
            self.log.applied_to(settings.applied)

        self.role = Role.FOLLOWER
        self.leader = NOBODY
        self.transferee = NOBODY
        self.votes: dict[int, bool] = {}
        self.progress: ProgressMap = {}
        self.config = Configuration()
        self.pending_config_index = 0
        self.uncommitted_bytes = 0
        self.reads = PendingReads()
        self.early_reads: list[Message] = []
        """Reads that came before this leader committed anything in its term (thesis §6.4, step 1)."""
        self.read_states: list[ReadState] = []

        self.outbox: list[Message] = []
        self.outbox_when_durable: list[Message] = []
        """Messages that claim something is stored: they leave, or come back to us, only once it is."""
        self.election_elapsed = 0
        self.heartbeat_elapsed = 0
        self.election_timeout = settings.election_ticks
        self.snapshot_wanted = False
        """A follower needs a newer snapshot than there is; the caller takes one and clears this."""
        self.counters = Counters()

        self.adopt(*self._restored(membership))
        self.become_follower(self.term, NOBODY)

    # --- what is read of it -------------------------------------------------------------------------------

    @property
    def soft_state(self) -> SoftState:
        """Leader and role."""
        return SoftState(self.leader, self.role)

    @property
    def hard_state(self) -> HardState:
        """What must survive a crash."""
        return HardState(self.term, self.vote, self.log.committed)

    @property
    def promotable(self) -> bool:
        """Whether this node may campaign: a voter of the present configuration with no snapshot to store first."""
        progress = self.progress.get(self.id)
        return progress is not None and not progress.learner and self.log.pending is None

    # --- roles --------------------------------------------------------------------------------------------

    def become_follower(self, term: int, leader: int) -> None:
        """Follow leader (or nobody yet) in term. Raft §5.2."""
        self._reset(term)
        self.role = Role.FOLLOWER
        self.leader = leader

    def become_pre_candidate(self) -> None:
        """Ask whether an election could be won, without disturbing term or vote. Thesis §9.6."""
        self.votes = {}
        self.leader = NOBODY
        self.role = Role.PRE_CANDIDATE

    def become_candidate(self) -> None:
        """Enter the next term and vote for oneself. Raft §5.2."""
        self._reset(self.term + 1)
        self.vote = self.id
        self.role = Role.CANDIDATE

    def become_leader(self) -> None:
        """Lead this term, and say so with an empty entry: only it can commit what earlier terms left (Raft
        §5.4.2, §8)."""
        self._reset(self.term)
        self.leader = self.id
        self.role = Role.LEADER
        self.counters.elections += 1
        own = self.progress[self.id]
        own.replicate()
        own.active = True
        # A change in the log's uncommitted tail may be one; until the tail is applied no other is taken
        # (thesis §4.1).
        self.pending_config_index = self.log.last_index
        self.append_entries([Entry(0, 0)])

    def _reset(self, term: int) -> None:
        if term != self.term:
            self.term = term
            self.vote = NOBODY
        self.leader = NOBODY
        self.transferee = NOBODY
        self.votes = {}
        self.election_elapsed = 0
        self.heartbeat_elapsed = 0
        ticks = self.settings.election_ticks
        self.election_timeout = ticks + self.settings.rng.randrange(ticks)  # Raft §5.2: randomised time-outs
        self.pending_config_index = 0
        self.uncommitted_bytes = 0
        self.reads = PendingReads()
        self.early_reads = []
        last = self.log.last_index
        for node, old in self.progress.items():
            fresh = Progress(next=last + 1, learner=old.learner, inflight=self._window())
            if node == self.id:
                fresh.match = last
            self.progress[node] = fresh

    def _window(self) -> Inflight:
        return Inflight(self.settings.inflight_max, self.settings.inflight_bytes_max)

    # --- time ---------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Let one tick pass."""
        self.election_elapsed += 1
        if self.role != Role.LEADER:
            if self.promotable and self.election_elapsed >= self.election_timeout:
                self.election_elapsed = 0
                self.step(Message(Kind.CAMPAIGN, sender=self.id))
            return
        self.heartbeat_elapsed += 1
        if self.election_elapsed >= self.settings.election_ticks:
            self.election_elapsed = 0
            if self.settings.check_quorum:
                self.step(Message(Kind.CHECK_QUORUM, sender=self.id))
            self.transferee = NOBODY  # thesis §3.10: a transfer has an election time-out to succeed
        if self.role == Role.LEADER and self.heartbeat_elapsed >= self.settings.heartbeat_ticks:
            self.heartbeat_elapsed = 0
            self.step(Message(Kind.BEAT, sender=self.id))

    # --- messages in --------------------------------------------------------------------------------------

    def step(self, message: Message) -> None:
        """Take one message. Raises ProposalDropped for a proposal that cannot be taken now."""
        if message.term > self.term:
            if not self._enter_term_of(message):
                return
        elif 0 < message.term < self.term:
            self._answer_the_past(message)
            return
        handler = HANDLERS[self.role].get(message.kind)
        if handler is not None:
            handler(self, message)

    def _enter_term_of(self, message: Message) -> bool:
        """Follow into a higher term (Raft §5.1); return False when the message is to be ignored altogether."""
        kind = message.kind
        if kind in _VOTE_KINDS and self.in_lease and message.context != FORCE:
            return False
        if kind == Kind.PRE_VOTE or (kind == Kind.PRE_VOTE_REPLY and not message.reject):
            return True  # these speak of a term that has not begun
        self.become_follower(message.term, message.sender if kind in _FROM_LEADER else NOBODY)
        return True

    @property
    def in_lease(self) -> bool:
        """Whether a leader was heard within the shortest election time-out; then no one else is voted for
        (thesis §4.2.3)."""
        heard = self.election_elapsed < self.settings.election_ticks
        return self.settings.check_quorum and self.leader != NOBODY and heard

    def _answer_the_past(self, message: Message) -> None:
        """Tell a node of an older term that it is over, where it would not find out by itself."""
        kind = message.kind
        if kind in (Kind.APPEND, Kind.HEARTBEAT) and (self.settings.check_quorum or self.settings.pre_vote):
            # A leader that we ignored while partitioned must learn our term, or we could never rejoin it
            # (thesis §9.6).
            self.send(Message(Kind.APPEND_REPLY, to=message.sender))
        elif kind == Kind.PRE_VOTE:
            self.send(Message(Kind.PRE_VOTE_REPLY, to=message.sender, term=self.term, reject=True))

    # --- messages out -------------------------------------------------------------------------------------

    def send(self, message: Message) -> None:
        """Queue a message, stamped with our id and, where it has none, our term."""
        message.sender = message.sender or self.id
        if not message.term and message.kind not in (Kind.PROPOSE, Kind.READ_INDEX):
            message.term = self.term
        if message.kind in _DURABLE_FIRST:
            self.outbox_when_durable.append(message)
        else:
            self.outbox.append(message)

    def append_entries(self, entries: list[Entry]) -> None:
        """Give entries of our own their places. Raises ProposalDropped when too much waits to be committed."""
        size = sum(len(entry.data) for entry in entries)
        bound = self.settings.uncommitted_bytes_max
        if bound and size and self.uncommitted_bytes and self.uncommitted_bytes + size > bound:
            raise ProposalDropped("too many uncommitted bytes")
        self.uncommitted_bytes += size
        index = self.log.last_index
        for entry in entries:
            index += 1
            entry.term, entry.index, entry.record = self.term, index, b""
        self.log.append(entries)
        # Our own acknowledgement takes the same way as a follower's: it counts once the entries are on disk.
        self.send(Message(Kind.APPEND_REPLY, to=self.id, index=index))

    def send_append(self, node: int, *, even_empty: bool) -> bool:
        """Send a follower what comes next, or a snapshot where the log no longer reaches; return whether
        anything went."""
        progress = self.progress[node]
        if progress.is_paused or (not even_empty and progress.next > self.log.last_index):
            return False
        before = progress.next - 1
        try:
            before_term = self.log.term(before)
            entries = (
                ()
                if progress.state == ProgressState.REPLICATE and progress.inflight.full
                else self.log.entries(progress.next, self.log.last_index + 1, self.settings.append_bytes_max)
            )
        except LogCompacted:
            return self._send_snapshot(node, progress)
        if not entries and not even_empty:
            return False
        message = Message(
            Kind.APPEND,
            node,
            index=before,
            log_term=before_term,
            entries=tuple(entries),
            commit=self.log.committed,
        )
        self.send(message)
        self.counters.appends_sent += 1
        progress.on_sent(len(entries), sum(len(entry.data) for entry in entries))
        progress.sent_commit = self.log.committed
        return True

    def _send_snapshot(self, node: int, progress: Progress) -> bool:
        """Raft §7. A node that is not heard from is not sent one: it is large and would be wasted."""
        point = self.log.latest_snapshot() if progress.active else None
        if point is None:
            return False
        if node not in point.membership.nodes:
            self.snapshot_wanted = True  # it joined later: a snapshot that does not know it would be refused
            return False
        progress.await_snapshot(point.index)
        self.send(Message(Kind.SNAPSHOT, to=node, snapshot=point))
        self.counters.snapshots_sent += 1
        return True

    def broadcast_append(self) -> None:
        """Send every follower what comes next."""
        for node in sorted(self.progress):
            if node != self.id:
                self.send_append(node, even_empty=True)

    # --- commitment ---------------------------------------------------------------------------------------

    def advance_commit(self) -> bool:
        """Commit what a quorum has stored, if it is of this term; return whether that is more than before.
        Raft §5.3, §5.4.2."""
        matched = {node: progress.match for node, progress in self.progress.items()}
        return self.log.try_commit(self.config.committed(matched), self.term)

    def applied_to(self, index: int, size: int) -> None:
        """Note that the caller applied up to index, size payload bytes; end a joint configuration that ends
        by itself."""
        before = self.log.applied
        self.log.applied_to(max(index, before))
        self.uncommitted_bytes = max(0, self.uncommitted_bytes - size)
        if (
            self.config.auto_leave
            and self.role == Role.LEADER
            and before <= self.pending_config_index <= index
        ):
            self.step(Message(Kind.PROPOSE, entries=[Entry(0, 0, b"", EntryKind.CONFIG_JOINT)]))

    # --- membership ---------------------------------------------------------------------------------------

    def apply_change(self, change: ConfigChange) -> Membership:
        """Put a committed change into force; return the membership that results. Raises MembershipError."""
        changer = Changer(
            self.config,
            self.progress,
            max(self.log.last_index, 1),
            self.settings.inflight_max,
            self.settings.inflight_bytes_max,
        )
        if change.leaves_joint:
            self.adopt(*changer.leave_joint())
        elif change.enters_joint:
            leave_by_itself = change.transition != change.transition.JOINT_EXPLICIT
            self.adopt(*changer.enter_joint(change.changes, auto_leave=leave_by_itself))
        else:
            self.adopt(*changer.simple(change.changes))
        return self.config.stored()

    def adopt(self, config: Configuration, progress: ProgressMap) -> None:
        """Put a configuration into force and, as leader, act on it: commit, step down, or send to who is new."""
        self.config, self.progress = config, progress
        own = progress.get(self.id)
        if self.role != Role.LEADER:
            return
        if own is None or own.learner:
            # Thesis §4.2.2: a leader that is no member leads until its removal is committed, which it now is.
            self.become_follower(self.term, NOBODY)
            return
        if not config.voters:
            return
        if self.advance_commit():
            self.broadcast_append()
        else:
            for node in sorted(progress):
                if node != self.id:
                    self.send_append(node, even_empty=False)
        if self.transferee and self.transferee not in config.voters | config.outgoing:
            self.transferee = NOBODY

    def _restored(self, membership: Membership) -> tuple[Configuration, ProgressMap]:
        config = Configuration.of(membership)
        last = self.log.last_index
        progress = {
            node: Progress(next=max(last, 1), learner=node in config.learners, inflight=self._window())
            for node in sorted(config.nodes)
        }
        if self.id in progress:
            progress[self.id].match, progress[self.id].next = last, last + 1
        return config, progress

    def restore(self, point: SnapshotPoint) -> bool:
        """Take a snapshot in place of the log; return False when the log already reaches it (Raft §7)."""
        if point.index <= self.log.committed or self.role != Role.FOLLOWER:
            return False
        if self.id not in point.membership.nodes:
            return False
        if self.log.matches(point.index, point.term):
            self.log.commit_to(point.index)  # the same entries are already here: keep those behind them
            return False
        self.log.restore(point)
        self.adopt(*self._restored(point.membership))
        return True
