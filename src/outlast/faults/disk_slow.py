"""A disk that answers late: so many operations, or so many bytes, a second and no more.

The kernel holds the loop device to it, whoever writes, so that a commit waits in fdatasync as it does for a worn or
shared disk. It bit when such a write, or a read past the page cache, takes on the host itself about as long as the
pace says.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

from outlast.errors import ConfigError, HostError
from outlast.faults.base import Effect, Fault, Injection, Mechanism, Param, number, of_target
from outlast.faults.disk_fault import DiskFault, disk_of
from outlast.history.history import JSON
from outlast.hosts.base import DiskPace, Program
from outlast.hosts.netns import throttle
from outlast.systems.base import Cluster

PAGE_BYTES: Final = 4096
PROBE_BYTES_MAX: Final = 4 * 1024 * 1024
LEAST: Final = {"write_iops": 1, "read_iops": 1, "write_bps": PAGE_BYTES, "read_bps": PAGE_BYTES}
MOST: Final = 2**31
TIMES: Final = (3, 6)
"""How often to look, least and most; the first is not counted, for the kernel gives some credit at first."""

LOOK_S: Final = 1.0
SHOWN_SHARE: Final = 0.5
"""Of the time that the pace says: a wait begins anywhere within the kernel's slice of time."""


class DiskSlow(DiskFault):
    """The pace stays with the disk through a loss of power; healing lets it do what it can."""

    name = "disk_slow"
    about = "the disk that holds data and WAL does only so much a second: a commit waits for it"
    mechanism = Mechanism.CGROUP
    params = (
        Param("write_iops", 20, "1/s", "writes a second, a flush counted as one; 0: no limit"),
        Param("write_bps", 0, "bytes/s", "that are written; 0: no limit"),
        Param("read_iops", 0, "1/s", "reads a second that the page cache does not answer; 0: no limit"),
        Param("read_bps", 0, "bytes/s", "that are read past the page cache; 0: no limit"),
    )

    def available(self, cluster: Cluster) -> str | None:
        """Needs disks, and a kernel that can hold one to a pace."""
        return super().available(cluster) or throttle.unavailable()

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Time the disks as they are. Raises HostError for one that is as slow already."""
        pace = checked(params)
        before: dict[str, JSON] = {}
        for target in targets:
            disk_of(cluster, target)
            found = {what: await took_ms(cluster, target, pace, what) for what in wanted(pace)}
            for what, ms in found.items():
                if ms >= SHOWN_SHARE * expected_ms(pace, what):
                    raise HostError(
                        f"{target}: a {what} takes {ms:.1f} ms as it is, so the pace would not show",
                        hint="ask for a slower one",
                    )
            before[target] = {what: round(ms, 3) for what, ms in found.items()}
        return Injection(self.name, targets, params, {"before_ms": before, "mechanisms": [throttle.MEANS]})

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Hold the disks to the pace."""
        for target in injection.targets:
            await disk_of(cluster, target).set_pace(checked(injection.params))

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """Write, or read, on the host itself."""
        pace, words = checked(injection.params), []
        for target in injection.targets:
            before = of_target(injection, "before_ms", target)
            for what in wanted(pace):
                try:
                    ms = await took_ms(cluster, target, pace, what)
                except HostError as error:
                    return Effect(None, error.message)
                was = before.get(what) if isinstance(before, Mapping) else None
                how = "fdatasync" if what == "write" else "read past the cache"
                words.append(
                    f"{target}: {how} of {probe_bytes(pace, what)} bytes takes {ms:.1f} ms, was {was} ms"
                )
                if ms < SHOWN_SHARE * expected_ms(pace, what):
                    return Effect(False, words[-1])
        return Effect(True, "; ".join(words))

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """Let the disks do what they can."""
        for target in injection.targets:
            await disk_of(cluster, target).set_pace(None)


def checked(params: Mapping[str, JSON]) -> DiskPace:
    """Return the pace that parameters ask for. Raises ConfigError for one that is none."""
    limits = {}
    for name, least in LEAST.items():
        value = number(params, name)
        if value and not (value == int(value) and least <= value <= MOST):
            raise ConfigError(
                f"{name} must be 0, for no limit, or a whole number of {least} to {MOST}, got {value:g}"
            )
        limits[name] = int(value)
    if not any(limits.values()):
        raise ConfigError(f"disk_slow needs a limit: {', '.join(LEAST)} are all 0")
    return DiskPace(**limits)


def wanted(pace: DiskPace) -> list[str]:
    """Return which of write and read a pace is about."""
    return [what for what in ("write", "read") if expected_ms(pace, what)]


def probe_bytes(pace: DiskPace, what: str) -> int:
    """Return how much to write or read at a time: a page, or what takes an eighth of a second."""
    _iops, bps = _limits(pace, what)
    return max(PAGE_BYTES, min(PROBE_BYTES_MAX, bps // 8 // PAGE_BYTES * PAGE_BYTES))


def expected_ms(pace: DiskPace, what: str) -> float:
    """Return how long that takes at least, once it goes on for a while; 0 without a limit."""
    iops, bps = _limits(pace, what)
    return max(1000 / iops if iops else 0.0, 1000 * probe_bytes(pace, what) / bps if bps else 0.0)


def _limits(pace: DiskPace, what: str) -> tuple[int, int]:
    limits = asdict(pace)
    return limits[f"{what}_iops"], limits[f"{what}_bps"]


async def took_ms(cluster: Cluster, target: str, pace: DiskPace, what: str) -> float:
    """Return how long a write or read takes on a host's disk, in ms, the middle of some. Raises HostError."""
    words = [what, str(probe_bytes(pace, what)), *map(str, TIMES), str(LOOK_S)]
    program = Program(
        "time-disk",
        ["outlast.faults.host_agents:time_disk", *words],
        "log/fault.log",
        module=True,
        host_time=False,
    )
    host = cluster.lab.hosts[target]
    if not host.is_on:
        raise HostError(f"{target} is off, and its disk cannot be timed")
    patience_s = 10 + 2 * (TIMES[0] + 2) * max(expected_ms(pace, what) for what in ("write", "read")) / 1000
    try:
        done = await host.run(program, timeout_s=patience_s)
    except TimeoutError as error:
        raise HostError(f"{target}: its disk did not answer in {patience_s:g} s") from error
    if done.code != 0:
        raise HostError(f"{target}: its disk cannot be timed: {done.stderr.strip()}")
    return statistics.median(float(word) for word in done.stdout.split()[1:])


FAULTS: Final[tuple[Fault, ...]] = (DiskSlow(),)
