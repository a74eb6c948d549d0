"""All of a cluster is stopped in order, as for maintenance of the whole room, and later started again."""

from __future__ import annotations

import random
import signal
from collections.abc import Mapping
from typing import Final

from outlast.errors import ConfigError
from outlast.faults.base import Effect, Fault, Injection, Mechanism, Param, number, pids_of
from outlast.faults.host_state import bring_back, end_in_order
from outlast.history.history import JSON
from outlast.systems.base import Cluster, Killable
from outlast.systems.wait import wait_for


class StopAll(Fault):
    """SIGTERM to the manager of every target, which stops its server; healing starts them all."""

    name = "stop_all_start_all"
    about = "all targets' managers and servers are ended in order; healing starts them together"
    mechanism = Mechanism.SIGNAL
    params = (
        Param("dcs", True, "", "whether the members of the DCS are stopped too, after the others"),
        Param("stop_s", 20.0, "s", "how long they may take to end"),
    )
    on = "all"

    def available(self, cluster: Cluster) -> str | None:
        """Needs a system that can tell its processes apart."""
        return None if isinstance(cluster, Killable) else f"{cluster.spec.system} has no process to name"

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Note all that runs on the targets, the members of the DCS last."""
        number(params, "stop_s", 1)
        if not isinstance(params["dcs"], bool):
            raise ConfigError("dcs must be true or false")
        dcs = [member.name for member in cluster.spec.dcs] if params["dcs"] else []
        everyone = (*targets, *(name for name in dcs if name not in targets))
        pids: dict[str, JSON] = {name: list(await _all_pids(cluster, name)) for name in everyone}
        return Injection(self.name, everyone, params, {"pids": pids})

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Stop the nodes together, then the DCS. Raises ClusterError when they do not end in time."""
        for group in reversed(by_need(cluster, injection)):
            for name in group:
                await cluster.lab.hosts[name].signal(signal.SIGTERM, pids=await _manager_pids(cluster, name))

            async def still(group: list[str] = group) -> str:
                left = {name: await _all_pids(cluster, name) for name in group}
                return "; ".join(f"{name}: {len(pids)} processes" for name, pids in left.items() if pids)

            await wait_for(still, number(injection.params, "stop_s"), f"{', '.join(group)} to end")

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """None of those that ran is left, and nobody has taken their place."""
        count = 0
        for name in injection.targets:
            left = await _all_pids(cluster, name)
            if left:
                return Effect(False, f"{name}: {len(left)} processes run")
            count += len(pids_of(injection, "pids", name))
        return Effect(count > 0, f"{count} processes on {', '.join(injection.targets)} have ended")

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """See the stop through where it got only half-way; start the DCS, then all nodes."""
        for group in reversed(by_need(cluster, injection)):
            pids = {name: pids_of(injection, "pids", name) for name in group}
            told = {name: set(pids[name]).intersection(await _manager_pids(cluster, name)) for name in group}
            await end_in_order(cluster, told, pids, number(injection.params, "stop_s"))
        for group in by_need(cluster, injection):
            await bring_back(cluster, group)


def by_need(cluster: Cluster, injection: Injection) -> tuple[list[str], list[str]]:
    """Return the members of the DCS, and the nodes, which need them."""
    dcs = {member.name for member in cluster.spec.dcs}
    members = [name for name in injection.targets if name in dcs]
    return members, [name for name in injection.targets if name not in dcs]


async def _manager_pids(cluster: Cluster, node: str) -> list[int]:
    assert isinstance(cluster, Killable)
    return await cluster.process_ids(node, cluster.process_names(node)[0])


async def _all_pids(cluster: Cluster, node: str) -> list[int]:
    assert isinstance(cluster, Killable)
    return [pid for name in cluster.process_names(node) for pid in await cluster.process_ids(node, name)]


FAULTS: Final[tuple[Fault, ...]] = (StopAll(),)
