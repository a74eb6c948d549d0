"""What the exporter knows: the newest sample of everything, and what follows from them together. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from outlast.clock import seconds_between
from outlast.history.live import Live
from outlast.monitoring.exporter.config import ExporterConfig, ExporterTarget
from outlast.monitoring.exporter.sample import NodeSample, StandbySample

POSITIONS_MAX: Final = 900
"""How many of the writable node's positions are remembered; at one a second the lag is known up to 15 minutes."""


@dataclass(slots=True)
class NodeSamples:
    """One server. is_up: it answered the newest look. sample: its newest answer, kept while it is down. why: the
    newest error's first line."""

    target: ExporterTarget
    is_up: bool = False
    sample: NodeSample | None = None
    sampled_ns: int = 0
    took_s: float = 0.0
    why: str = ""
    downs: int = 0


@dataclass(frozen=True, slots=True)
class ManagerSample:
    """What a manager says of one node.

    is_up: the manager there works. state: its word for the node. can_promote: it would make this standby the
    primary, None when it does not say. health: −1 unknown, 0 bad, 1 good. state_code: pg_auto_failover's, as B10
    numbers it, None on other systems. selects: queries that a balancer has sent there, None without one.
    """

    is_up: bool
    state: str
    can_promote: bool | None = None
    health: int = -1
    state_code: int | None = None
    selects: int | None = None


@dataclass(frozen=True, slots=True)
class MemberSample:
    """What one member of the consensus store says. term, index: None when it does not answer."""

    is_up: bool
    is_leader: bool = False
    has_leader: bool = False
    term: int | None = None
    index: int | None = None


@dataclass(frozen=True, slots=True)
class StoreSample:
    """The consensus store as a whole. has_quorum: it answered a read that needs a majority."""

    members: Mapping[str, MemberSample] = field(default_factory=dict)
    has_quorum: bool = False


@dataclass(frozen=True, slots=True)
class LagSample:
    """How far a standby is behind the writable node. bytes: of WAL not replayed; seconds: the age of the oldest."""

    bytes: int
    seconds: float


@dataclass(slots=True)
class LabSamples:
    """Everything, as it was last seen."""

    config: ExporterConfig
    nodes: dict[str, NodeSamples] = field(default_factory=dict)
    managers: Mapping[str, ManagerSample] = field(default_factory=dict)
    store: StoreSample | None = None
    live: Live | None = None
    writable: str | None = None
    followed: str | None = None
    followed_since_ns: int = 0
    changes: int = 0
    _positions: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=POSITIONS_MAX))
    _timeline: int = 0

    def __post_init__(self) -> None:
        self.nodes = {target.name: NodeSamples(target) for target in self.config.nodes}

    def writable_nodes(self) -> list[NodeSamples]:
        """Return the nodes that take writes, the one on the newest timeline first."""
        found = [
            node for node in self.nodes.values() if node.is_up and node.sample and not node.sample.in_recovery
        ]
        return sorted(found, key=lambda node: _rank(node.sample), reverse=True)

    def follow(self, at_ns: int) -> None:
        """Take note of who takes writes now, and of its position."""
        there = self.writable_nodes()
        self.writable = there[0].target.name if there else None
        if not there:
            return
        sample = there[0].sample
        assert sample is not None
        if self.writable != self.followed or sample.timeline != self._timeline:
            self.changes += self.writable != self.followed and self.followed is not None
            self.followed, self.followed_since_ns, self._timeline = self.writable, at_ns, sample.timeline
            # What the old primary wrote past this point is no one's to replay.
            while self._positions and self._positions[-1][1] > sample.lsn:
                self._positions.pop()
        if not self._positions or sample.lsn > self._positions[-1][1]:
            self._positions.append((at_ns, sample.lsn))

    def lag(self, node: str, at_ns: int) -> LagSample | None:
        """Return a standby's lag; None for the writable node and for one that was never seen.

        It goes on while there is no primary, and grows while the standby is away: what it was known to have replayed.
        """
        state = self.nodes[node]
        if node == self.followed or state.sample is None or not self._positions:
            return None
        if not state.sample.in_recovery:
            return None
        behind = self._positions[-1][1] - state.sample.lsn
        said = self.standby_row(node)
        if said is not None and said.lag_bytes is not None and state.is_up:
            behind = said.lag_bytes
        if behind <= 0:
            return LagSample(0, 0.0)
        since = next((when for when, lsn in self._positions if lsn > state.sample.lsn), at_ns)
        # Two looks are never at the same instant: what is younger than a round of looks is no lag.
        age_s = max(0.0, seconds_between(since, at_ns) - self.config.sample_s)
        return LagSample(behind, age_s)

    def standby_row(self, node: str) -> StandbySample | None:
        """Return what the writable node says of a standby now, None when it says nothing."""
        primary = self.nodes[self.writable].sample if self.writable else None
        if primary is None:
            return None
        address = self.nodes[node].target.address
        rows: Sequence[StandbySample] = primary.standbys
        return next((row for row in rows if row.address == address or row.name == node), None)

    def ready_for_failover(self) -> list[str]:
        """Return the standbys that could take over now: up, streaming, and promotable in the manager's own eyes."""
        found = []
        for name, state in self.nodes.items():
            if name not in self.config.candidates or name == self.writable or not state.is_up:
                continue
            sample = state.sample
            if sample is None or not sample.in_recovery or not (sample.is_streaming or self.writable is None):
                continue
            manager = self.managers.get(name)
            if manager is not None and not (manager.is_up and manager.can_promote is not False):
                continue
            found.append(name)
        return found


def _rank(sample: NodeSample | None) -> tuple[int, int]:
    return (sample.timeline, sample.lsn) if sample else (0, 0)
