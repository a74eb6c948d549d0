"""What a node is told at birth, and what it counts."""

from __future__ import annotations

import random
from dataclasses import dataclass

from raftlog.core.storage import NO_LIMIT, Storage


@dataclass(frozen=True, slots=True)
class Settings:
    """What one node is told at birth.

    election_ticks: no word from a leader for election_ticks to 2 × election_ticks − 1 ticks starts an
    election. append_bytes_max: payload of one APPEND. inflight_max, inflight_bytes_max: unanswered APPENDs to
    one follower. uncommitted_bytes_max: payload that a leader takes before it is committed; more is dropped
    (0: no bound). applied: the last index the caller has already applied.
    """

    node: int
    storage: Storage
    rng: random.Random
    election_ticks: int = 10
    heartbeat_ticks: int = 1
    pre_vote: bool = True
    check_quorum: bool = True
    append_bytes_max: int = 1 << 20
    inflight_max: int = 256
    inflight_bytes_max: int = 0
    uncommitted_bytes_max: int = 0
    applying_bytes_max: int = NO_LIMIT
    applied: int = 0
    eager_commit: bool = True
    """Whether followers are told of each commit at once, or with the next append or heartbeat: half the
    messages."""


@dataclass(slots=True)
class Counters:
    """What happened since the node was made; for metrics, never for decisions."""

    elections: int = 0
    appends_sent: int = 0
    vote_requests_sent: int = 0
    heartbeats_sent: int = 0
    snapshots_sent: int = 0
