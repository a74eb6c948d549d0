"""What a leader does with each message: take proposals, follow its followers' progress, answer reads, hand over."""

from __future__ import annotations

from raftlog.core.config_change import ConfigChange
from raftlog.core.quorum import VoteResult
from raftlog.core.raft import HANDLERS, Raft
from raftlog.core.types import (
    NOBODY,
    EntryKind,
    Kind,
    Message,
    ProgressState,
    ProposalDropped,
    ReadState,
    Role,
)

# --- proposals ----------------------------------------------------------------------------------------------


def _propose(raft: Raft, message: Message) -> None:
    """Append a client's entries and send them out. Raft §5.3."""
    if raft.id not in raft.progress:
        raise ProposalDropped("this leader is no longer a member")
    if raft.transferee != NOBODY:
        raise ProposalDropped(
            f"leadership is being transferred to node {raft.transferee}"
        )  # thesis §3.10, step 1
    entries = list(message.entries)
    for offset, entry in enumerate(entries):
        if entry.kind != EntryKind.NORMAL:
            if config_change_allowed(raft, ConfigChange.decode(entry.data)):
                raft.pending_config_index = raft.log.last_index + offset + 1
            else:
                entry.kind, entry.data = EntryKind.NORMAL, b""
    raft.append_entries(entries)
    raft.broadcast_append()


def config_change_allowed(raft: Raft, change: ConfigChange) -> bool:
    """One change at a time: the one before must be applied, and only a joint configuration can be left.
    Thesis §4.1, §4.3."""
    applied = raft.pending_config_index <= raft.log.applied
    return applied and raft.config.joint == change.leaves_joint


# --- heartbeats and quorum ----------------------------------------------------------------------------------


def _beat(raft: Raft, _message: Message) -> None:
    broadcast_heartbeat(raft, raft.reads.last_round)


def broadcast_heartbeat(raft: Raft, context: bytes) -> None:
    """Tell every follower that this leader lives. Raft §5.2."""
    for node, progress in sorted(raft.progress.items()):
        if node != raft.id:
            # Never more than the follower is known to have: it may not hold what else is committed.
            commit = min(progress.match, raft.log.committed)
            raft.send(Message(Kind.HEARTBEAT, to=node, commit=commit, context=context))
            progress.sent_commit = commit
            raft.counters.heartbeats_sent += 1


def _check_quorum(raft: Raft, _message: Message) -> None:
    """Step down when no majority was heard from for an election time-out: another leader may rule. Thesis §6.2."""
    heard = {node: progress.active or node == raft.id for node, progress in raft.progress.items()}
    if raft.config.vote(heard) != VoteResult.WON:
        raft.become_follower(raft.term, NOBODY)
    for node, progress in raft.progress.items():
        if node != raft.id:
            progress.active = False


def _heartbeat_reply(raft: Raft, message: Message) -> None:
    """A follower lives: send it what it lacks, and count it for the reads that wait. Thesis §6.4."""
    progress = raft.progress.get(message.sender)
    if progress is None:
        return
    progress.active = True
    # A full window may have been lost whole; one more append, empty if need be, finds out.
    progress.paused = False
    if progress.match < raft.log.last_index or progress.state == ProgressState.PROBE:
        raft.send_append(message.sender, even_empty=True)
    if (
        message.context
        and raft.config.vote(raft.reads.ack(message.sender, message.context)) == VoteResult.WON
    ):
        for read in raft.reads.release(message.context):
            answer_read(raft, read.request, read.index)


# --- replication --------------------------------------------------------------------------------------------


def _append_reply(raft: Raft, message: Message) -> None:
    progress = raft.progress.get(message.sender)
    if progress is None:
        return
    progress.active = True
    if message.reject:
        _append_refused(raft, message)
    elif progress.on_accepted(message.index) or (
        progress.match == message.index and progress.state == ProgressState.PROBE
    ):
        _append_accepted(raft, message)


def _append_refused(raft: Raft, message: Message) -> None:
    """Move back to where the logs may agree and try there. Raft §5.3, last paragraphs."""
    hint = message.hint
    if message.log_term:
        hint, _ = raft.log.last_at_or_below_term(message.hint, message.log_term)
    progress = raft.progress[message.sender]
    if progress.on_rejected(message.index, hint):
        if progress.state == ProgressState.REPLICATE:
            progress.probe()
        raft.send_append(message.sender, even_empty=True)


def _append_accepted(raft: Raft, message: Message) -> None:
    """Count the follower's copy, commit what a majority now has, and send what comes next at once. Raft §5.3."""
    progress = raft.progress[message.sender]
    if progress.state == ProgressState.PROBE:
        progress.replicate()
    elif progress.state == ProgressState.SNAPSHOT:
        if progress.match + 1 >= raft.log.first_index:
            progress.probe()
            progress.replicate()
    else:
        progress.inflight.free_to(message.index)
        progress.paused = progress.inflight.full

    eager = raft.settings.eager_commit
    if raft.advance_commit():
        _release_early_reads(raft)
        if eager:
            raft.broadcast_append()
    elif eager and message.sender != raft.id and progress.can_raise_commit(raft.log.committed):
        raft.send_append(message.sender, even_empty=True)
    if message.sender == raft.id:
        return
    while raft.send_append(message.sender, even_empty=False):
        pass  # the window has room again: fill it now, not at the next heartbeat
    if message.sender == raft.transferee and progress.match == raft.log.last_index:
        raft.send(Message(Kind.TIMEOUT_NOW, to=message.sender))


def _unreachable(raft: Raft, message: Message) -> None:
    """The transport lost a message: what is in the pipeline may be gone, so probe."""
    progress = raft.progress.get(message.sender)
    if progress is not None and progress.state == ProgressState.REPLICATE:
        progress.probe()


def _snapshot_status(raft: Raft, message: Message) -> None:
    """A snapshot was sent, or could not be (reject). Wait for the follower to answer before sending more."""
    progress = raft.progress.get(message.sender)
    if progress is not None and progress.state == ProgressState.SNAPSHOT:
        if message.reject:
            progress.pending_snapshot = 0
        progress.probe()
        progress.paused = True


# --- leadership transfer, thesis §3.10 ----------------------------------------------------------------------


def _transfer(raft: Raft, message: Message) -> None:
    """Bring the named voter up to date, then ask it to campaign; proposals are refused meanwhile."""
    progress = raft.progress.get(message.sender)
    if progress is None or progress.learner or message.sender in (raft.id, raft.transferee):
        return
    raft.election_elapsed = 0
    raft.transferee = message.sender
    if progress.match == raft.log.last_index:
        raft.send(Message(Kind.TIMEOUT_NOW, to=message.sender))
    else:
        progress.paused = False
        raft.send_append(message.sender, even_empty=True)


# --- reads, thesis §6.4 -------------------------------------------------------------------------------------


def _read_index(raft: Raft, message: Message) -> None:
    if raft.config.electorate == [raft.id]:
        answer_read(raft, message, raft.log.committed)
    elif raft.log.term_or_zero(raft.log.committed) != raft.term:
        # Until the leader has committed in its term it does not know how far earlier ones were committed.
        raft.early_reads.append(message)
    else:
        _start_read(raft, message)


def _start_read(raft: Raft, message: Message) -> None:
    raft.reads.add(message, raft.log.committed, message.context, raft.id)
    broadcast_heartbeat(raft, message.context)


def _release_early_reads(raft: Raft) -> None:
    if raft.early_reads and raft.log.term_or_zero(raft.log.committed) == raft.term:
        waiting, raft.early_reads = raft.early_reads, []
        for message in waiting:
            _start_read(raft, message)


def answer_read(raft: Raft, request: Message, index: int) -> None:
    """Let a read go on at index: here, or at the node that forwarded it."""
    if request.sender in (NOBODY, raft.id):
        raft.read_states.append(ReadState(index, request.context))
    else:
        raft.send(Message(Kind.READ_INDEX_REPLY, to=request.sender, index=index, context=request.context))


HANDLERS[Role.LEADER].update(
    {
        Kind.PROPOSE: _propose,
        Kind.BEAT: _beat,
        Kind.CHECK_QUORUM: _check_quorum,
        Kind.HEARTBEAT_REPLY: _heartbeat_reply,
        Kind.APPEND_REPLY: _append_reply,
        Kind.UNREACHABLE: _unreachable,
        Kind.SNAPSHOT_STATUS: _snapshot_status,
        Kind.TRANSFER: _transfer,
        Kind.READ_INDEX: _read_index,
    }
)
