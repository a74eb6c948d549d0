"""A raftlog member's config file, and what its settings promise. docs/raftlog.md says what each key means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from outlast.config.cluster import ClusterSpec, NodeSpec
from outlast.systems.base import OutageModel

KAFKA_PORT: Final = 9092
PUBLISHED_PORT: Final = 9093
"""Where clients of the machine come in: they are told 127.0.0.1 and each member's published port."""

PEER_PORT: Final = 9192
ADMIN_PORT: Final = 8092
PROCESS: Final = "raftlog"
CONFIG: Final = "node.toml"
LOG: Final = "log/raftlog.log"
NO_FSYNC: Final = "RAFTLOG_UNSAFE_NO_FSYNC"

PROFILES: Final = {"default": "default", "fast": "tuned"}
ELECTION_S: Final = {"default": 1.0, "fast": 0.4}
"""Within which raftlog promises a new leader, by our profile's name."""

MARGIN_S: Final = 5.0


def node_ids(spec: ClusterSpec) -> dict[str, int]:
    """Return each node's id: its place in the spec, from 1."""
    return {node.name: number for number, node in enumerate(spec.nodes, start=1)}


def config(spec: ClusterSpec, node: NodeSpec, published: Mapping[str, int]) -> str:
    """Return a node's config file. published: each node's port on 127.0.0.1 of the machine."""
    ids = node_ids(spec)
    lines = [
        f'cluster = "{spec.name}"',
        f"node_id = {ids[node.name]}",
        'data_dir = "data"',
        f'profile = "{PROFILES[spec.profile]}"',
    ]
    for peer in spec.nodes:
        lines += [
            "[[peers]]",
            f"id = {ids[peer.name]}",
            f'kafka = "{peer.address}:{KAFKA_PORT}"',
            f'peer = "{peer.address}:{PEER_PORT}"',
            f'admin = "{peer.address}:{ADMIN_PORT}"',
            f'published = "127.0.0.1:{published[peer.name]}"',
        ]
    lines += ["[kafka]", f'published_listen = "{node.address}:{PUBLISHED_PORT}"']
    return "\n".join(lines) + "\n"


def outage_model(spec: ClusterSpec) -> OutageModel:
    """Return the outage that the timing allows when the leader is lost."""
    election_s = ELECTION_S[spec.profile]
    return OutageModel(
        election_s + MARGIN_S,
        f"a new leader within {election_s:g} s of the last word of the old one + {MARGIN_S:g} s",
    )
