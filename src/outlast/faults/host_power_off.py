"""The power of a host goes: its cable first, so that no peer hears the end, then every process at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Final

from outlast.faults.base import Effect, Fault, Injection, Mechanism, Param, number
from outlast.faults.host_state import answers, power_back, switch_off
from outlast.history.history import JSON
from outlast.systems.base import Cluster


class HostPowerOff(Fault):
    """SIGKILL to the host's init: the kernel ends all of it. Files stay as they are (see power_loss)."""

    name = "host_power_off"
    about = "a host loses its power; its unsynced files survive"
    mechanism = Mechanism.POWER

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Nothing to decide."""
        return Injection(self.name, targets, params)

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Switch the hosts off, all at once."""
        await switch_off(cluster, injection.targets)

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """A host that is off answers no packet."""
        for target in injection.targets:
            if how := await answers(cluster, target):
                return Effect(False, f"{target} {how}")
        return Effect(True, f"{', '.join(injection.targets)}: no answer to any packet")

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """Switch the hosts on and start what belongs on them."""
        await power_back(cluster, injection.targets)


class Cascading(HostPowerOff):
    """The same, one host after another."""

    name = "cascading"
    about = "hosts lose their power one after another and stay off"
    params = (Param("gap_s", 2.0, "s", "between one host and the next"),)
    on = "majority"

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Choose the order."""
        number(params, "gap_s")
        return Injection(self.name, tuple(rng.sample(targets, len(targets))), params)

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Switch one off, wait, switch the next off."""
        for place, target in enumerate(injection.targets):
            if place:
                await asyncio.sleep(number(injection.params, "gap_s"))
            await cluster.lab.hosts[target].power_off()


FAULTS: Final[tuple[Fault, ...]] = (HostPowerOff(), Cascading())
