"""Symbolic targets: which nodes ``primary``, ``minority`` and the like mean at the moment they are needed."""

from __future__ import annotations

import random

from outlast.config import SYMBOLIC_TARGETS
from outlast.errors import ClusterError, ConfigError
from outlast.systems.base import Cluster, HasConsensus, HasMonitor, Role


async def resolve(target: str, cluster: Cluster, rng: random.Random) -> tuple[str, ...]:
    """Return the nodes that a target means now; a choice among several is rng's.

    Raises ConfigError for a name that is neither symbolic nor a host of the lab, ClusterError when there is no
    such node now (no primary during an election, say).
    """
    if target not in SYMBOLIC_TARGETS:
        if target not in cluster.lab.hosts:
            raise ConfigError(
                f"{target} is neither a node nor a symbolic target",
                hint=f"nodes: {', '.join(cluster.lab.hosts)}; symbolic: {', '.join(SYMBOLIC_TARGETS)}",
            )
        return (target,)
    names = [node.name for node in cluster.spec.nodes]
    dcs = [member.name for member in cluster.spec.dcs]
    match target:
        case "all":
            return tuple(names)
        case "client":
            clients = tuple(name for name in cluster.lab.hosts if name.startswith("client-"))
            return _some(clients, target)
        case "minority":
            return tuple(sorted(rng.sample(names, (len(names) - 1) // 2))) or _some((), target)
        case "majority":
            return tuple(sorted(rng.sample(names, len(names) // 2 + 1)))
        case "dcs-member":
            return _some(tuple(rng.sample(dcs, 1)) if dcs else (), target)
        case "dcs-majority":
            return _some(tuple(sorted(rng.sample(dcs, len(dcs) // 2 + 1))) if dcs else (), target)
        case "dcs-all":
            return _some(tuple(dcs), target)
        case "monitor":
            return _some((cluster.monitor_node,) if isinstance(cluster, HasMonitor) else (), target)
        case "dcs-leader":
            leader = await cluster.dcs_leader() if isinstance(cluster, HasConsensus) else None
            return _some((leader,) if leader else (), target)
    view = await cluster.view()
    if target == "primary":
        return _some((view.primary,) if view.primary else (), target)
    standbys = [node for node in view.nodes if node.role in (Role.STANDBY, Role.READ_ONLY)]
    # One that is down already is no target while others are up; without a leader nobody is healthy.
    up = [node for node in standbys if node.state != "unreachable"]
    standbys = [node for node in standbys if node.healthy] or up or standbys
    if target == "sync-standby":
        standbys = [node for node in standbys if node.sync in ("sync", "quorum")]
    return _some(tuple(rng.sample([node.name for node in standbys], 1)) if standbys else (), target)


def _some(nodes: tuple[str, ...], target: str) -> tuple[str, ...]:
    if not nodes:
        raise ClusterError(f"there is no {target} now")
    return nodes
