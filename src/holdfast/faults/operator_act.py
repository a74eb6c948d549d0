"""What an operator does on purpose, timed and judged like a fault: switchover, failover, restart."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from holdfast.errors import ClusterError, HostError
from holdfast.faults.base import Effect, Fault, Injection, Param
from holdfast.history.history import JSON
from holdfast.systems.base import Cluster, HasPrimary, Restartable, Switchable


@dataclass(frozen=True, slots=True)
class MovePrimary:
    """The manager is asked to move the primary. The target is where it is now; it goes to the manager's choice."""

    name: str
    about: str
    params: tuple[Param, ...] = (Param("to", None, "", "the node to lead; the manager's choice by default"),)

    def available(self, cluster: Cluster) -> str | None:
        """Needs a manager that moves the primary on demand."""
        return (
            None
            if isinstance(cluster, Switchable)
            else f"{cluster.spec.system} cannot move its primary on demand"
        )

    async def inject(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Ask, and wait until another node leads."""
        if not isinstance(cluster, Switchable) or not isinstance(cluster, HasPrimary):
            raise HostError(f"{cluster.spec.system} cannot move its primary")
        old = await cluster.primary()
        to = None if params["to"] is None else str(params["to"])
        move = cluster.switchover if self.name == "switchover" else cluster.failover
        try:
            new = await move(to)
        except ClusterError as error:
            raise HostError(error.message) from error
        return Injection(self.name, targets, params, {"old": old, "new": new})

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """Another node takes writes."""
        primary = await cluster.primary() if isinstance(cluster, HasPrimary) else None
        old = injection.details["old"]
        return Effect(primary not in (None, old), f"the primary was {old} and is {primary}")

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """Nothing is broken."""


@dataclass(frozen=True, slots=True)
class Restart:
    """The manager restarts a node's server in order."""

    name: str = "restart"
    about: str = "the manager restarts a node's server in order"
    params: tuple[Param, ...] = ()

    def available(self, cluster: Cluster) -> str | None:
        """Needs a manager that restarts servers."""
        return (
            None
            if isinstance(cluster, Restartable)
            else f"{cluster.spec.system} cannot restart a server on demand"
        )

    async def inject(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Restart one target after another."""
        if not isinstance(cluster, Restartable):
            raise HostError(f"{cluster.spec.system} cannot restart a server")
        before: dict[str, JSON] = {target: await cluster.started_at(target) for target in targets}
        for target in targets:
            try:
                await cluster.restart(target)
            except ClusterError as error:
                raise HostError(error.message) from error
        return Injection(self.name, targets, params, {"before": before})

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """The servers started later than they had before."""
        before = injection.details["before"]
        assert isinstance(before, dict)
        assert isinstance(cluster, Restartable)
        for target in injection.targets:
            now = await cluster.started_at(target)
            if now is None or now == before[target]:
                return Effect(False, f"{target} has run since {now}")
        return Effect(True, f"{', '.join(injection.targets)} started anew")

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """Nothing is broken."""


SWITCHOVER = MovePrimary("switchover", "an operator moves a healthy primary")
FAILOVER = MovePrimary("failover", "an operator has a standby promoted, with or without a primary")
FAULTS: Final[tuple[Fault, ...]] = (SWITCHOVER, FAILOVER, Restart())
