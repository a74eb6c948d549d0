"""Power is lost and with it every write that was not fsynced: host and disk end at the same moment.

The cable goes first, so no acknowledgement leaves after it; then the disk, so nothing more reaches it; then all
processes. What the server had been told is on stable storage must be there when the host boots.
"""

from __future__ import annotations

import asyncio
from typing import Final

from outlast.faults.base import Effect, Fault, Injection
from outlast.faults.disk_fault import DiskFault, disk_of, mount_again
from outlast.faults.host_state import answers
from outlast.history.history import POWER_LOSS
from outlast.systems.base import Cluster


class PowerLoss(DiskFault):
    """All targets at once. Healing mounts the disks, whose journals are replayed, and boots the hosts."""

    name = POWER_LOSS
    about = "hosts lose their power, and every write that was not fsynced"
    on = "one-standby"

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


FAULTS: Final[tuple[Fault, ...]] = (PowerLoss(),)
