"""Majorities: what a set of voters has committed, and how a vote stands.

A joint configuration is two majorities that must agree (thesis §4.3). The empty majority commits everything
and wins every vote, so that one majority joined with an empty one behaves as it does alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Final

INFINITE: Final = (1 << 64) - 1
"""What the empty majority has committed."""


class VoteResult(IntEnum):
    """How an election stands."""

    PENDING = 1
    LOST = 2
    WON = 3


def majority_committed(voters: Iterable[int], matched: Mapping[int, int]) -> int:
    """Return the highest index that a majority of voters has stored; a voter not in matched has stored nothing.

    O(n log n) in the voters. Source: Raft §5.3, §5.4.
    """
    indices = sorted(matched.get(voter, 0) for voter in voters)
    if not indices:
        return INFINITE
    return indices[(len(indices) - 1) // 2]


def majority_vote(voters: Iterable[int], votes: Mapping[int, bool]) -> VoteResult:
    """Return how the election stands among voters, given the votes received so far. Source: Raft §5.2."""
    electorate = tuple(voters)
    if not electorate:
        return VoteResult.WON
    granted = sum(1 for voter in electorate if votes.get(voter) is True)
    missing = sum(1 for voter in electorate if voter not in votes)
    needed = len(electorate) // 2 + 1
    if granted >= needed:
        return VoteResult.WON
    return VoteResult.PENDING if granted + missing >= needed else VoteResult.LOST


def joint_committed(incoming: Iterable[int], outgoing: Iterable[int], matched: Mapping[int, int]) -> int:
    """Return the highest index that both majorities have stored. Source: thesis §4.3."""
    return min(majority_committed(incoming, matched), majority_committed(outgoing, matched))


def joint_vote(incoming: Iterable[int], outgoing: Iterable[int], votes: Mapping[int, bool]) -> VoteResult:
    """Return how the election stands: won when both majorities are, lost when either is. Source: thesis §4.3."""
    first, second = majority_vote(incoming, votes), majority_vote(outgoing, votes)
    if first == second:
        return first
    return VoteResult.LOST if VoteResult.LOST in (first, second) else VoteResult.PENDING
