"""The power of a host goes: its cable first, so that no peer hears the end, then every process at once."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final

from holdfast.faults.base import Effect, Fault, Injection, Param
from holdfast.history.history import JSON
from holdfast.systems.base import Cluster

DIAL_TIMEOUT_S: Final = 0.3


class HostPowerOff:
    """SIGKILL to the host's init: the kernel ends all of it. Files stay as they are (see power_loss)."""

    name = "host_power_off"
    about = "a host loses its power; its unsynced files survive"
    params: tuple[Param, ...] = ()

    def available(self, cluster: Cluster) -> str | None:
        """Always available: every host has a power switch."""
        return None

    async def inject(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Switch the hosts off."""
        for target in targets:
            await cluster.lab.hosts[target].power_off()
        return Injection(self.name, targets, params)

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """A host that is off answers no packet."""
        for target in injection.targets:
            address = cluster.lab.hosts[target].address
            try:
                # Any port: a host that is on accepts or refuses, one that is off is silent.
                (await cluster.lab.dial(address, 1, DIAL_TIMEOUT_S)).close()
            except OSError as error:
                if "refused" in str(error):
                    return Effect(False, f"{target} still answers")
            else:
                return Effect(False, f"{target} still accepts connections")
        return Effect(True, f"{', '.join(injection.targets)}: no answer to any packet")

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """Switch the hosts on and start what belongs on them."""
        for target in injection.targets:
            host = cluster.lab.hosts[target]
            if not host.is_on:
                await host.power_on()
            await cluster.start_node(target)


FAULTS: Final[tuple[Fault, ...]] = (HostPowerOff(),)
