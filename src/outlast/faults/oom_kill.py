"""The kernel's own OOM killer: a statement grows past a limit of memory and its backend gets SIGKILL.

The server's processes get a control group of their own with a limit (memory.limit_in_bytes, or memory.max), and a
backend asks for more than that. PostgreSQL takes the SIGKILL of one backend for a crash of all: it ends the others and
starts again from its WAL. Until it is healed the server that came back has to live with the limit too. Unlike
memory_limit, nothing is refused: who takes too much is killed. Source: PostgreSQL manual, "Linux Memory Overcommit".
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final

from outlast.errors import ConfigError, HostError
from outlast.faults.base import Effect, Fault, Injection, Mechanism, Param, number, pids_of
from outlast.faults.host_state import bring_back
from outlast.faults.process_signal import find
from outlast.faults.sql_fault import rows
from outlast.history.history import JSON
from outlast.hosts.netns import memory
from outlast.systems.base import Cluster, HasServers, Killable

MIB: Final = 1024 * 1024
LEAST_BYTES: Final = 32 * MIB
MOST_BYTES: Final = 768 * MIB
ASKED_BYTES_MAX: Final = 1000 * MIB
"""PostgreSQL's own limit for one value is 1 GB."""

GROW_TIMEOUT_S: Final = 15.0
_GROW: Final = "SELECT length(repeat('x', %s))"


class OomKill(Fault):
    """It bit when the kernel counts a kill in the group, and a process that ran before is gone."""

    name = "oom_kill"
    about = (
        "a statement outgrows a limit of memory: the kernel kills its backend, and the server starts again"
    )
    mechanism = Mechanism.CGROUP
    params = (
        Param(
            "limit_bytes", 256 * MIB, "bytes", "that the server's processes may take beyond what they have"
        ),
    )

    def available(self, cluster: Cluster) -> str | None:
        """Needs a control group for memory, and a server that can be asked to grow."""
        if not isinstance(cluster, HasServers) or not isinstance(cluster, Killable):
            return f"{cluster.spec.system} has no PostgreSQL servers"
        return memory.unavailable()

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Note who runs. Raises HostError where no server does."""
        limit_of(params)
        found: dict[str, JSON] = {}
        for target in targets:
            found[target] = list(await find(cluster, target, "postgres"))
            if not found[target]:
                raise HostError(f"{target}: no server runs there")
        return Injection(self.name, targets, params, {"pids": found, "mechanisms": [memory.means()]})

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Limit the server's processes, then have one grow."""
        limit = limit_of(injection.params)
        for target in injection.targets:
            group = cluster.lab.hosts[target].memory
            if group is None:
                raise HostError(f"{target}: {memory.unavailable()}")
            for _round in range(2):  # what was forked meanwhile by one that was outside
                await group.limit(await find(cluster, target, "postgres"), limit)
            asked = min(limit + limit // 2 + LEAST_BYTES, ASKED_BYTES_MAX)
            try:
                await rows(cluster, target, _GROW, (asked,), timeout_s=GROW_TIMEOUT_S)
            except HostError:
                continue  # as it should be: its backend is gone; whether it is, is for effective to say

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """Ask the kernel, and look who is gone."""
        words = []
        for target in injection.targets:
            group = cluster.lab.hosts[target].memory
            kills = None if group is None else group.kills
            if not kills:
                said = "nothing limits its memory" if kills is None else "the kernel has killed nobody"
                return Effect(False, f"{target}: {said}")
            alive = {
                process.pid for process in await cluster.lab.hosts[target].processes() if process.state != "Z"
            }
            before = pids_of(injection, "pids", target)
            gone = len(set(before) - alive)
            words.append(
                f"{target}: the kernel has killed {kills}, {gone} of the {len(before)} of before are gone"
            )
            if not gone:
                return Effect(False, words[-1])
        return Effect(True, "; ".join(words))

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """Lift the limits, and start what gave up."""
        for target in injection.targets:
            group = cluster.lab.hosts[target].memory
            if group is not None:
                await group.free()
        await bring_back(cluster, injection.targets)


def limit_of(params: Mapping[str, JSON]) -> int:
    """Return the limit. Raises ConfigError for one that no server lives with, or no statement reaches."""
    limit = number(params, "limit_bytes")
    if not LEAST_BYTES <= limit <= MOST_BYTES:
        raise ConfigError(f"limit_bytes must be {LEAST_BYTES} to {MOST_BYTES} (32 to 768 MiB), got {limit:g}")
    return int(limit)


FAULTS: Final[tuple[Fault, ...]] = (OomKill(),)
