"""Changes of membership: who votes, who learns, and the rules under which that may change.

    simple change       one voter more or less; old and new majorities overlap (thesis §4.1)
    enter joint         any change; until it ends, old and new majorities must both agree (thesis §4.3)
    leave joint         the old voters go, voters that were to become learners do

A learner is sent the log and votes on nothing (thesis §4.2.1). A voter of the outgoing majority that becomes
a learner waits in learners_next until the joint configuration ends, since one cannot be both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from raftlog.core.config_change import Change, MembershipError, Op
from raftlog.core.progress import Inflight, Progress
from raftlog.core.quorum import VoteResult, joint_committed, joint_vote, majority_committed
from raftlog.core.types import Membership


@dataclass(slots=True)
class Configuration:
    """The configuration in force. Sets, so that a change is set arithmetic; Membership is its stored form."""

    voters: set[int] = field(default_factory=set)
    outgoing: set[int] = field(default_factory=set)
    learners: set[int] = field(default_factory=set)
    learners_next: set[int] = field(default_factory=set)
    auto_leave: bool = False

    @classmethod
    def of(cls, stored: Membership) -> Configuration:
        """Return the configuration that a Membership describes."""
        return cls(
            set(stored.voters),
            set(stored.outgoing),
            set(stored.learners),
            set(stored.learners_next),
            stored.auto_leave,
        )

    def stored(self) -> Membership:
        """Return this configuration as a value."""
        return Membership(
            tuple(sorted(self.voters)),
            tuple(sorted(self.outgoing)),
            tuple(sorted(self.learners)),
            tuple(sorted(self.learners_next)),
            self.auto_leave,
        )

    def copy(self) -> Configuration:
        """Return a configuration that can be changed without touching this one."""
        return Configuration.of(self.stored())

    @property
    def joint(self) -> bool:
        """Whether two majorities must agree."""
        return bool(self.outgoing)

    @property
    def electorate(self) -> list[int]:
        """Every node that votes, in order."""
        return sorted(self.voters | self.outgoing)

    @property
    def nodes(self) -> set[int]:
        """Every node that is sent the log."""
        return self.voters | self.outgoing | self.learners | self.learners_next

    def committed(self, matched: dict[int, int]) -> int:
        """Return the highest index stored by a quorum."""
        if not self.outgoing:
            return majority_committed(self.voters, matched)
        return joint_committed(self.voters, self.outgoing, matched)

    def vote(self, votes: dict[int, bool]) -> VoteResult:
        """Return how an election stands."""
        return joint_vote(self.voters, self.outgoing, votes)

    def __str__(self) -> str:
        text = f"voters={_listed(self.voters)}"
        if self.outgoing:
            text += f"&&{_listed(self.outgoing)}"
        if self.learners:
            text += f" learners={_listed(self.learners)}"
        if self.learners_next:
            text += f" learners_next={_listed(self.learners_next)}"
        return text + (" autoleave" if self.auto_leave else "")


def _listed(nodes: set[int]) -> str:
    return "(" + " ".join(map(str, sorted(nodes))) + ")"


ProgressMap = dict[int, Progress]
"""Progress by node."""


@dataclass(frozen=True, slots=True)
class Changer:
    """Applies changes to a configuration and to the progress kept for its nodes; both are copied, never changed.

    next_index: where a new node's probing starts. inflight_max, inflight_bytes_max: its window.
    """

    config: Configuration
    tracked: ProgressMap
    next_index: int
    inflight_max: int = 256
    inflight_bytes_max: int = 0

    def simple(self, changes: Sequence[Change]) -> tuple[Configuration, ProgressMap]:
        """Change at most one voter. Raises MembershipError when that is not what the changes do (thesis §4.1)."""
        if self.config.joint:
            raise MembershipError("can't apply simple config change in joint config")
        config, tracked = self.config.copy(), dict(self.tracked)
        self._apply(config, tracked, changes)
        if len(self.config.voters ^ config.voters) > 1:
            raise MembershipError("more than one voter changed without entering joint config")
        return config, tracked

    def enter_joint(
        self, changes: Sequence[Change], *, auto_leave: bool
    ) -> tuple[Configuration, ProgressMap]:
        """Begin a joint configuration of the present voters and the changed ones (thesis §4.3)."""
        if self.config.joint:
            raise MembershipError("config is already joint")
        if not self.config.voters:
            raise MembershipError("can't make a zero-voter config joint")
        config, tracked = self.config.copy(), dict(self.tracked)
        config.outgoing = set(config.voters)
        self._apply(config, tracked, changes)
        config.auto_leave = auto_leave
        return config, tracked

    def leave_joint(self) -> tuple[Configuration, ProgressMap]:
        """End a joint configuration: only the incoming voters remain."""
        if not self.config.joint:
            raise MembershipError("can't leave a non-joint config")
        config, tracked = self.config.copy(), dict(self.tracked)
        config.learners |= config.learners_next
        config.learners_next = set()
        config.outgoing = set()
        config.auto_leave = False
        for node in list(tracked):
            if node not in config.nodes:
                del tracked[node]
            else:
                tracked[node] = replace(tracked[node], learner=node in config.learners)
        return config, tracked

    def _apply(self, config: Configuration, tracked: ProgressMap, changes: Sequence[Change]) -> None:
        for change in changes:
            node = change.node
            if not node or change.op == Op.UPDATE:
                continue
            known = node in tracked
            # Each node is taken out and put back where it belongs: the outcome then depends on nothing but
            # the op.
            config.voters.discard(node)
            config.learners.discard(node)
            config.learners_next.discard(node)
            if change.op == Op.REMOVE:
                if node not in config.outgoing:
                    tracked.pop(node, None)
                continue
            learner = change.op == Op.ADD_LEARNER
            if not learner:
                config.voters.add(node)
            elif node in config.outgoing:
                config.learners_next.add(node)
            else:
                config.learners.add(node)
            if not known:
                # A new node counts as active, or the next quorum check could depose its leader before it is
                # heard.
                window = Inflight(self.inflight_max, self.inflight_bytes_max)
                tracked[node] = Progress(next=self.next_index, learner=learner, active=True, inflight=window)
            else:
                tracked[node] = replace(tracked[node], learner=node in config.learners)
        if not config.voters:
            raise MembershipError("removed all voters")
