"""What faults of a whole host look at: does it answer, when was it booted, what runs; and how it gets going again."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from outlast.clusters.service_registry import start_member
from outlast.errors import HostError
from outlast.hosts.base import Host, Program
from outlast.systems.base import Cluster
from outlast.systems.wait import wait_for

DIAL_TIMEOUT_S: Final = 0.3
BOOT_TIMEOUT_S: Final = 5.0


async def answers(cluster: Cluster, host: str) -> str:
    """Return how a host answers a packet, "" when it is silent."""
    try:
        # Any port: a host that is on accepts or refuses, one that is off is silent.
        (await cluster.lab.dial(cluster.lab.hosts[host].address, 1, DIAL_TIMEOUT_S)).close()
    except ConnectionRefusedError:
        return "still answers"
    except OSError:
        return ""
    return "still accepts connections"


async def booted(host: Host) -> int | None:
    """Return when a host's init started, in clock ticks of the machine; None when it is off."""
    if not host.is_on:
        return None
    try:
        done = await host.run(
            Program("cat", ["cat", "/proc/1/stat"], "log/fault.log"), timeout_s=BOOT_TIMEOUT_S
        )
    except (HostError, TimeoutError):
        return None
    return int(done.stdout.rpartition(")")[2].split()[19])


async def switch_off(cluster: Cluster, targets: Sequence[str]) -> None:
    """Switch hosts off, all at once."""
    await asyncio.gather(*(cluster.lab.hosts[target].power_off() for target in targets))


async def power_back(cluster: Cluster, targets: Sequence[str]) -> None:
    """Undo a loss of power: hosts that are off are switched on, and what belongs on all of them is started.

    A host that is on gets its cable plugged in: power_off pulls it first, and a tool may have died right after that.
    """
    for target in targets:
        host = cluster.lab.hosts[target]
        if not host.is_on:
            continue
        try:
            await host.plug(True)
        except HostError:  # it was being switched on, and has no cable yet
            await host.power_off()
    await bring_back(cluster, targets)


async def bring_back(cluster: Cluster, targets: Sequence[str]) -> None:
    """Switch on those hosts that are off, and start what belongs on them and does not run."""
    members = {member.name for member in cluster.spec.members()}
    for target in targets:
        host = cluster.lab.hosts[target]
        if not host.is_on:
            await host.power_on()
        if target in members:
            await start_member(cluster, target)


async def end_in_order(
    cluster: Cluster,
    told: Mapping[str, Collection[int]],
    pids: Mapping[str, Collection[int]],
    timeout_s: float,
) -> None:
    """Have processes that were told to end (SIGTERM), or were about to be, do so before anything is started again.

    told: by host; pids: by host, as noted before: those, and what they end in their turn. One that is still ending
    would be taken for one that runs, and end a moment later.
    Raises ClusterError when they do not end in time.
    """

    async def alive(host: Host, of: Mapping[str, Collection[int]]) -> list[int]:
        if not host.is_on:
            return []
        there = {process.pid for process in await host.processes() if process.state != "Z"}
        return [pid for pid in of[host.name] if pid in there]

    hosts = [cluster.lab.hosts[name] for name in pids]
    for host in hosts:
        if left := await alive(host, told):
            await host.signal(signal.SIGTERM, pids=left)

    async def still() -> str:
        found = {host.name: await alive(host, pids) for host in hosts}
        return "; ".join(f"{name}: {left}" for name, left in found.items() if left)

    await wait_for(still, timeout_s, "what was told to end to do so")
