"""Injects a plan's faults at their times, proves that they bit, and heals every one of them.

Each step lives in a task of its own, so a slow fault delays no other. What becomes of an injection is in
``injections``: it is recorded, never a lost exception.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from outlast.clock import now_ns, seconds_until
from outlast.errors import OutlastError
from outlast.faults.base import Fault
from outlast.faults.registry import fault
from outlast.run.injections import POLL_S, Injections
from outlast.run.plan import PlannedInjection, step_rng
from outlast.systems.base import Cluster, HasPrimary
from outlast.units import NS_PER_S

FAILOVER_GRACE_S: Final = 15.0

AIM_NS: Final = 150_000_000
"""How long before its time a step looks for its targets, so that the look does not delay the injection."""


class Nemesis(Injections):
    """Runs a plan against a cluster, from the ``begin`` of its load on.

    seed: behind every choice. injector: finds a fault by name. records: one a step that came to its time, in order
    of injection.
    """

    def __init__(
        self,
        cluster: Cluster,
        plan: tuple[PlannedInjection, ...],
        seed: int,
        say: Callable[[str], None],
        injector: Callable[[str], Fault] = fault,
    ) -> None:
        super().__init__(cluster, 0, say)
        self._plan = plan
        self._seed = seed
        self._fault = injector

    async def run(self, end_ns: int) -> None:
        """Carry the plan out until end_ns, then heal everything that is still open."""
        tasks = [
            asyncio.create_task(self._step(step, place, end_ns)) for place, step in enumerate(self._plan)
        ]
        try:
            await asyncio.sleep(seconds_until(end_ns))
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.shield(self.heal_all())
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _step(self, step: PlannedInjection, place: int, end_ns: int) -> None:
        planned = self.start_ns + int(step.at_s * NS_PER_S)
        await asyncio.sleep(seconds_until(planned - AIM_NS))
        try:
            opened = await self.inject(
                self._fault(step.fault),
                step.on,
                step.params,
                step_rng(self._seed, place),
                planned_ns=planned,
                deadline=min(end_ns, planned + self._patience_ns()),
            )
        except OutlastError:
            return  # it is in the records, which make the run invalid
        if step.heal == "end":
            return
        done = self.records[opened.place].at_ns
        if step.heal == "after_failover":
            await self._failed_over(opened.injection.targets, min(end_ns, done + self._patience_ns()))
        else:
            await asyncio.sleep(seconds_until(done + int(float(step.heal) * NS_PER_S)))
        await self.heal(opened)

    def _patience_ns(self) -> int:
        return int((self._cluster.model.outage_s + FAILOVER_GRACE_S) * NS_PER_S)

    async def _failed_over(self, old: tuple[str, ...], deadline: int) -> None:
        """Wait until a node that is no target takes writes, at the latest until deadline."""
        if not isinstance(self._cluster, HasPrimary):
            return
        while now_ns() < deadline:
            primary = await self._cluster.primary()
            if primary is not None and primary not in old:
                self._say(f"{primary} has taken over")
                return
            await asyncio.sleep(POLL_S)
