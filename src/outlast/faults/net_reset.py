"""Reset: established connections break at both ends, as when a stateful box between them loses its memory."""

from __future__ import annotations

import random
from collections.abc import Mapping

from outlast.faults.base import Effect, Fault, Injection, Mechanism, Param
from outlast.faults.link_fault import far_ends, ports_of
from outlast.history.history import JSON
from outlast.systems.base import Cluster


class NetReset(Fault):
    """Once: what connects again afterwards is left alone, so there is nothing to heal."""

    name = "net_reset"
    about = "established connections of the targets are reset"
    mechanism = Mechanism.SOCKET
    lasts = False
    params = (
        Param("peers", "all", "", "with whom: all, nodes, dcs, clients, or names with commas"),
        Param("ports", "", "", "only connections from or to these ports, with commas; empty for all"),
    )

    def available(self, cluster: Cluster) -> str | None:
        """Ask the lab, which has tried it on its kernel."""
        return cluster.lab.net.unavailable_reset()

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Note the connections that there are between the targets and their peers."""
        connections = await _connections(cluster, targets, params)
        details: dict[str, JSON] = {"connections": list(connections), "mechanisms": ["sock_diag destroy"]}
        return Injection(self.name, targets, params, details)

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Break every connection between them."""
        peers, ports = far_ends(cluster, str(injection.params["peers"])), ports_of(injection.params["ports"])
        await cluster.lab.net.reset(injection.targets, peers, ports)

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """None of the connections that there were is there any more."""
        noted = injection.details.get("connections")
        before = {str(connection) for connection in noted} if isinstance(noted, list) else set()
        if not before:
            return Effect(False, f"{', '.join(injection.targets)} had no such connection")
        now = set(await _connections(cluster, injection.targets, injection.params))
        if left := before & now:
            return Effect(
                False, f"{len(left)} of {len(before)} connections are still there: {sorted(left)[0]}"
            )
        return Effect(True, f"{len(before)} connections broken, {len(now)} made since")

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """Nothing stays."""


async def _connections(
    cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON]
) -> tuple[str, ...]:
    peers = far_ends(cluster, str(params["peers"]))
    return await cluster.lab.net.connections(targets, peers, ports_of(params["ports"]))


FAULTS: tuple[Fault, ...] = (NetReset(),)
