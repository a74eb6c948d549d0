"""Reset: established connections break at both ends, as when a stateful box between them loses its memory."""

from __future__ import annotations

import random
from collections.abc import Mapping

from outlast.faults.base import Effect, Fault, Injection, Param
from outlast.faults.net_links import far_ends, ports_of
from outlast.history.history import JSON
from outlast.systems.base import Cluster


class NetReset:
    """Once: what connects again afterwards is left alone, so there is nothing to heal."""

    name = "net_reset"
    about = "established connections of the targets are reset"
    lasts = False
    params = (
        Param("peers", "all", "", "with whom: all, nodes, dcs, clients, or names with commas"),
        Param("ports", "", "", "only connections from or to these ports, with commas; empty for all"),
    )

    def available(self, cluster: Cluster) -> str | None:
        """Ask the lab, which has tried it on its kernel."""
        return cluster.lab.net.unavailable_reset()

    async def inject(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Break every connection between the targets and their peers."""
        peers = far_ends(cluster, str(params["peers"]))
        broken = await cluster.lab.net.reset(targets, peers, ports_of(params["ports"]))
        details: dict[str, JSON] = {"connections": list(broken), "mechanisms": ["sock_diag destroy"]}
        return Injection(self.name, targets, params, details)

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """None of the connections that there were is there any more."""
        noted = injection.details.get("connections")
        before = {str(one) for one in noted} if isinstance(noted, list) else set()
        if not before:
            return Effect(False, f"{', '.join(injection.targets)} had no such connection")
        peers = far_ends(cluster, str(injection.params["peers"]))
        ports = ports_of(injection.params["ports"])
        now = set(await cluster.lab.net.connections(injection.targets, peers, ports))
        if left := before & now:
            return Effect(
                False, f"{len(left)} of {len(before)} connections are still there: {sorted(left)[0]}"
            )
        return Effect(True, f"{len(before)} connections broken, {len(now)} made since")

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """Nothing stays."""


FAULTS: tuple[Fault, ...] = (NetReset(),)
