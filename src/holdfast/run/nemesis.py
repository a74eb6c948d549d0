"""Injects a plan's faults at their times, proves that they bit, and heals every one of them.

Each step lives in a task of its own, so a slow fault delays no other. Every injection is written into the lab's
folder before it is made and recorded before its effect is known; what could not be injected or healed is a record
too, never a lost exception.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from holdfast.clock import deadline_ns, now_ns, seconds_between, seconds_until
from holdfast.errors import ClusterError, HoldfastError
from holdfast.faults import journal
from holdfast.faults.base import Fault, Injection
from holdfast.faults.registry import fault
from holdfast.faults.targets import resolve
from holdfast.history.history import FaultRecord
from holdfast.run.plan import Step, step_rng
from holdfast.systems.base import Cluster, HasPrimary
from holdfast.units import NS_PER_S

FAILOVER_GRACE_S: Final = 15.0
POLL_S: Final = 0.1
HEAL_TIMEOUT_S: Final = 60.0
EFFECT_TIMEOUT_S: Final = 2.0
"""How long a fault may take to show: a process that got SIGKILL is still listed until the kernel gets to it."""

AIM_NS: Final = 150_000_000
"""How long before its time a step looks for its targets, so that the look does not delay the injection."""


@dataclass(slots=True)
class _Open:
    """An injection that is not healed yet, and where its record stands."""

    fault: Fault
    entry: journal.Entry
    place: int
    healing: asyncio.Task[None] | None = None

    @property
    def injection(self) -> Injection:
        """What was injected."""
        return self.entry.injection


class Nemesis:
    """Runs a plan against a cluster. records: one a step that came to its time, in order of injection."""

    def __init__(
        self,
        cluster: Cluster,
        plan: tuple[Step, ...],
        seed: int,
        start_ns: int,
        say: Callable[[str], None],
        injector: Callable[[str], Fault] = fault,
    ) -> None:
        self._cluster = cluster
        self._plan = plan
        self._seed = seed
        self._start_ns = start_ns
        self._say = say
        self._fault = injector
        self._open: list[_Open] = []
        self.records: list[FaultRecord] = []

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

    async def heal_all(self) -> None:
        """Heal every open injection, the newest first."""
        for one in reversed(list(self._open)):
            await self._heal(one)

    async def _step(self, step: Step, place: int, end_ns: int) -> None:
        planned = self._start_ns + int(step.at_s * NS_PER_S)
        await asyncio.sleep(seconds_until(planned - AIM_NS))
        rng = step_rng(self._seed, place)
        kind = self._fault(step.fault)
        started = now_ns()
        record = FaultRecord(step.fault, (step.on,), planned, started, started, None, False, "", step.params)
        try:
            targets = await self._targets(step, rng, min(end_ns, planned + self._patience_ns()))
            await asyncio.sleep(seconds_until(planned))
            started = now_ns()
            entry = await journal.inject(kind, self._cluster, targets, step.params, rng)
        except journal.NotHealedError as error:
            self.records.append(replace(record, effective=None, evidence=f"NOT HEALED: {error.message}"))
            self._say(f"{step.fault} on {step.on}: {error.message}")
            return
        except HoldfastError as error:
            # Nothing of it stays: there is nothing to heal.
            words = f"not injected: {error.message}"
            self.records.append(replace(record, healed_ns=now_ns(), evidence=words))
            self._say(f"{step.fault} on {step.on}: {error.message}")
            return
        done = now_ns()
        injection = entry.injection
        one = _Open(kind, entry, len(self.records))
        self._open.append(one)
        self.records.append(replace(record, targets=injection.targets, started_ns=started, at_ns=done))
        self._say(f"{step.fault} on {', '.join(injection.targets)}")
        await self._prove(one)
        if step.heal == "end":
            return
        if step.heal == "after_failover":
            await self._failed_over(injection.targets, min(end_ns, done + self._patience_ns()))
        else:
            await asyncio.sleep(seconds_until(done + int(float(step.heal) * NS_PER_S)))
        await self._heal(one)

    async def _targets(self, step: Step, rng: random.Random, deadline: int) -> tuple[str, ...]:
        """Return the targets, once there are any: during a failover there is no primary for a while."""
        while True:
            try:
                return await resolve(step.on, self._cluster, rng)
            except ClusterError:
                if now_ns() > deadline:
                    raise
            await asyncio.sleep(POLL_S)

    def _patience_ns(self) -> int:
        return int((self._cluster.model.outage_s + FAILOVER_GRACE_S) * NS_PER_S)

    async def _prove(self, one: _Open) -> None:
        deadline = deadline_ns(EFFECT_TIMEOUT_S)
        while True:
            try:
                effect = await one.fault.effective(self._cluster, one.injection)
                bit, words = effect.bit, effect.words
            except HoldfastError as error:
                bit, words = None, f"its effect could not be seen: {error.message}"
            if bit or now_ns() > deadline:
                break
            await asyncio.sleep(POLL_S / 10)
        self.records[one.place] = replace(self.records[one.place], effective=bit, evidence=words)
        if bit is False:
            self._say(f"{one.injection.fault} did not bite: {words}")

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

    async def _heal(self, one: _Open) -> None:
        """Heal once, however often it is asked for, to the end even when the asking step is cancelled."""
        if one.healing is None:
            one.healing = asyncio.create_task(self._heal_now(one))
        await asyncio.shield(one.healing)

    async def _heal_now(self, one: _Open) -> None:
        self.records[one.place] = replace(self.records[one.place], healing_ns=now_ns())
        try:
            async with asyncio.timeout(HEAL_TIMEOUT_S):
                await one.fault.heal(self._cluster, one.injection)
        except (HoldfastError, OSError, TimeoutError) as error:
            record = self.records[one.place]
            self.records[one.place] = replace(record, evidence=f"{record.evidence}; NOT HEALED: {error}")
            self._say(f"{one.injection.fault} could not be healed: {error}")
            return
        healed = now_ns()
        self.records[one.place] = replace(self.records[one.place], healed_ns=healed)
        one.entry.remove()
        self._open.remove(one)
        at_s = seconds_between(self._start_ns, healed)
        self._say(f"{one.injection.fault} on {', '.join(one.injection.targets)} healed at {at_s:.1f} s")
