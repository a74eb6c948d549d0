"""What the servers of a cluster without a manager are config, and what its operator keeps to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from outlast.config.cluster import ClusterSpec, NodeSpec
from outlast.systems.base import OutageModel
from outlast.systems.postgres import settings as servers
from outlast.systems.streaming.promotion import synchronous_standby_names

MARGIN_S: Final = 5.0
"""For the fencing, the promotion and the clients, on top of the operator's looks."""


@dataclass(frozen=True, slots=True)
class OperatorPace:
    """How an operator watches: a look every look_s seconds, an act after that many bad looks in a row.

    silence_s: after so long without a word a server drops a peer, so that its view is never older.
    """

    look_s: float
    bad_looks: int
    silence_s: float


PACES: Final[Mapping[str, OperatorPace]] = {
    "default": OperatorPace(5.0, 2, 5.0),
    "fast": OperatorPace(1.0, 2, 2.0),
}


def outage_model(spec: ClusterSpec) -> OutageModel:
    """Return what the operator promises: to see it, and to act."""
    pace = PACES[spec.profile]
    seen_s = pace.look_s * (pace.bad_looks + 1) + pace.silence_s
    return OutageModel(
        seen_s + MARGIN_S,
        f"no manager: an operator who looks every {pace.look_s:g} s and acts after {pace.bad_looks} bad looks: "
        f"{seen_s:g} s + {MARGIN_S:g} s",
    )


def eligible(spec: ClusterSpec, primary: str) -> tuple[str, ...]:
    """Return the standbys that writes on primary may wait for: all but those that only serve reads."""
    return tuple(node.name for node in spec.nodes if node.name != primary and node.role != "read-only")


def parameters(spec: ClusterSpec, node: NodeSpec, waits_for: Iterable[str]) -> dict[str, str]:
    """Return a node's parameters. waits_for: the standbys its commits wait for, should it lead."""
    silence = f"{int(PACES[spec.profile].silence_s * 1000)}ms"
    return {
        "wal_sender_timeout": silence,
        "wal_receiver_timeout": silence,
        **servers.own_parameters(spec, node),
        "synchronous_standby_names": synchronous_standby_names(spec.sync, waits_for),
    }
