"""Faults of the disks of nodes: what they all need, and how a disk is mounted again."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from outlast.errors import HostError
from outlast.faults.base import Fault, Injection, Mechanism
from outlast.faults.host_state import power_back
from outlast.history.history import JSON
from outlast.hosts.base import Disk
from outlast.hosts.netns import disks
from outlast.systems.base import Cluster


class DiskFault(Fault):
    """A fault of its targets' disks. Only nodes have disks, and only with ``disks=on``."""

    mechanism = Mechanism.DISK

    def available(self, cluster: Cluster) -> str | None:
        """Needs disks."""
        if reason := disks.unavailable():
            return reason
        if cluster.spec.disks:
            return None
        return "the nodes have no disks of their own; bring the lab up with --set disks=on"

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Only nodes have disks."""
        for target in targets:
            disk_of(cluster, target)
        return Injection(self.name, targets, params)


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
