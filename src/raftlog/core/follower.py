"""What a follower does with each message, and what every role does with those of a leader of its own term."""

from __future__ import annotations

from raftlog.core.election import campaign
from raftlog.core.raft import HANDLERS, Raft
from raftlog.core.types import NOBODY, Kind, Message, ProposalDropped, ReadState, Role


def take_append(raft: Raft, message: Message) -> None:
    """Store a leader's entries if the logs agree before them, else say where they may agree. Raft §5.3,
    figure 2."""
    log = raft.log
    if message.index < log.committed:
        # Everything up to our commit index agrees already: an old or repeated message.
        raft.send(Message(Kind.APPEND_REPLY, to=message.sender, index=log.committed))
        return
    last = log.try_append(message.index, message.log_term, message.entries, message.commit)
    if last is not None:
        raft.send(Message(Kind.APPEND_REPLY, to=message.sender, index=last))
        return
    hint, hint_term = log.last_at_or_below_term(min(message.index, log.last_index), message.log_term)
    refusal = Message(
        Kind.APPEND_REPLY, message.sender, index=message.index, reject=True, hint=hint, log_term=hint_term
    )
    raft.send(refusal)


def take_heartbeat(raft: Raft, message: Message) -> None:
    """Commit what the leader knows to be stored here, and answer with the mark of its reads. Raft §5.2,
    thesis §6.4."""
    raft.log.commit_to(message.commit)
    raft.send(Message(Kind.HEARTBEAT_REPLY, to=message.sender, context=message.context))


def take_snapshot(raft: Raft, message: Message) -> None:
    """Install a leader's snapshot, or say that it is not needed. Raft §7."""
    point = message.snapshot
    if point is not None:
        restored = raft.restore(point)
        index = raft.log.last_index if restored else raft.log.committed
        raft.send(Message(Kind.APPEND_REPLY, to=message.sender, index=index))


def _heard_leader(raft: Raft, message: Message) -> None:
    raft.election_elapsed = 0
    raft.leader = message.sender
    FROM_LEADER[message.kind](raft, message)


def _forward(raft: Raft, message: Message) -> None:
    """Pass a request on to the leader, where one is known."""
    if raft.leader == NOBODY:
        if message.kind == Kind.PROPOSE:
            raise ProposalDropped("no leader is known")
        return
    message.to = raft.leader
    raft.send(message)


def _timeout_now(raft: Raft, _message: Message) -> None:
    """Campaign at once, without a pre-vote: the leader asks for it and its lease must not stop us. Thesis §3.10."""
    campaign(raft, pre=False, force=True)


def _read_index_reply(raft: Raft, message: Message) -> None:
    raft.read_states.append(ReadState(message.index, message.context))


FROM_LEADER = {
    Kind.APPEND: take_append,
    Kind.HEARTBEAT: take_heartbeat,
    Kind.SNAPSHOT: take_snapshot,
}

HANDLERS[Role.FOLLOWER].update(
    {
        Kind.APPEND: _heard_leader,
        Kind.HEARTBEAT: _heard_leader,
        Kind.SNAPSHOT: _heard_leader,
        Kind.PROPOSE: _forward,
        Kind.READ_INDEX: _forward,
        Kind.TRANSFER: _forward,
        Kind.TIMEOUT_NOW: _timeout_now,
        Kind.READ_INDEX_REPLY: _read_index_reply,
    }
)
