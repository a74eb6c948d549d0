"""A host that is out of memory: programs get hardly more than they have, and what they ask for is refused.

RLIMIT_AS, as a strict overcommit policy does it: allocation fails, the kernel kills nobody. PostgreSQL then ends the
statement with "out of memory", or the whole server when it cannot fork.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final

from outlast.errors import HostError
from outlast.faults.agent_fault import AgentFault
from outlast.faults.base import Effect, Fault, Injection, Param, number
from outlast.faults.sql_fault import one_row
from outlast.history.history import JSON
from outlast.systems.base import Cluster, HasServers

MIB: Final = 1024 * 1024
_ASK: Final = "SELECT length(repeat('x', %s))"
REPEAT_BYTES_MAX: Final = 900 * MIB
"""PostgreSQL's own limit for one value is 1 GB."""


class MemoryLimit(AgentFault):
    """It bit when a statement that needs more than the headroom fails for want of memory."""

    name = "memory_limit"
    about = "programs of a host get hardly more memory than they have: allocation fails"
    params = (Param("headroom_bytes", 32 * MIB, "bytes", "that each program may still map"),)

    def available(self, cluster: Cluster) -> str | None:
        """Its proof is a statement."""
        return None if isinstance(cluster, HasServers) else f"{cluster.spec.system} has no PostgreSQL servers"

    def words(self, params: Mapping[str, JSON]) -> list[str]:
        """Say how much they may still take."""
        return ["limit_memory", str(int(number(params, "headroom_bytes")))]

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Name the agent."""
        self.words(params)
        return Injection(self.name, targets, params, {"agent": f"fault:mem{rng.getrandbits(16):04x}"})

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """Have a new backend ask for more than the headroom."""
        asked = min(int(number(injection.params, "headroom_bytes")) * 4, REPEAT_BYTES_MAX)
        for target in injection.targets:
            try:
                await one_row(cluster, target, _ASK, (asked,))
            except HostError as error:
                if "memory" not in error.message:
                    return Effect(None, error.message)
            else:
                return Effect(False, f"{target}: a statement got {asked} bytes")
        return Effect(True, f"{', '.join(injection.targets)}: {asked} bytes were refused: out of memory")


FAULTS: Final[tuple[Fault, ...]] = (MemoryLimit(),)
