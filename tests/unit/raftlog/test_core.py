"""Rules of the core that a scenario shows badly, each alone."""

from __future__ import annotations

import random
from weakref import WeakKeyDictionary

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftlog.core.config_change import Change, ConfigChange, Op, Transition
from raftlog.core.log import RaftLog
from raftlog.core.quorum import VoteResult, joint_committed, joint_vote, majority_committed, majority_vote
from raftlog.core.rawnode import RawNode, UnknownPeer
from raftlog.core.settings import Settings
from raftlog.core.storage import MemoryStorage
from raftlog.core.types import (
    Entry,
    Kind,
    LogCompacted,
    Membership,
    Message,
    ProposalDropped,
    Role,
    SnapshotPoint,
)

INDICES = st.dictionaries(st.integers(1, 7), st.integers(0, 20), max_size=7)


@given(matched=INDICES, voters=st.sets(st.integers(1, 7), min_size=1))
def test_committed_index_is_the_highest_that_a_majority_has(
    matched: dict[int, int], voters: set[int]
) -> None:
    committed = majority_committed(voters, matched)

    def holders(index: int) -> int:
        return sum(1 for voter in voters if matched.get(voter, 0) >= index)

    assert holders(committed) * 2 > len(voters)
    assert holders(committed + 1) * 2 <= len(voters)


@given(votes=st.dictionaries(st.integers(1, 5), st.booleans()), voters=st.sets(st.integers(1, 5)))
def test_joint_with_nobody_is_the_majority_alone(votes: dict[int, bool], voters: set[int]) -> None:
    assert joint_vote(voters, (), votes) == majority_vote(voters, votes)
    assert joint_committed(voters, (), {}) == majority_committed(voters, {})


def test_joint_vote_needs_both_majorities() -> None:
    assert joint_vote((1, 2, 3), (3, 4, 5), {1: True, 2: True}) == VoteResult.PENDING
    assert joint_vote((1, 2, 3), (3, 4, 5), {1: True, 2: True, 4: False, 5: False}) == VoteResult.LOST
    assert joint_vote((1, 2, 3), (3, 4, 5), {1: True, 2: True, 4: True, 5: True}) == VoteResult.WON


def entries(*terms: int, start: int = 1) -> list[Entry]:
    return [Entry(term, index, b"%d" % index) for index, term in enumerate(terms, start)]


def log_of(*terms: int) -> RaftLog:
    log = RaftLog(MemoryStorage())
    log.append(entries(*terms))
    return log


def test_entry_of_an_older_term_is_not_committed_by_counting() -> None:
    log = log_of(1, 2)
    assert not log.try_commit(2, term=3)
    assert log.try_commit(2, term=2)


def test_append_replaces_a_conflicting_tail_and_keeps_an_agreeing_one() -> None:
    log = log_of(1, 1, 1)
    assert log.try_append(1, 1, entries(1, start=2), 0) == 2
    assert log.last_index == 3, "an old message does not shorten the log"
    assert log.try_append(1, 1, entries(2, start=2), 0) == 2
    assert (log.last_index, log.last_term) == (2, 2)


def test_append_behind_the_end_or_another_term_is_refused() -> None:
    log = log_of(1, 1)
    assert log.try_append(5, 1, entries(1, start=6), 0) is None
    assert log.try_append(5, 0, entries(1, start=6), 0) is None
    assert log.try_append(2, 2, entries(2, start=3), 0) is None


def test_committed_entry_is_never_replaced() -> None:
    log = log_of(1, 1, 1)
    log.commit_to(2)
    with pytest.raises(AssertionError, match="committed"):
        log.append(entries(2, start=2))


def test_commit_is_bounded_by_what_the_append_proves() -> None:
    log = log_of(1, 1, 1)
    log.try_append(1, 1, (), 9)
    assert log.committed == 1


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=12).map(sorted), st.integers(0, 14), st.integers(0, 5)
)
def test_hint_is_the_last_entry_of_at_most_that_term(terms: list[int], index: int, term: int) -> None:
    log = log_of(*terms)
    index = min(index, log.last_index)
    found, found_term = log.last_at_or_below_term(index, term)
    assert found <= index
    assert found_term <= term
    assert all(terms[one - 1] > term for one in range(found + 1, index + 1))


def test_compacted_entries_are_said_to_be_gone() -> None:
    storage = MemoryStorage()
    storage.append(entries(1, 1, 2, 2))
    storage.compact(SnapshotPoint(3, 2))
    log = RaftLog(storage)
    assert (log.first_index, log.last_index, log.term(3)) == (4, 4, 2)
    with pytest.raises(LogCompacted):
        log.entries(2, 5)
    with pytest.raises(LogCompacted):
        log.term(2)


STORAGE: WeakKeyDictionary[RawNode, MemoryStorage] = WeakKeyDictionary()
"""Each node's disk."""


def node(number: int = 1, voters: tuple[int, ...] = (1, 2, 3)) -> RawNode:
    storage = MemoryStorage()
    storage.install(SnapshotPoint(1, 1, Membership(voters=voters)))
    raw_node = RawNode(Settings(number, storage, random.Random(number), uncommitted_bytes_max=100))
    STORAGE[raw_node] = storage
    return raw_node


def settle(raw_node: RawNode) -> None:
    """Do whatever the node asks for, on a disk that is never slow."""
    while raw_node.has_ready():
        ready = raw_node.ready()
        STORAGE[raw_node].append(ready.entries)
        raw_node.advance(ready)


def ticks_to_campaign(raw_node: RawNode) -> int:
    """Let time pass without a word from a leader; return after how many ticks the node stands for election."""
    for ticks in range(1, 100):
        raw_node.tick()
        if raw_node.role != Role.FOLLOWER:
            return ticks
    raise AssertionError("100 ticks without an election")


def test_election_timeouts_are_random_and_replay_from_their_seed() -> None:
    timeouts = [
        [ticks_to_campaign(node(number, voters=(number, 100, 101))) for number in range(1, 30)]
        for _ in range(2)
    ]
    assert timeouts[0] == timeouts[1]
    assert set(timeouts[0]) <= set(range(10, 20))
    assert len(set(timeouts[0])) > 5


def test_node_ticks_into_a_pre_vote_and_not_into_a_new_term() -> None:
    follower = node()
    for _ in range(20):
        follower.tick()
    assert follower.role == Role.PRE_CANDIDATE
    assert follower.term == 1 - 1
    ready = follower.ready()
    assert {message.kind for message in ready.messages} == {Kind.PRE_VOTE}
    assert not ready.must_sync


def test_message_kinds_of_the_node_itself_are_refused_from_peers() -> None:
    with pytest.raises(ValueError, match="CAMPAIGN"):
        node().step(Message(Kind.CAMPAIGN, to=1, sender=2))
    with pytest.raises(UnknownPeer):
        node().step(Message(Kind.APPEND_REPLY, to=1, sender=9, term=5))


def test_leader_takes_a_bounded_amount_that_is_not_committed() -> None:
    follower = node(voters=(1,))
    follower.campaign()
    settle(follower)
    assert follower.role == Role.LEADER
    follower.propose(b"x" * 99)
    with pytest.raises(ProposalDropped, match="uncommitted"):
        follower.propose(b"y" * 99)
    settle(follower)
    follower.propose(b"y" * 99)


def test_follower_without_a_leader_drops_proposals() -> None:
    with pytest.raises(ProposalDropped, match="no leader"):
        node().propose(b"x")


@given(
    st.builds(
        ConfigChange,
        st.lists(st.builds(Change, st.sampled_from(Op), st.integers(1, 1 << 40)), max_size=5).map(tuple),
        st.sampled_from(Transition),
        st.binary(max_size=20),
    )
)
def test_config_change_survives_its_encoding(change: ConfigChange) -> None:
    assert ConfigChange.decode(change.encode()) == change
