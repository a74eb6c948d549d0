"""The interface of the core: step, tick, propose; then ready, do what it says, advance.

while node.has_ready():
    ready = node.ready()      # what to store, send and apply, in the order that Ready's docstring states
    ...                       # new messages may be stepped in meanwhile; ready() may not be called again
    node.advance(ready)

Callers use RawNode, and the values of types.py, config_change.py, settings.py and storage.py. The modules behind it
are imported by the core alone (a contract of import-linter in pyproject.toml).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from raftlog.core import candidate, follower, leader  # noqa: F401 - importing them fills HANDLERS
from raftlog.core.config_change import ConfigChange
from raftlog.core.raft import Raft
from raftlog.core.settings import Counters, Settings
from raftlog.core.types import (
    Entry,
    EntryKind,
    HardState,
    Kind,
    Membership,
    Message,
    ProgressView,
    Ready,
    Role,
)

LOCAL = frozenset(kind for kind in Kind if kind < Kind.LOCAL_LAST)
_ANSWERS = frozenset((Kind.APPEND_REPLY, Kind.HEARTBEAT_REPLY, Kind.VOTE_REPLY, Kind.PRE_VOTE_REPLY))


class UnknownPeer(Exception):
    """An answer from a node that is not, or no longer, a member; it is ignored."""


class RawNode:
    """One node, driven by hand. Not thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._raft = Raft(settings)
        self._soft = self._raft.soft_state
        self._hard = self._raft.hard_state
        self._when_advanced: list[Message] = []

    # --- state, read only ---------------------------------------------------------------------------------

    @property
    def id(self) -> int:
        """This node's id."""
        return self._raft.id

    @property
    def role(self) -> Role:
        """What this node is in its term."""
        return self._raft.role

    @property
    def leads(self) -> bool:
        """Whether this node believes that it leads; only a quorum can confirm it (see read_index)."""
        return self._raft.role == Role.LEADER

    @property
    def leader(self) -> int:
        """The leader of this term, NOBODY while none is known."""
        return self._raft.leader

    @property
    def term(self) -> int:
        """The present term."""
        return self._raft.term

    @property
    def hard_state(self) -> HardState:
        """What must survive a crash, as of now."""
        return self._raft.hard_state

    @property
    def commit_index(self) -> int:
        """The highest index known to be committed."""
        return self._raft.log.committed

    @property
    def first_index(self) -> int:
        """The first index that entries() can return."""
        return self._raft.log.first_index

    @property
    def last_index(self) -> int:
        """The last index of the log, stored or not."""
        return self._raft.log.last_index

    @property
    def membership(self) -> Membership:
        """The configuration in force. O(members)."""
        return self._raft.config.stored()

    @property
    def counters(self) -> Counters:
        """What happened since the node was made, for metrics."""
        return self._raft.counters

    @property
    def snapshot_wanted(self) -> bool:
        """Whether a follower needs a newer snapshot than storage has; until snapshot_started() is called."""
        return self._raft.snapshot_wanted

    def progress(self) -> Mapping[int, ProgressView]:
        """Return how far each member is, this node included, by id; a live view, meaningful on a leader only."""
        return MappingProxyType(self._raft.progress)

    def entries(self, low: int, high: int) -> Sequence[Entry]:
        """Return the entries in [low, high), stored or not. Raises LogCompacted when low is gone."""
        return self._raft.log.entries(low, high)

    def term_at(self, index: int) -> int:
        """Return the term of the entry at index, 0 where the log does not know it."""
        return self._raft.log.term_or_zero(index)

    # --- input --------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Let one tick pass."""
        self._raft.tick()

    def step(self, message: Message) -> None:
        """Take a message from a peer.

        Raises UnknownPeer or ValueError for one that can't be taken, ProposalDropped for a forwarded proposal that
        is not taken; nothing has then changed.
        """
        if message.kind in LOCAL:
            raise ValueError(f"{message.kind.name} never comes from a peer")
        if message.kind in _ANSWERS and message.sender not in self._raft.progress:
            raise UnknownPeer(message.sender)
        self._raft.step(message)

    def campaign(self) -> None:
        """Start an election now."""
        self._raft.step(Message(Kind.CAMPAIGN, sender=self._raft.id))

    def propose(self, *data: bytes) -> list[Entry]:
        """Propose commands, in order; return their entries, which have a place once this node leads.

        Raises ProposalDropped; then none was taken.
        """
        entries = [Entry(0, 0, command) for command in data]
        self.propose_entries(entries)
        return entries

    def propose_entries(self, entries: list[Entry]) -> None:
        """Propose entries of any kind, in order. On a leader each is given its term and index in place.

        Raises ProposalDropped; then none was taken.
        """
        self._raft.step(Message(Kind.PROPOSE, sender=self._raft.id, entries=entries))

    def propose_change(self, change: ConfigChange) -> Entry:
        """Propose a membership change; return its entry. One that is not allowed now becomes an empty entry.

        Raises ProposalDropped; then it was not taken.
        """
        kind = EntryKind.CONFIG_JOINT if change.enters_joint or change.leaves_joint else EntryKind.CONFIG
        entry = Entry(0, 0, change.encode(), kind)
        self.propose_entries([entry])
        return entry

    def apply_change(self, change: ConfigChange) -> Membership:
        """Put a committed change into force; return the membership that results.

        Call it for each CONFIG entry while applying a Ready. Raises MembershipError; then nothing has changed.
        """
        return self._raft.apply_change(change)

    def read_index(self, context: bytes) -> None:
        """Ask for a linearizable read; a ReadState with this context follows, or none if leadership is lost."""
        self._raft.step(Message(Kind.READ_INDEX, sender=self._raft.id, context=context))

    def transfer(self, node: int) -> None:
        """Ask for node to become leader."""
        self._raft.step(Message(Kind.TRANSFER, sender=node))

    def report_unreachable(self, node: int) -> None:
        """Say that a message to node was lost."""
        self._raft.step(Message(Kind.UNREACHABLE, sender=node))

    def report_snapshot(self, node: int, *, sent: bool) -> None:
        """Say that a snapshot to node has been sent, or could not be."""
        self._raft.step(Message(Kind.SNAPSHOT_STATUS, sender=node, reject=not sent))

    def snapshot_started(self) -> None:
        """Say that a snapshot of what is applied now is being taken; snapshot_wanted becomes false."""
        self._raft.snapshot_wanted = False

    # --- output -------------------------------------------------------------------------------------------

    def has_ready(self) -> bool:
        """Whether ready() has anything to say."""
        raft = self._raft
        return bool(
            raft.outbox
            or raft.outbox_when_durable
            or raft.read_states
            or raft.log.has_unstable
            or raft.log.has_to_apply
            or raft.log.pending is not None
            or self._state_changed()
        )

    def _state_changed(self) -> bool:
        """Whether soft or hard state differ from what the last Ready said; field by field, for it is asked often."""
        raft, soft, hard = self._raft, self._soft, self._hard
        return (
            raft.log.committed != hard.commit
            or raft.term != hard.term
            or raft.vote != hard.vote
            or raft.leader != soft.leader
            or raft.role != soft.role
        )

    def ready(self) -> Ready:
        """Return what is to be done; call advance once it is."""
        raft = self._raft
        soft, hard = (raft.soft_state, raft.hard_state) if self._state_changed() else (self._soft, self._hard)
        ready = Ready(entries=raft.log.unstable(), snapshot=raft.log.pending)
        ready.committed = list(raft.log.to_apply())
        ready.must_sync = needs_sync(hard, self._hard, ready.entries)
        if soft != self._soft:
            ready.soft = self._soft = soft
        if hard != self._hard:
            ready.hard = self._hard = hard
        ready.reads, raft.read_states = raft.read_states, []
        self._when_advanced = [m for m in raft.outbox_when_durable if m.to == raft.id]
        ready.messages = raft.outbox + [m for m in raft.outbox_when_durable if m.to != raft.id]
        raft.outbox, raft.outbox_when_durable = [], []
        return ready

    def advance(self, ready: Ready) -> None:
        """Say that all of a Ready has been done."""
        raft = self._raft
        if ready.entries:
            raft.log.stable_to(ready.entries[-1].index, ready.entries[-1].term)
        if ready.snapshot is not None:
            raft.log.snapshot_stored(ready.snapshot.index)
            raft.applied_to(ready.snapshot.index, 0)
        to_self, self._when_advanced = self._when_advanced, []
        for message in to_self:
            raft.step(message)
        if ready.committed:
            raft.applied_to(ready.committed[-1].index, sum(len(entry.data) for entry in ready.committed))


def needs_sync(now: HardState, before: HardState, entries: list[Entry]) -> bool:
    """Whether the disk must be synced before messages leave; a commit index alone can be found out again
    (Raft figure 2)."""
    return bool(entries) or now.vote != before.vote or now.term != before.term
