"""A disk without room: the server's next WAL segment, and everything else that grows, meets ENOSPC."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from outlast.errors import HostError
from outlast.faults.base import Effect, Fault, Injection, Mechanism, Param, number, pids_of
from outlast.faults.disk_fault import DiskFault, disk_of
from outlast.faults.host_state import bring_back
from outlast.faults.sql_fault import SqlFault, one_row, rows
from outlast.history.history import JSON
from outlast.systems.base import Cluster

BALLAST: Final = ".ballast"
SEGMENTS_MAX: Final = 64
"""More than a server keeps ready to be used again (min_wal_size is 5)."""

_CHECKPOINTER: Final = """
SELECT pg_is_in_recovery(), pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'
"""
_NEXT_SEGMENT: Final = "SELECT pg_logical_emit_message(false, 'outlast', 'x'), pg_switch_wal()"


class DiskFull(DiskFault):
    """One file takes all the room. Data and pg_wal share the disk, so both are full."""

    name = "disk_full"
    about = "the disk that holds data and WAL has no room left"
    params: tuple[Param, ...] = (Param("left_bytes", 0, "bytes", "room that stays"),)

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """A room that is a number."""
        number(params, "left_bytes")
        return await super().prepare(cluster, targets, params, rng)

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
        """Give the room back, so that a loss of power right after does not take it again; start what gave up."""
        for target in injection.targets:
            (cluster.lab.hosts[target].folder / BALLAST).unlink(missing_ok=True)
            disk = disk_of(cluster, target)
            if not disk.is_stopped:
                await disk.sync()
        await bring_back(cluster, injection.targets)


class WalFull(DiskFull, SqlFault):
    """The room is taken, and then WAL is written until the server cannot make its next segment.

    PostgreSQL then stops with a PANIC. Its log is on the same disk and cannot say so: the fault bit when the
    checkpointer that ran before has gone.
    """

    name = "wal_full"
    about = "pg_wal has no room for another segment: the server panics"
    mechanism = Mechanism.DISK
    params = ()

    def available(self, cluster: Cluster) -> str | None:
        """Needs disks, and a server that can be asked to write."""
        return DiskFull.available(self, cluster) or SqlFault.available(self, cluster)

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Note the checkpointers. Raises HostError for a standby: it writes no WAL of its own."""
        found: dict[str, JSON] = {}
        for target in targets:
            disk_of(cluster, target)
            standby, pid = await one_row(cluster, target, _CHECKPOINTER)
            if standby:
                raise HostError(f"{target} is a standby and writes no WAL of its own")
            found[target] = [pid]
        return Injection(self.name, targets, {**params, "left_bytes": 0}, {"checkpointers": found})

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Take the room, then use up the segments that are there already."""
        await super().act(cluster, injection)
        for target in injection.targets:
            for _segment in range(SEGMENTS_MAX):
                try:
                    await rows(cluster, target, _NEXT_SEGMENT)
                except HostError:
                    break  # it has panicked, or Patroni has demoted it: what came of it is for effective to say

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """No room, and the server of before is gone."""
        full = await super().effective(cluster, injection)
        if not full.bit:
            return full
        for target in injection.targets:
            alive = {
                process.pid for process in await cluster.lab.hosts[target].processes() if process.state != "Z"
            }
            if alive.intersection(pids_of(injection, "checkpointers", target)):
                return Effect(False, f"{target}: no room, yet its server lives on")
        return Effect(True, f"{full.words}; the server has gone down")


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


FAULTS: Final[tuple[Fault, ...]] = (DiskFull(), WalFull())
