"""A cluster driven by text: the commands of a scenario, and what came of each, as text that can be compared.

Nothing here has a clock or a thread: `stabilize` runs nodes and delivers messages in order until nothing is left.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from raftlog.core.config_change import Change, ConfigChange, Op, Transition
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
    Role,
    SnapshotPoint,
)

KIND_NAMES = {
    Kind.PROPOSE: "MsgProp",
    Kind.APPEND: "MsgApp",
    Kind.APPEND_REPLY: "MsgAppResp",
    Kind.VOTE: "MsgVote",
    Kind.VOTE_REPLY: "MsgVoteResp",
    Kind.PRE_VOTE: "MsgPreVote",
    Kind.PRE_VOTE_REPLY: "MsgPreVoteResp",
    Kind.HEARTBEAT: "MsgHeartbeat",
    Kind.HEARTBEAT_REPLY: "MsgHeartbeatResp",
    Kind.SNAPSHOT: "MsgSnap",
    Kind.TRANSFER: "MsgTransferLeader",
    Kind.TIMEOUT_NOW: "MsgTimeoutNow",
    Kind.READ_INDEX: "MsgReadIndex",
    Kind.READ_INDEX_REPLY: "MsgReadIndexResp",
}
_ROLE_NAMES = {
    Role.FOLLOWER: "StateFollower",
    Role.CANDIDATE: "StateCandidate",
    Role.LEADER: "StateLeader",
    Role.PRE_CANDIDATE: "StatePreCandidate",
}
_ENTRY_NAMES = {
    EntryKind.NORMAL: "EntryNormal",
    EntryKind.CONFIG: "EntryConfChange",
    EntryKind.CONFIG_JOINT: "EntryConfChangeV2",
}
_OP_LETTERS = {Op.ADD_VOTER: "v", Op.ADD_LEARNER: "l", Op.REMOVE: "r", Op.UPDATE: "u"}
_TRANSITIONS = {
    "auto": Transition.AUTO,
    "implicit": Transition.JOINT_IMPLICIT,
    "explicit": Transition.JOINT_EXPLICIT,
}


@dataclass(frozen=True, slots=True)
class ScenarioCommand:
    """One command of a scenario. line: 1-based, where it stands. options: key=value pairs; arguments: the rest.

    body: the lines below the command. expected: what must come of it.
    """

    line: int
    name: str
    arguments: tuple[str, ...]
    options: dict[str, str]
    body: tuple[str, ...]
    expected: tuple[str, ...]


class _Storage(MemoryStorage):
    """A log whose snapshot is always what its node has applied."""

    applied = SnapshotPoint()

    def snapshot(self) -> SnapshotPoint | None:
        """Return the applied state."""
        return self.applied


class ScenarioCluster:
    """The nodes of one scenario and the messages between them."""

    def __init__(self) -> None:
        self.nodes: dict[int, RawNode] = {}
        self.storage: dict[int, _Storage] = {}
        self.wires: list[Message] = []
        self._silent = False
        self._election_ticks = 3

    def run(self, command: ScenarioCommand) -> str:
        """Run a command; return its outcome, `ok` when it says nothing. Raises ValueError for an unknown one."""
        action = getattr(self, f"_do_{command.name.replace('-', '_')}", None)
        if action is None:
            raise ValueError(f"unknown command {command.name}")
        try:
            lines: list[str] = action(command) or []
        except ProposalDropped as error:
            lines = [f"dropped: {error}"]
        return "\n".join(lines) if lines and not self._silent else "ok"

    # --- commands -----------------------------------------------------------------------------------------

    def _do_log_level(self, command: ScenarioCommand) -> None:
        self._silent = command.arguments[0] == "none"

    def _do_add_nodes(self, command: ScenarioCommand) -> None:
        voters, learners = (_numbers(command.options.get(key, "")) for key in ("voters", "learners"))
        index = int(command.options.get("index", "0"))
        for _ in range(int(command.arguments[0])):
            node = len(self.nodes) + 1
            storage = _Storage()
            if index:
                storage.install(SnapshotPoint(index, 1, Membership(voters=voters, learners=learners)))
                storage.applied = storage.point
            self.storage[node] = storage
            self.nodes[node] = RawNode(
                Settings(
                    node,
                    storage,
                    random.Random(node),
                    election_ticks=self._election_ticks,
                    pre_vote=command.options.get("prevote") == "true",
                    check_quorum=command.options.get("checkquorum") == "true",
                    inflight_max=int(command.options.get("inflight", "256")),
                )
            )

    def _do_campaign(self, command: ScenarioCommand) -> None:
        self.nodes[int(command.arguments[0])].campaign()

    def _do_propose(self, command: ScenarioCommand) -> None:
        self.nodes[int(command.arguments[0])].propose(
            command.arguments[1].encode() if len(command.arguments) > 1 else b""
        )

    def _do_propose_conf_change(self, command: ScenarioCommand) -> None:
        letters = {letter: op for op, letter in _OP_LETTERS.items()}
        changes = tuple(
            Change(letters[word[0]], int(word[1:])) for line in command.body for word in line.split()
        )
        transition = _TRANSITIONS[command.options.get("transition", "auto")]
        self.nodes[int(command.arguments[0])].propose_change(ConfigChange(changes, transition))

    def _do_transfer_leadership(self, command: ScenarioCommand) -> None:
        self.nodes[int(command.options["from"])].transfer(int(command.options["to"]))

    def _do_read_index(self, command: ScenarioCommand) -> None:
        self.nodes[int(command.arguments[0])].read_index(command.arguments[1].encode())

    def _do_report_unreachable(self, command: ScenarioCommand) -> None:
        self.nodes[int(command.arguments[0])].report_unreachable(int(command.arguments[1]))

    def _do_tick_heartbeat(self, command: ScenarioCommand) -> None:
        self.nodes[int(command.arguments[0])].tick()

    def _do_tick_election(self, command: ScenarioCommand) -> None:
        for _ in range(self._election_ticks):
            self.nodes[int(command.arguments[0])].tick()

    def _do_status(self, command: ScenarioCommand) -> list[str]:
        progress = self.nodes[int(command.arguments[0])].progress()
        return [f"{node}: {progress[node]}" for node in sorted(progress)]

    def _do_raft_log(self, command: ScenarioCommand) -> list[str]:
        storage = self.storage[int(command.arguments[0])]
        stored = storage.entries(storage.first_index, storage.last_index + 1, 1 << 30)
        return [describe_entry(entry) for entry in stored] or ["log is empty"]

    def _do_compact(self, command: ScenarioCommand) -> list[str]:
        storage, index = self.storage[int(command.arguments[0])], int(command.arguments[1])
        storage.compact(SnapshotPoint(index, storage.term(index), storage.point.membership))
        return self._do_raft_log(command)

    def _do_process_ready(self, command: ScenarioCommand) -> list[str]:
        return [line for word in command.arguments for line in self.process_ready(int(word))]

    def _do_deliver_msgs(self, command: ScenarioCommand) -> list[str]:
        lines = [
            f"dropped: {line}"
            for node in _numbers(command.options.get("drop", ""))
            for message in self._take(node)
            for line in describe_message(message)
        ]
        return lines + [line for word in command.arguments for line in self._deliver(int(word))]

    def _do_stabilize(self, command: ScenarioCommand) -> list[str]:
        chosen = [int(word) for word in command.arguments] or sorted(self.nodes)
        lines: list[str] = []
        busy = True
        while busy:
            busy = False
            for node in chosen:
                if self.nodes[node].has_ready():
                    busy = True
                    lines += [f"> {node} handling Ready", *_indented(self.process_ready(node))]
            for node in chosen:
                if any(message.to == node for message in self.wires):
                    busy = True
                    lines += [f"> {node} receiving messages", *_indented(self._deliver(node))]
        return lines

    # --- doing --------------------------------------------------------------------------------------------

    def process_ready(self, number: int) -> list[str]:
        """Do what a node's Ready says; return it as text."""
        node, storage = self.nodes[number], self.storage[number]
        ready = node.ready()
        lines = describe_ready(ready)
        if ready.hard is not None:
            storage.hard = ready.hard
        if ready.snapshot is not None:
            storage.install(ready.snapshot)
            storage.applied = ready.snapshot
        storage.append(ready.entries)
        self.wires += ready.messages
        for entry in ready.committed:
            membership = storage.applied.membership
            if entry.kind != EntryKind.NORMAL:
                membership = node.apply_change(ConfigChange.decode(entry.data))
            storage.applied = SnapshotPoint(entry.index, entry.term, membership)
        node.advance(ready)
        return lines

    def _take(self, number: int) -> list[Message]:
        taken = [message for message in self.wires if message.to == number]
        self.wires = [message for message in self.wires if message.to != number]
        return taken

    def _deliver(self, number: int) -> list[str]:
        lines: list[str] = []
        for message in self._take(number):
            lines += describe_message(message)
            try:
                self.nodes[number].step(message)
            except UnknownPeer:
                lines.append("raft: cannot step as peer not found")
            except ProposalDropped as error:
                lines.append(f"dropped: {error}")
        return lines


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.replace(",", " ").split())


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}" for line in lines]


# --- text ---------------------------------------------------------------------------------------------------


def describe_entry(entry: Entry) -> str:
    """Return an entry as `term/index kind content`."""
    head = f"{entry.term}/{entry.index} {_ENTRY_NAMES[entry.kind]}"
    if entry.kind == EntryKind.NORMAL:
        return f'{head} "{entry.data.decode(errors="replace")}"'
    changes = ConfigChange.decode(entry.data).changes
    return " ".join([head, *(f"{_OP_LETTERS[change.op]}{change.node}" for change in changes)])


def describe_membership(membership: Membership) -> str:
    """Return a membership on one line."""
    parts = [
        f"{name}:[{' '.join(map(str, nodes))}]"
        for name, nodes in (
            ("Voters", membership.voters),
            ("VotersOutgoing", membership.outgoing),
            ("Learners", membership.learners),
            ("LearnersNext", membership.learners_next),
        )
    ]
    return " ".join([*parts, f"AutoLeave:{str(membership.auto_leave).lower()}"])


def _describe_point(point: SnapshotPoint) -> str:
    return f"Index:{point.index} Term:{point.term} ConfState:{describe_membership(point.membership)}"


def describe_message(message: Message) -> list[str]:
    """Return a message as text: one line, or several when it carries several entries or a snapshot."""
    head = f"{message.sender}->{message.to} {KIND_NAMES[message.kind]} Term:{message.term}"
    head += f" Log:{message.log_term}/{message.index}"
    if message.reject:
        head += f" Rejected (Hint: {message.hint})"
    if message.commit:
        head += f" Commit:{message.commit}"
    if message.kind in (Kind.READ_INDEX, Kind.READ_INDEX_REPLY) and message.context:
        head += f" Context:{message.context.decode(errors='replace')}"
    if message.snapshot is not None:
        return [head, f"  Snapshot: {_describe_point(message.snapshot)}"]
    entries = [describe_entry(entry) for entry in message.entries]
    if len(entries) > 1:
        return [f"{head} Entries:[", *_indented(entries), "]"]
    return [f"{head} Entries:[{entries[0]}]" if entries else head]


def describe_ready(ready: Ready) -> list[str]:
    """Return a Ready as text."""
    lines = [f"Ready MustSync={str(ready.must_sync).lower()}:"]
    if ready.soft is not None:
        lines.append(f"Lead:{ready.soft.leader} State:{_ROLE_NAMES[ready.soft.role]}")
    if ready.hard is not None:
        vote = f" Vote:{ready.hard.vote}" if ready.hard.vote else ""
        lines.append(f"HardState Term:{ready.hard.term}{vote} Commit:{ready.hard.commit}")
    lines += [
        f"ReadState Index:{read.index} Context:{read.context.decode(errors='replace')}"
        for read in ready.reads
    ]
    if ready.entries:
        lines += ["Entries:", *map(describe_entry, ready.entries)]
    if ready.snapshot is not None:
        lines.append(f"Snapshot {_describe_point(ready.snapshot)}")
    if ready.committed:
        lines += ["CommittedEntries:", *map(describe_entry, ready.committed)]
    if ready.messages:
        lines += ["Messages:", *(line for message in ready.messages for line in describe_message(message))]
    return lines
