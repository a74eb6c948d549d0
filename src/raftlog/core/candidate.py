"""What a candidate and a pre-candidate do with each message: count votes, or yield to a leader of the same term."""

from __future__ import annotations

from raftlog.core.election import campaign, record_vote
from raftlog.core.follower import FROM_LEADER
from raftlog.core.quorum import VoteResult
from raftlog.core.raft import HANDLERS, Raft
from raftlog.core.types import NOBODY, Kind, Message, ProposalDropped, Role


def _yield_to_leader(raft: Raft, message: Message) -> None:
    """Someone else won this term's election. Raft §5.2, second outcome."""
    raft.become_follower(message.term, message.sender)
    FROM_LEADER[message.kind](raft, message)


def _count_vote(raft: Raft, message: Message) -> None:
    """Raft §5.2: a majority makes a leader; thesis §9.6: a majority of pre-votes makes a candidate."""
    outcome = record_vote(raft, message.sender, not message.reject)
    if outcome == VoteResult.WON:
        if raft.role == Role.PRE_CANDIDATE:
            campaign(raft, pre=False)
        else:
            raft.become_leader()
            raft.broadcast_append()
    elif outcome == VoteResult.LOST:
        # A refused pre-vote came with a term of its own, maybe; ours stays as it is.
        raft.become_follower(raft.term, NOBODY)


def _drop(_raft: Raft, _message: Message) -> None:
    raise ProposalDropped("an election is in progress")


_COMMON = {
    Kind.APPEND: _yield_to_leader,
    Kind.HEARTBEAT: _yield_to_leader,
    Kind.SNAPSHOT: _yield_to_leader,
    Kind.PROPOSE: _drop,
}
HANDLERS[Role.CANDIDATE].update({**_COMMON, Kind.VOTE_REPLY: _count_vote})
HANDLERS[Role.PRE_CANDIDATE].update({**_COMMON, Kind.PRE_VOTE_REPLY: _count_vote})
