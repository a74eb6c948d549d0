"""A disk without room: the server's next WAL segment, and everything else that grows, meets ENOSPC."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from holdfast.faults.base import Effect, Fault, Injection, Param, Staged, number
from holdfast.faults.host_state import bring_back
from holdfast.faults.power_loss import disk_of, needs_disks
from holdfast.history.history import JSON
from holdfast.systems.base import Cluster

BALLAST: Final = ".ballast"


class DiskFull(Staged):
    """One file takes all the room. Data and pg_wal share the disk, so both are full."""

    name = "disk_full"
    about = "the disk that holds data and WAL has no room left"
    params = (Param("left_bytes", 0, "bytes", "room that stays"),)

    def available(self, cluster: Cluster) -> str | None:
        """Needs disks."""
        return needs_disks(cluster)

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Only nodes have disks."""
        number(params, "left_bytes")
        for target in targets:
            disk_of(cluster, target)
        return Injection(self.name, targets, params)

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Take the room."""
        left = int(number(injection.params, "left_bytes"))
        for target in injection.targets:
            await asyncio.to_thread(_fill, cluster.lab.hosts[target].folder, left)

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """Ask the file system."""
        left = int(number(injection.params, "left_bytes"))
        words = []
        for target in injection.targets:
            free = _free(cluster.lab.hosts[target].folder)
            words.append(f"{target}: {free} bytes free")
            if free > left + 1024 * 1024:
                return Effect(False, words[-1])
        return Effect(True, "; ".join(words))

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """Give the room back, and start what gave up."""
        for target in injection.targets:
            (cluster.lab.hosts[target].folder / BALLAST).unlink(missing_ok=True)
        await bring_back(cluster, injection.targets)


def _free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def _fill(folder: Path, left: int) -> None:
    """Grow the ballast until only left bytes are free: in halves, for the file system needs some of it itself."""
    with (folder / BALLAST).open("ab") as file:
        step = max(_free(folder) - left, 0)
        while step >= 4096:
            try:
                if _free(folder) - left >= step:
                    os.posix_fallocate(file.fileno(), file.seek(0, 2), step)
                    continue
            except OSError:
                pass
            step //= 2


FAULTS: Final[tuple[Fault, ...]] = (DiskFull(),)
