"""Elections: who stands, and who votes for whom. The same for every role, so it stands in each role's table."""

from __future__ import annotations

from raftlog.core.quorum import VoteResult
from raftlog.core.raft import HANDLERS, Raft
from raftlog.core.types import FORCE, NOBODY, Kind, Message, Role


def campaign(raft: Raft, *, pre: bool, force: bool = False) -> None:
    """Stand for election if this node may. pre: ask first (thesis §9.6). force: the leader wants it (thesis §3.10)."""
    if raft.role == Role.LEADER or not raft.promotable or raft.log.unapplied_config_change():
        return
    if pre:
        raft.become_pre_candidate()
        kind, reply, term = Kind.PRE_VOTE, Kind.PRE_VOTE_REPLY, raft.term + 1
    else:
        raft.become_candidate()
        kind, reply, term = Kind.VOTE, Kind.VOTE_REPLY, raft.term
    context = FORCE if force else b""
    for node in raft.config.electorate:
        if node == raft.id:
            raft.send(Message(reply, to=node, term=term))  # counted once our own vote is on disk
            continue
        raft.counters.vote_requests_sent += 1
        last = raft.log.last_index
        raft.send(Message(kind, node, term=term, index=last, log_term=raft.log.last_term, context=context))


def record_vote(raft: Raft, node: int, granted: bool) -> VoteResult:
    """Count a vote, the first answer of each node only; return how the election stands."""
    raft.votes.setdefault(node, granted)
    return raft.config.vote(raft.votes)


def may_vote_for(raft: Raft, message: Message) -> bool:
    """Whether this node's vote is still free for the sender: one vote a term (Raft §5.2)."""
    if raft.vote == message.sender:
        return True
    if message.kind == Kind.PRE_VOTE and message.term > raft.term:
        return True
    return raft.vote == NOBODY and raft.leader == NOBODY


def _stand(raft: Raft, _message: Message) -> None:
    campaign(raft, pre=raft.settings.pre_vote)


def _answer_vote(raft: Raft, message: Message) -> None:
    reply = Kind.VOTE_REPLY if message.kind == Kind.VOTE else Kind.PRE_VOTE_REPLY
    if may_vote_for(raft, message) and raft.log.is_up_to_date(message.index, message.log_term):
        # A pre-vote is granted for the term asked, which is not ours yet.
        raft.send(Message(reply, to=message.sender, term=message.term))
        if message.kind == Kind.VOTE:
            raft.election_elapsed = 0
            raft.vote = message.sender
    else:
        raft.send(Message(reply, to=message.sender, term=raft.term, reject=True))


for _role in Role:
    HANDLERS[_role].update(
        {Kind.CAMPAIGN: _stand, Kind.VOTE: _answer_vote, Kind.PRE_VOTE: _answer_vote},
    )
