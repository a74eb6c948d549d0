"""What an operator does on purpose, timed and judged like a fault: switchover, failover, restart."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final

from outlast.errors import ClusterError, HostError
from outlast.faults.base import Effect, Fault, Injection, Mechanism, Param, of_target
from outlast.history.history import JSON
from outlast.systems.base import Cluster, HasPrimary, Restartable, Switchable


class MovePrimary(Fault):
    """The manager is asked to move the primary; it goes to the manager's choice unless ``to`` names a node."""

    mechanism = Mechanism.MANAGER
    params = (Param("to", None, "", "the node to lead; the manager's choice by default"),)
    lasts = False

    def __init__(self, name: str, about: str) -> None:
        self.name = name
        self.about = about

    def available(self, cluster: Cluster) -> str | None:
        """Needs a manager that moves the primary on demand."""
        able = isinstance(cluster, Switchable) and isinstance(cluster, HasPrimary)
        return None if able else f"{cluster.spec.system} cannot move its primary on demand"

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Note who is primary now."""
        return Injection(self.name, targets, params, {"old": await _primary(cluster)})

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Ask, and wait until another node leads."""
        if not isinstance(cluster, Switchable):
            raise HostError(f"{cluster.spec.system} cannot move its primary")
        to = injection.params.get("to")
        move = cluster.switchover if self.name == "switchover" else cluster.failover
        try:
            await move(None if to is None else str(to))
        except ClusterError as error:
            raise HostError(error.message) from error

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """Another node takes writes."""
        old, primary = injection.details.get("old"), await _primary(cluster)
        return Effect(primary not in (None, old), f"the primary was {old} and is {primary}")

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """Nothing is broken."""


class Restart(Fault):
    """The manager restarts the servers of its targets in order."""

    name = "restart"
    about = "the manager restarts a node's server in order"
    mechanism = Mechanism.MANAGER
    on = "one-standby"
    lasts = False

    def available(self, cluster: Cluster) -> str | None:
        """Needs a manager that restarts servers."""
        able = isinstance(cluster, Restartable)
        return None if able else f"{cluster.spec.system} cannot restart a server on demand"

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Note since when each server runs."""
        since: dict[str, JSON] = {target: await _started_at(cluster, target) for target in targets}
        return Injection(self.name, targets, params, {"since": since})

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Restart one target after another."""
        if not isinstance(cluster, Restartable):
            raise HostError(f"{cluster.spec.system} cannot restart a server")
        for target in injection.targets:
            try:
                await cluster.restart(target)
            except ClusterError as error:
                raise HostError(error.message) from error

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """The servers started later than they had before."""
        for target in injection.targets:
            now = await _started_at(cluster, target)
            if now is None or now == of_target(injection, "since", target):
                return Effect(False, f"{target} has run since {now}")
        return Effect(True, f"{', '.join(injection.targets)} started anew")

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """Nothing is broken."""


async def _primary(cluster: Cluster) -> str | None:
    return await cluster.primary() if isinstance(cluster, HasPrimary) else None


async def _started_at(cluster: Cluster, node: str) -> str | None:
    return await cluster.started_at(node) if isinstance(cluster, Restartable) else None


FAULTS: Final[tuple[Fault, ...]] = (
    MovePrimary("switchover", "an operator moves a healthy primary"),
    MovePrimary("failover", "an operator has a standby promoted, with or without a primary"),
    Restart(),
)
