"""Hosts whose programs get only a share of the time: a starved virtual machine, a slow member of the DCS.

They are stopped for most of each short period and run in the rest, as the kernel's own bandwidth control does it
(CFS quota). Needs no privilege and no control group, and ends with the host.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Final

from outlast.errors import ConfigError
from outlast.faults.agent_fault import AgentFault
from outlast.faults.base import Effect, Fault, Injection, Param, number
from outlast.history.history import JSON
from outlast.systems.base import Cluster

SAMPLES: Final = 25
SAMPLE_S: Final = 0.037
"""No divisor of any likely period, so that samples fall on all parts of it."""


class CpuStarve(AgentFault):
    """It bit when samples of the processes' states show them stopped for at least half the time they should be."""

    def __init__(self, name: str, about: str, on: str, share_percent: float, *, dcs: bool) -> None:
        self.name = name
        self.about = about
        self.on = on
        self._dcs = dcs
        self.params = (
            Param("share_percent", share_percent, "%", "of the time in which the host's programs may run"),
            Param("period_ms", 200.0, "ms", "of stopping and going on"),
        )

    def available(self, cluster: Cluster) -> str | None:
        """The one for the DCS needs one."""
        return f"{cluster.spec.system} has no DCS here" if self._dcs and not cluster.spec.dcs else None

    def words(self, params: Mapping[str, JSON]) -> list[str]:
        """Say how much time they get."""
        share = number(params, "share_percent") / 100
        if share >= 1:
            raise ConfigError("share_percent must be below 100")
        return ["throttle", str(share), str(number(params, "period_ms", 10) / 1000)]

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Name the agent."""
        self.words(params)
        return Injection(self.name, targets, params, {"agent": f"fault:slow{rng.getrandbits(16):04x}"})

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """Sample who is stopped."""
        wanted = 1 - number(injection.params, "share_percent") / 100
        words = []
        for target in injection.targets:
            stopped = seen = 0
            for _sample in range(SAMPLES):
                found = [
                    process
                    for process in await cluster.lab.hosts[target].processes()
                    if process.pid != 1 and process.state != "Z" and not process.name.startswith("fault:")
                ]
                stopped += sum(process.state in "Tt" for process in found)
                seen += len(found)
                await asyncio.sleep(SAMPLE_S)
            measured = stopped / seen if seen else 0.0
            words.append(f"{target}: its programs are stopped {measured:.0%} of the time")
            if measured < wanted / 2:
                return Effect(False, words[-1])
        return Effect(True, "; ".join(words))


FAULTS: Final[tuple[Fault, ...]] = (
    CpuStarve(
        "cpu_starve", "a host's programs get only a share of the processor's time", "primary", 10.0, dcs=False
    ),
    CpuStarve("dcs_slow", "a member of the DCS answers late, again and again", "dcs-leader", 20.0, dcs=True),
)
