"""A stalled machine: nothing on it runs and no packet is answered, then it goes on as if nothing had been.

SIGSTOP alone is not that: the kernel of a stopped process still acknowledges what its peers send. So the host's
cable is cut first. To itself no time has passed; to its peers it was dead.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Mapping
from typing import Final

from outlast.errors import HostError
from outlast.faults.base import Effect, Fault, Injection, Mechanism, pids_of
from outlast.faults.host_state import answers, bring_back
from outlast.history.history import JSON
from outlast.hosts.base import Host, ProcessInfo
from outlast.systems.base import Cluster

ROUNDS_MAX: Final = 20
"""How often to look for processes that were forked while the others were stopped."""


class HostFrozen(Fault):
    """Cut the cable, stop everything; let everything go on, plug the cable in."""

    name = "host_frozen"
    about = "a host stalls as a paused virtual machine does: nothing runs, no packet is answered"
    mechanism = Mechanism.CABLE

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Note what is stopped already, which healing will leave alone."""
        stopped: dict[str, JSON] = {}
        for target in targets:
            host = cluster.lab.hosts[target]
            if not host.is_on:
                raise HostError(f"{target} is off, so it cannot be frozen")
            stopped[target] = [process.pid for process in await host.processes() if _is_stopped(process)]
        return Injection(self.name, targets, params, {"stopped_before": stopped})

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Cut the cables, then stop until nothing runs any more."""
        for target in injection.targets:
            host = cluster.lab.hosts[target]
            await host.plug(False)
            for _round in range(ROUNDS_MAX):
                moving = [process.pid for process in await _programs(host) if not _is_stopped(process)]
                if not moving:
                    break
                await host.signal(signal.SIGSTOP, pids=moving)

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """Everything is stopped, and no packet is answered."""
        count = 0
        for target in injection.targets:
            programs = await _programs(cluster.lab.hosts[target])
            moving = [process.name for process in programs if not _is_stopped(process)]
            if moving:
                return Effect(False, f"{target}: {', '.join(sorted(set(moving))[:4])} still run")
            if how := await answers(cluster, target):
                return Effect(False, f"{target} {how}")
            count += len(programs)
        return Effect(True, f"{count} processes are stopped and no packet is answered")

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """Let go on what this fault stopped, then plug the cables in."""
        for target in injection.targets:
            host = cluster.lab.hosts[target]
            if host.is_on:
                before = pids_of(injection, "stopped_before", target)
                stopped = [process.pid for process in await _programs(host) if _is_stopped(process)]
                await host.signal(signal.SIGCONT, pids=[pid for pid in stopped if pid not in before])
                await host.plug(True)
        await bring_back(cluster, injection.targets)


async def _programs(host: Host) -> list[ProcessInfo]:
    """Return all that runs on a host but its init."""
    return [process for process in await host.processes() if process.pid != 1 and process.state not in "ZX"]


def _is_stopped(process: ProcessInfo) -> bool:
    return process.state in "Tt"


FAULTS: Final[tuple[Fault, ...]] = (HostFrozen(),)
