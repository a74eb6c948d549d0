"""Power is lost and with it every write that was not fsynced: host and disk end at the same moment.

The cable goes first, so no acknowledgement leaves after it; then the disk, so nothing more reaches it; then all
processes. What the server had been told is on stable storage must be there when the host boots.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Final

from holdfast.errors import HostError
from holdfast.faults.base import Effect, Fault, Injection, Staged
from holdfast.faults.host_state import answers, power_back
from holdfast.history.history import JSON
from holdfast.hosts.base import Disk
from holdfast.hosts.netns import disks
from holdfast.systems.base import Cluster


class PowerLoss(Staged):
    """All targets at once. Healing mounts the disks, whose journals are replayed, and boots the hosts."""

    name = "power_loss"
    about = "hosts lose their power, and every write that was not fsynced"
    on = "one-standby"

    def available(self, cluster: Cluster) -> str | None:
        """Needs disks."""
        return needs_disks(cluster)

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Only nodes have disks."""
        for target in targets:
            disk_of(cluster, target)
        return Injection(self.name, targets, params)

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Cables, disks, processes."""
        hosts = [cluster.lab.hosts[target] for target in injection.targets]
        await asyncio.gather(*(host.plug(False) for host in hosts if host.is_on))
        await asyncio.gather(*(disk_of(cluster, target).stop() for target in injection.targets))
        await asyncio.gather(*(host.power_off() for host in hosts))

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """The hosts are silent and nothing can be written to their disks."""
        for target in injection.targets:
            if how := await answers(cluster, target):
                return Effect(False, f"{target} {how}")
            if not disk_of(cluster, target).is_stopped:
                return Effect(False, f"{target}: its disk still takes writes")
        return Effect(True, f"{', '.join(injection.targets)}: silent, and nothing reaches their disks")

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """Mount, boot, start."""
        await mount_again(cluster, injection.targets)


def needs_disks(cluster: Cluster) -> str | None:
    """Return why a fault of a disk can't be injected here, None when it can."""
    if reason := disks.unavailable():
        return reason
    return (
        None
        if cluster.spec.disks
        else "the nodes have no disks of their own; bring the lab up with --set disks=on"
    )


async def mount_again(cluster: Cluster, targets: Sequence[str]) -> None:
    """Switch off the hosts whose disks are stopped, mount those, and have all targets boot and start."""
    for target in targets:
        disk = disk_of(cluster, target)
        if disk.is_stopped:
            await cluster.lab.hosts[target].power_off()
            await disk.start()
    await power_back(cluster, targets)


def disk_of(cluster: Cluster, target: str) -> Disk:
    """Return a host's disk. Raises HostError for one that has none."""
    disk = cluster.lab.hosts[target].disk
    if disk is None:
        raise HostError(f"{target} has no disk of its own")
    return disk


FAULTS: Final[tuple[Fault, ...]] = (PowerLoss(),)
