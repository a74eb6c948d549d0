"""A server whose every connection slot is taken, by clients that connect and then say nothing."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final

from outlast.errors import HostError
from outlast.faults.agent_fault import AgentFault
from outlast.faults.base import Effect, Fault, Injection
from outlast.faults.sql_fault import one_row, rows
from outlast.history.history import JSON
from outlast.systems.base import Cluster, HasServers

_REFUSALS: Final = ("too many clients", "remaining connection slots are reserved", "timeout", "timed out")


class ConnectionsExhausted(AgentFault):
    """As many connections as the server allows. Those that are open live on; nobody else gets in.

    Not the manager either: a slot is taken before the server knows who asks.
    """

    name = "connections_exhausted"
    about = "all connection slots of a server are taken; new clients are turned away"

    def available(self, cluster: Cluster) -> str | None:
        """Needs servers to connect to."""
        return None if isinstance(cluster, HasServers) else f"{cluster.spec.system} has no PostgreSQL servers"

    def words(self, params: Mapping[str, JSON]) -> list[str]:
        """Say where and how many."""
        return ["hold_connections", "127.0.0.1", "5432", str(params["slots"])]

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Ask how many slots there are."""
        slots = 0
        for target in targets:
            (most,) = await one_row(cluster, target, "SELECT current_setting('max_connections')::int")
            slots = max(slots, most)
        details: dict[str, JSON] = {"agent": f"fault:conn{rng.getrandbits(16):04x}"}
        return Injection(self.name, targets, {**params, "slots": slots}, details)

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """Try to connect."""
        words = []
        for target in injection.targets:
            try:
                await rows(cluster, target, "SELECT 1", timeout_s=1.0)
            except HostError as error:
                if not any(refusal in error.message for refusal in _REFUSALS):
                    return Effect(None, error.message)
                words.append(error.message.splitlines()[0])
            else:
                return Effect(False, f"{target} takes new connections")
        return Effect(True, "; ".join(words))


FAULTS: Final[tuple[Fault, ...]] = (ConnectionsExhausted(),)
