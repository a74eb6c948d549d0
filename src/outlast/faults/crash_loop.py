"""A process that dies again as soon as it is back: killed every few seconds by a program on its own host."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final

from outlast.faults.agent_fault import AgentFault, agents
from outlast.faults.base import Effect, Fault, Injection, Param, number, pids_of
from outlast.faults.process_signal import find, process_name
from outlast.history.history import JSON
from outlast.systems.base import Cluster, Killable


class CrashLoop(AgentFault):
    """It bit when those that ran are gone and the killer lives, ready for the next."""

    name = "crash_loop"
    about = "a process is killed, and again every few seconds, whoever starts it"
    params = (
        Param(
            "process",
            "postgres",
            "",
            "which: postgres with its backends, manager (patroni, pg_autoctl), etcd",
        ),
        Param("every_s", 2.0, "s", "between two kills"),
    )

    def available(self, cluster: Cluster) -> str | None:
        """Needs a system that can tell its processes apart."""
        return None if isinstance(cluster, Killable) else f"{cluster.spec.system} has no process to name"

    def words(self, params: Mapping[str, JSON]) -> list[str]:
        """Say how often to kill what."""
        return ["crash_loop", str(number(params, "every_s", 0.1)), str(params["process"])]

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Note who will die first."""
        self.words(params)
        params = {**params, "process": process_name(cluster, targets[0], str(params["process"]))}
        first: dict[str, JSON] = {}
        for target in targets:
            first[target] = list(await find(cluster, target, str(params["process"])))
        return Injection(
            self.name, targets, params, {"pids": first, "agent": f"fault:crash{rng.getrandbits(16):04x}"}
        )

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """None of the first victims lives, and the agent does."""
        for target in injection.targets:
            host = cluster.lab.hosts[target]
            alive = {process.pid for process in await host.processes() if process.state != "Z"}
            spared = alive.intersection(pids_of(injection, "pids", target))
            if spared:
                return Effect(False, f"{target}: pids {sorted(spared)} still run")
            if not await agents(host, str(injection.details["agent"])):
                return Effect(False, f"{target}: nobody kills {injection.params['process']} again")
        return Effect(True, f"{injection.params['process']} is killed every {injection.params['every_s']} s")


FAULTS: Final[tuple[Fault, ...]] = (CrashLoop(),)
