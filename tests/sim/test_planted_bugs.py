"""A simulator that cannot find a bug proves nothing: each of these is planted alone and must be found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from raftlog.core import election, leader, membership, quorum, rawnode
from raftlog.core.config_change import ConfigChange
from raftlog.core.log import RaftLog
from raftlog.core.raft import HANDLERS, Raft
from raftlog.core.types import Entry, HardState, Kind, Message, Role, SnapshotPoint
from raftlog.sim.disk import SimDisk
from raftlog.sim.environment import HARSH, FaultProfile
from raftlog.sim.invariants import Violation
from raftlog.sim.simulation import Simulation

SEEDS = 100
SECONDS = 12.0

Plant = Callable[[pytest.MonkeyPatch], None]
BUGS: dict[str, Plant] = {}


def bug(plant: Plant) -> Plant:
    """Register a way to break the node."""
    BUGS[plant.__name__] = plant
    return plant


@bug
def entry_of_an_older_term_is_committed_by_counting(patch: pytest.MonkeyPatch) -> None:
    """Raft §5.4.2, figure 8."""
    patch.setattr(RaftLog, "try_commit", lambda self, index, term: self.commit_to(index))


@bug
def vote_is_not_persisted(patch: pytest.MonkeyPatch) -> None:
    """Raft figure 2."""
    stage = SimDisk.stage

    def forgetful(self: SimDisk, entries: list[Entry], hard: HardState) -> None:
        stage(self, entries, HardState(hard.term, 0, hard.commit))

    patch.setattr(SimDisk, "stage", forgetful)


@bug
def term_is_not_persisted(patch: pytest.MonkeyPatch) -> None:
    """Raft figure 2."""
    stage = SimDisk.stage
    patch.setattr(SimDisk, "stage", lambda self, entries, hard: stage(self, entries, HardState()))


@bug
def vote_is_given_to_a_log_that_lacks_entries(patch: pytest.MonkeyPatch) -> None:
    """Raft §5.4.1."""
    patch.setattr(RaftLog, "is_up_to_date", lambda self, index, term: True)


@bug
def two_votes_in_one_term(patch: pytest.MonkeyPatch) -> None:
    """Raft §5.2."""
    patch.setattr(election, "may_vote_for", lambda raft, message: True)


@bug
def append_is_taken_without_looking_at_the_entry_before(patch: pytest.MonkeyPatch) -> None:
    """Raft §5.3."""
    original = RaftLog.try_append

    def credulous(self: RaftLog, index: int, term: int, entries: list[Entry], commit: int) -> int | None:
        return original(self, index, self.term_or_zero(index), entries, commit)

    patch.setattr(RaftLog, "try_append", credulous)


@bug
def conflicting_entries_are_kept(patch: pytest.MonkeyPatch) -> None:
    """Raft §5.3, AppendEntries rule 3."""

    def only_new(self: RaftLog, entries: list[Entry]) -> int | None:
        return next((at for at, entry in enumerate(entries) if entry.index > self.last_index), None)

    patch.setattr(RaftLog, "_first_conflict", only_new)


@bug
def acknowledged_before_it_is_synced(patch: pytest.MonkeyPatch) -> None:
    """Raft figure 2, and every disk."""
    patch.setattr("raftlog.sim.node.SimNode.sync", lambda self: None)


@bug
def one_copy_is_called_a_majority(patch: pytest.MonkeyPatch) -> None:
    """Raft §5.3."""

    def highest(voters: list[int], matched: Mapping[int, int]) -> int:
        return max((matched.get(voter, 0) for voter in voters), default=quorum.INFINITE)

    patch.setattr(membership, "majority_committed", highest)


@bug
def half_the_votes_win(patch: pytest.MonkeyPatch) -> None:
    """Raft §5.2."""

    def half(voters: list[int], votes: Mapping[int, bool]) -> quorum.VoteResult:
        granted = sum(1 for voter in voters if votes.get(voter))
        return quorum.VoteResult.WON if granted >= len(list(voters)) // 2 else quorum.VoteResult.PENDING

    patch.setattr(quorum, "majority_vote", half)


@bug
def heartbeat_commits_what_the_follower_may_not_have(patch: pytest.MonkeyPatch) -> None:
    """Raft figure 2, AppendEntries rule 5."""

    def careless(raft: Raft, context: bytes) -> None:
        for node in raft.progress:
            if node != raft.id:
                raft.send(Message(Kind.HEARTBEAT, to=node, commit=raft.log.committed, context=context))

    patch.setattr(leader, "broadcast_heartbeat", careless)


@bug
def read_is_answered_without_asking_a_majority(patch: pytest.MonkeyPatch) -> None:
    """Thesis §6.4."""
    patch.setitem(
        HANDLERS[Role.LEADER],
        Kind.READ_INDEX,
        lambda raft, message: leader.answer_read(raft, message, raft.log.committed),
    )


@bug
def snapshot_older_than_the_log_is_installed(patch: pytest.MonkeyPatch) -> None:
    """Raft §7."""

    def eager(self: Raft, point: SnapshotPoint) -> bool:
        self.log.restore(point)
        self.adopt(*self._restored(point.membership))
        return True

    patch.setattr(Raft, "restore", eager)


@bug
def membership_changes_overlap(patch: pytest.MonkeyPatch) -> None:
    """Thesis §4.1, and the bug that was found in it in 2015."""

    def always(raft: Raft, change: ConfigChange) -> bool:
        return True

    patch.setattr(leader, "config_change_allowed", always)
    patch.setattr(RaftLog, "unapplied_config_change", lambda self: False)


@bug
def vote_leaves_before_it_is_on_disk(patch: pytest.MonkeyPatch) -> None:
    """Raft figure 2: a changed vote must be synced before the answer is sent."""
    patch.setattr(rawnode, "needs_sync", lambda now, before, entries: bool(entries))


PROFILES: dict[str, FaultProfile] = {
    "entry_of_an_older_term_is_committed_by_counting": HARSH,
    "vote_is_not_persisted": HARSH,
    "append_is_taken_without_looking_at_the_entry_before": replace(
        HARSH, membership=0.0, append_bytes_max=64
    ),
    "two_votes_in_one_term": HARSH,
    "vote_leaves_before_it_is_on_disk": HARSH,
    "membership_changes_overlap": replace(HARSH, membership=0.6, append_bytes_max=64, fault_every_s=0.05),
}
"""Where the usual profile is too mild: these need leaders that change faster than logs settle."""


def find(profile: FaultProfile) -> Violation | None:
    """Return the first violation that the seeds show."""
    for seed in range(1, SEEDS + 1):
        simulation = Simulation(seed, voters=3 + 2 * (seed % 2), profile=profile)
        try:
            simulation.run(SECONDS)
        except Violation as violation:
            return violation
    return None


@pytest.mark.parametrize("name", BUGS)
def test_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    BUGS[name](monkeypatch)
    assert find(PROFILES.get(name, FaultProfile())) is not None, f"{SEEDS} seeds did not find it"
