"""The words the core speaks: entries, messages, what is kept on disk, what is asked of the caller.

Everything here is a value. Indices and terms start at 1; 0 means "none". Node ids are positive integers.
`Raft §n` in this package is Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm"
(extended version); `thesis §n` is Ongaro's dissertation, "Consensus: Bridging Theory and Practice".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Protocol

NOBODY: Final = 0
"""The node id that no node has: no leader, no vote."""


class Role(IntEnum):
    """What a node is in its term. Raft §5.1; the pre-candidate is thesis §9.6."""

    FOLLOWER = 0
    CANDIDATE = 1
    LEADER = 2
    PRE_CANDIDATE = 3

    __hash__ = int.__hash__  # Enum's own is written in Python, and every message is looked up by it


class Kind(IntEnum):
    """What a message asks or answers. Those below LOCAL_LAST never leave their node."""

    CAMPAIGN = 0
    BEAT = 1
    CHECK_QUORUM = 2
    UNREACHABLE = 3
    SNAPSHOT_STATUS = 4
    LOCAL_LAST = 9
    PROPOSE = 10
    APPEND = 11
    APPEND_REPLY = 12
    VOTE = 13
    VOTE_REPLY = 14
    PRE_VOTE = 15
    PRE_VOTE_REPLY = 16
    HEARTBEAT = 17
    HEARTBEAT_REPLY = 18
    SNAPSHOT = 19
    TRANSFER = 20
    TIMEOUT_NOW = 21
    READ_INDEX = 22
    READ_INDEX_REPLY = 23

    __hash__ = int.__hash__


class ProgressState(IntEnum):
    """How a follower is being sent the log."""

    PROBE = 0
    REPLICATE = 1
    SNAPSHOT = 2


class ProgressView(Protocol):
    """One member as its leader sees it, to be read only. Source: Raft figure 2 (nextIndex, matchIndex)."""

    @property
    def match(self) -> int:
        """The highest index known to be stored there."""

    @property
    def next(self) -> int:
        """The next index to be sent there."""

    @property
    def state(self) -> ProgressState:
        """How it is being sent the log."""

    @property
    def learner(self) -> bool:
        """Whether add it as a learner: it receives the log but does not vote."""

    @property
    def active(self) -> bool:
        """Whether it was heard from since the last quorum check."""


class EntryKind(IntEnum):
    """NORMAL carries a command, CONFIG one membership change, CONFIG_JOINT several at once (thesis §4.3)."""

    NORMAL = 0
    CONFIG = 1
    CONFIG_JOINT = 2


@dataclass(slots=True, unsafe_hash=True)
class Entry:
    """One entry of the log. Never changed once it has a place; `record` caches its encoded form.

    Not frozen, because a frozen dataclass takes four times as long to make and a leader makes one per command.
    """

    term: int
    index: int
    data: bytes = b""
    kind: EntryKind = EntryKind.NORMAL
    record: bytes = field(default=b"", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Membership:
    """Who votes and who only listens, as it is stored in snapshots.

    outgoing: the old voters while a joint change is under way (thesis §4.3). learners_next: voters that
    become learners once it ends. auto_leave: the leader ends it by itself.
    """

    voters: tuple[int, ...] = ()
    outgoing: tuple[int, ...] = ()
    learners: tuple[int, ...] = ()
    learners_next: tuple[int, ...] = ()
    auto_leave: bool = False

    @property
    def nodes(self) -> frozenset[int]:
        """Every node that is sent the log."""
        return frozenset(self.voters + self.outgoing + self.learners + self.learners_next)


@dataclass(frozen=True, slots=True)
class SnapshotPoint:
    """Where a snapshot stands in the log: it replaces every entry up to and including index (Raft §7)."""

    index: int = 0
    term: int = 0
    membership: Membership = field(default_factory=Membership)


@dataclass(slots=True)
class Message:
    """One message between nodes, or from a node to itself.

    index, log_term: the entry before `entries` (APPEND), the last entry (VOTE), the last matched entry or the
    refused one (APPEND_REPLY). hint: the follower's best guess of where the logs agree. context: an opaque
    mark that the answer carries back (ReadIndex rounds; FORCE for an election that its leader asked for).
    """

    kind: Kind
    to: int = NOBODY
    sender: int = NOBODY
    term: int = 0
    log_term: int = 0
    index: int = 0
    commit: int = 0
    entries: tuple[Entry, ...] | list[Entry] = ()
    reject: bool = False
    hint: int = 0
    context: bytes = b""
    snapshot: SnapshotPoint | None = None


FORCE: Final = b"transfer"
"""Context of a vote request that may break a leader's lease, because that leader asked for it (thesis
§3.10)."""


@dataclass(frozen=True, slots=True)
class HardState:
    """What must be on disk before a message that depends on it is sent (Raft figure 2, persistent state)."""

    term: int = 0
    vote: int = NOBODY
    commit: int = 0


@dataclass(frozen=True, slots=True)
class SoftState:
    """What a caller likes to know and nobody stores."""

    leader: int = NOBODY
    role: Role = Role.FOLLOWER


@dataclass(frozen=True, slots=True)
class ReadState:
    """A read whose mark is `context` may be answered once `index` has been applied (thesis §6.4)."""

    index: int
    context: bytes


@dataclass(slots=True)
class Ready:
    """What the caller must do, in this order: save snapshot, entries and hard state (on disk, when
    must_sync); send
    messages; apply committed entries; then call advance.

    A leader's APPENDs may be sent while the disk works: the leader counts itself only on advance (thesis §10.2.1).
    """

    soft: SoftState | None = None
    hard: HardState | None = None
    entries: list[Entry] = field(default_factory=list)
    snapshot: SnapshotPoint | None = None
    committed: list[Entry] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    reads: list[ReadState] = field(default_factory=list)
    must_sync: bool = False


class ProposalDropped(Exception):
    """The proposal was not taken: no leader, a transfer under way, or too much not yet committed. Nothing happened."""


class LogCompacted(Exception):
    """The entries asked for are covered by a snapshot and no longer in the log."""
