"""A wall clock that jumps, or drifts, on a node whose programs follow one of their own (``--set clocks=on``).

PostgreSQL and Patroni follow it; etcd does not, because a Go program asks the kernel and not the C library. It is the
wall clock alone: monotonic time goes on evenly, as when an administrator or NTP sets a clock. A clock that was set
back by healing has jumped once more; that is part of the experiment.
"""

from __future__ import annotations

import asyncio
import random
import time
from abc import abstractmethod
from collections.abc import Mapping
from typing import Final

from outlast.errors import ConfigError, HostError, UnavailableError
from outlast.faults import sql_fault
from outlast.faults.base import Effect, Fault, Injection, Mechanism, Param, number, of_target
from outlast.history.history import JSON
from outlast.hosts.base import Clock
from outlast.systems.base import Cluster, HasServers

NO_CLOCKS: Final = (
    "the wall clock belongs to the whole machine: Linux has no namespace for it. "
    "A cluster brought up with --set clocks=on has one for each node"
)
FAR_S: Final = 1e9
LEAST_S: Final = 0.2
"""A jump that a question over a socket shows without doubt."""

LOOK_S: Final = 1.0
"""How long a drift is looked at."""


def the_clock(cluster: Cluster, host: str) -> Clock:
    """Return the clock of a host. Raises UnavailableError when it follows the machine's."""
    clock = cluster.lab.hosts[host].clock
    if clock is None:
        raise UnavailableError(
            f"{host} keeps the machine's time; the nodes {', '.join(n.name for n in cluster.spec.nodes)} have clocks"
        )
    return clock


async def ahead_s(cluster: Cluster, node: str) -> float:
    """Return how far a node's server says the time is ahead of the machine's. Raises HostError."""
    before = time.time()
    (said,) = await sql_fault.one_row(cluster, node, "SELECT extract(epoch FROM clock_timestamp())::float8")
    return float(said) - (before + time.time()) / 2


class WallClock(Fault):
    """What both have in common: where they can bite, what is noted, and how it is undone."""

    mechanism = Mechanism.CLOCK

    def available(self, cluster: Cluster) -> str | None:
        """Needs clocks to move, and servers to ask for the time."""
        if not cluster.spec.clocks:
            return NO_CLOCKS
        asked = isinstance(cluster, HasServers)
        return None if asked else f"{cluster.spec.system} has no server that tells the time"

    @abstractmethod
    def checked(self, params: Mapping[str, JSON]) -> float:
        """Return the parameter. Raises ConfigError when it is no number that makes sense."""

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Note what the clocks are set to."""
        self.checked(params)
        offsets: dict[str, JSON] = {target: the_clock(cluster, target).offset_s for target in targets}
        return Injection(self.name, targets, params, {"offset_s": offsets})

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """Set them to what they were."""
        for target in injection.targets:
            the_clock(cluster, target).set(was_s(injection, target))


def was_s(injection: Injection, target: str) -> float:
    """Return what a target's clock was set to before."""
    return float(str(of_target(injection, "offset_s", target)))


class ClockJump(WallClock):
    """It bit when the server's own time is off by about as much as it was moved."""

    name = "clock_jump"
    about = "a node's wall clock jumps"
    params = (Param("by_s", 60.0, "s", "forward; back when below 0"),)

    def checked(self, params: Mapping[str, JSON]) -> float:
        """Any number of seconds that shows."""
        by_s = number(params, "by_s", -FAR_S)
        if not LEAST_S <= abs(by_s) <= FAR_S:
            raise ConfigError(f"by_s must be {LEAST_S:g} to {FAR_S:g} s, forward or back, got {by_s:g}")
        return by_s

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Move them."""
        for target in injection.targets:
            the_clock(cluster, target).set(was_s(injection, target) + self.checked(injection.params))

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """Ask the servers for the time."""
        by_s, words = self.checked(injection.params), []
        for target in injection.targets:
            try:
                moved_s = await ahead_s(cluster, target) - was_s(injection, target)
            except HostError as error:
                return Effect(None, error.message)
            words.append(f"{target}: its server's clock is {moved_s:+.2f} s off")
            if abs(moved_s - by_s) > abs(by_s) / 2:
                return Effect(False, words[-1])
        return Effect(True, "; ".join(words))


class ClockDrift(WallClock):
    """It bit when the server's clock gains or loses about as much as it should while we look."""

    name = "clock_drift"
    about = "a node's wall clock runs fast or slow"
    params = (Param("pace", 1.5, "", "1.5 gains half a second each second, 0.9 loses a tenth"),)

    def checked(self, params: Mapping[str, JSON]) -> float:
        """A pace that a short look can tell from an even one."""
        pace = number(params, "pace")
        if not 0.05 <= abs(pace - 1) <= 100:
            raise ConfigError(f"pace must be off 1 by 0.05 to 100, got {pace:g}")
        return pace

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Give them another pace."""
        for target in injection.targets:
            the_clock(cluster, target).set(was_s(injection, target), self.checked(injection.params))

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """Ask the servers for the time twice."""
        wanted, words = self.checked(injection.params) - 1, []
        try:
            began = time.monotonic()
            before = {target: await ahead_s(cluster, target) for target in injection.targets}
            await asyncio.sleep(LOOK_S)
            after = {target: await ahead_s(cluster, target) for target in injection.targets}
        except HostError as error:
            return Effect(None, error.message)
        looked_s = time.monotonic() - began
        for target in injection.targets:
            gained_s = after[target] - before[target]
            words.append(f"{target}: its server's clock gained {gained_s:+.3f} s in {looked_s:.2f} s")
            if abs(gained_s - wanted * looked_s) > abs(wanted) * looked_s / 2:
                return Effect(False, words[-1])
        return Effect(True, "; ".join(words))


FAULTS: Final[tuple[Fault, ...]] = (ClockJump(), ClockDrift())
