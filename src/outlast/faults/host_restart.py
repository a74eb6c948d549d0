"""Hosts that lose their power and come back by themselves: one, or all in turn."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Final

from outlast.faults.base import Effect, Fault, Injection, Mechanism, Param, number, of_target
from outlast.faults.host_state import booted, power_back, switch_off
from outlast.history.history import JSON
from outlast.systems.base import Cluster, HasPrimary
from outlast.systems.wait import wait_until_ready

_OFF = Param("off_s", 1.0, "s", "how long a host stays off")


class HostRestart(Fault):
    """All targets at once. It bit when their inits are others than before."""

    name = "host_restart"
    about = "hosts lose their power and boot again, and what belongs on them starts"
    mechanism = Mechanism.POWER
    params: tuple[Param, ...] = (_OFF,)
    lasts = False

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Note when each host was booted."""
        number(params, "off_s")
        ticks: dict[str, JSON] = {target: await booted(cluster.lab.hosts[target]) for target in targets}
        return Injection(self.name, targets, params, {"booted": ticks})

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Off, a pause, on."""
        await self._cycle(cluster, injection, injection.targets)

    async def _cycle(self, cluster: Cluster, injection: Injection, targets: tuple[str, ...]) -> None:
        await switch_off(cluster, targets)
        await asyncio.sleep(number(injection.params, "off_s"))
        await power_back(cluster, targets)

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """Compare the hosts' inits with those of before."""
        for target in injection.targets:
            now = await booted(cluster.lab.hosts[target])
            if now is None or now == of_target(injection, "booted", target):
                return Effect(False, f"{target} {'is off' if now is None else 'was not booted again'}")
        return Effect(True, f"{', '.join(injection.targets)}: booted again")

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """See to it that all hosts are on and all that belongs on them runs."""
        await power_back(cluster, injection.targets)


class RollingRestart(HostRestart):
    """One host at a time, the primary last, the next once the cluster is whole again."""

    name = "rolling_restart"
    about = "hosts are restarted in turn, the primary last, each once the cluster is whole again"
    params = (_OFF, Param("whole_s", 60.0, "s", "longest wait for a whole cluster between two hosts"))
    on = "all"

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Restart one after another. Raises ClusterError when the cluster does not become whole in between."""
        primary = await cluster.primary() if isinstance(cluster, HasPrimary) else None
        order = sorted(injection.targets, key=lambda target: target == primary)
        for place, target in enumerate(order):
            if place:
                await wait_until_ready(cluster, number(injection.params, "whole_s"))
            await self._cycle(cluster, injection, (target,))


FAULTS: Final[tuple[Fault, ...]] = (HostRestart(), RollingRestart())
