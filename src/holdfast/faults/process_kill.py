"""A process dies of SIGKILL, as after a crash or the kernel's out-of-memory killer."""

from __future__ import annotations

import random
import signal
from collections.abc import Mapping

from holdfast.errors import ConfigError, HostError
from holdfast.faults.base import Effect, Injection, Param
from holdfast.history.history import JSON
from holdfast.systems.base import Cluster, Killable


class ProcessKill:
    """SIGKILL to a process and all that belong to it; its manager, if any, lives on."""

    name = "process_kill"
    about = "a process and all that belong to it get SIGKILL"
    params = (
        Param("process", "postgres", "", "which: postgres with its backends, its manager (patroni), etcd"),
    )

    def available(self, cluster: Cluster) -> str | None:
        """Needs a system that can tell its processes apart."""
        return None if isinstance(cluster, Killable) else f"{cluster.spec.system} has no process to name"

    async def inject(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Kill the process on each target."""
        process = str(params["process"])
        killed: dict[str, JSON] = {}
        for target in targets:
            pids = await find_process(cluster, target, process)
            killed[target] = list(await cluster.lab.hosts[target].signal(signal.SIGKILL, pids=pids))
        return Injection(self.name, targets, params, {"pids": killed})

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """The processes that were there are gone."""
        pids = injection.details["pids"]
        assert isinstance(pids, dict)
        for target in injection.targets:
            hit = pids[target]
            if not isinstance(hit, list) or not hit:
                return Effect(False, f"{injection.params['process']} did not run on {target}")
            alive = {one.pid for one in await cluster.lab.hosts[target].processes() if one.state != "Z"}
            if still := alive & {int(str(pid)) for pid in hit}:
                return Effect(False, f"{target}: pids {sorted(still)} still run")
        count = sum(len(hit) for hit in pids.values() if isinstance(hit, list))
        return Effect(True, f"{count} processes of {injection.params['process']} are gone")

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """Start what belongs on the nodes and does not run; a manager has mostly done so already."""
        for target in injection.targets:
            await cluster.start_node(target)


async def find_process(cluster: Cluster, node: str, process: str) -> list[int]:
    """Return the pids of a named process on a node. Raises ConfigError for a name the system does not know."""
    if not isinstance(cluster, Killable):
        raise HostError(f"{cluster.spec.system} has no process to name")
    names = cluster.process_names(node)
    if process not in names:
        raise ConfigError(f"{node} has no process {process}", hint=f"it has: {', '.join(names)}")
    return await cluster.process_ids(node, process)
