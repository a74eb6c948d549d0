"""Faults as they are injected: aimed, recorded, proven, healed.

Every injection is written into the lab's folder before it is made and recorded before its effect is known; what could
not be injected or healed is a record too. Whoever decides when (a plan, a person's test) is elsewhere.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from outlast.clock import now_ns, seconds_between, seconds_until
from outlast.errors import ClusterError, OutlastError
from outlast.faults import journal
from outlast.faults.base import Fault, Injection
from outlast.faults.targets import resolve
from outlast.history.history import JSON, FaultRecord
from outlast.pace import scaled, scaled_deadline_ns
from outlast.systems.base import Cluster

POLL_S: Final = 0.1
HEAL_TIMEOUT_S: Final = 60.0
EFFECT_TIMEOUT_S: Final = 2.0
"""How long a fault may take to show: a process that got SIGKILL is still listed until the kernel gets to it."""

NOT_LOOKED_FOR: Final = "the run ended before its effect was looked for"


@dataclass(slots=True)
class OpenInjection:
    """An injection that is not healed yet. place: of its record; it stays valid after the healing."""

    fault: Fault
    entry: journal.Entry
    place: int
    healing: asyncio.Task[None] | None = None

    @property
    def injection(self) -> Injection:
        """What was injected."""
        return self.entry.injection


class Injections:
    """The injections into one cluster. records: one each, in order. start_ns: from which times are told."""

    def __init__(self, cluster: Cluster, start_ns: int, say: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._say = say
        self._open: list[OpenInjection] = []
        self.start_ns = start_ns
        self.records: list[FaultRecord] = []
        self.late_s = 0.0
        """How late the latest fault was, of those whose target was there at its time."""

    def begin(self, start_ns: int) -> None:
        """Start the records anew, with those of the injections that are still open."""
        self.start_ns = start_ns
        kept = [self.records[opened.place] for opened in self._open]
        for place, opened in enumerate(self._open):
            opened.place = place
        self.records = kept

    async def inject(
        self,
        kind: Fault,
        on: str,
        params: Mapping[str, JSON],
        rng: random.Random,
        *,
        planned_ns: int,
        deadline: int,
    ) -> OpenInjection:
        """Inject a fault at planned_ns into whatever ``on`` means then, and return once its effect was looked for.

        deadline: monotonic ns until which a target is waited for. What came of it, and whether it bit, is its
        record. Raises what the fault or its target raises; that is a record as well.
        """
        started = now_ns()
        record = FaultRecord(kind.name, (on,), planned_ns, started, started, None, False, "", params)
        try:
            targets, had_to_wait = await self._targets(on, rng, deadline)
            await asyncio.sleep(seconds_until(planned_ns))
            started = now_ns()
            if not had_to_wait:
                self.late_s = max(self.late_s, seconds_between(planned_ns, started))
            entry = await journal.inject(kind, self._cluster, targets, params, rng)
        except journal.NotHealedError as error:
            self.records.append(replace(record, effective=None, evidence=f"NOT HEALED: {error.message}"))
            self._say(f"{kind.name} on {on}: {error.message}")
            raise
        except OutlastError as error:
            # Nothing of it stays: there is nothing to heal.
            evidence = f"not injected: {error.message}"
            self.records.append(replace(record, healed_ns=now_ns(), evidence=evidence))
            self._say(f"{kind.name} on {on}: {error.message}")
            raise
        opened = OpenInjection(kind, entry, len(self.records))
        self._open.append(opened)
        targets = entry.injection.targets
        details = entry.injection.details
        in_force = replace(record, targets=targets, started_ns=started, at_ns=now_ns(), details=details)
        # Until its effect was looked for, nobody knows: a look that the end of the run cuts short proves nothing.
        self.records.append(replace(in_force, effective=None, evidence=NOT_LOOKED_FOR))
        self._say(f"{kind.name} on {', '.join(targets)}")
        await self._prove(opened)
        return opened

    async def heal(self, opened: OpenInjection) -> None:
        """Heal once, however often it is asked for, to the end even when whoever asks is cancelled."""
        if opened.healing is None:
            opened.healing = asyncio.create_task(self._heal_now(opened))
        await asyncio.shield(opened.healing)

    async def heal_all(self) -> None:
        """Heal every open injection, the newest first."""
        for opened in reversed(list(self._open)):
            await self.heal(opened)

    async def _targets(self, on: str, rng: random.Random, deadline: int) -> tuple[tuple[str, ...], bool]:
        """Return the targets, once there are any (during a failover there is no primary for a while), and whether they
        had to be waited for."""
        had_to_wait = False
        while True:
            try:
                return await resolve(on, self._cluster, rng), had_to_wait
            except ClusterError:
                if now_ns() > deadline:
                    raise
            had_to_wait = True
            await asyncio.sleep(POLL_S)

    async def _prove(self, opened: OpenInjection) -> None:
        deadline = scaled_deadline_ns(EFFECT_TIMEOUT_S)
        while True:
            try:
                effect = await opened.fault.effective(self._cluster, opened.injection)
                bit, evidence = effect.bit, effect.words
            except OutlastError as error:
                bit, evidence = None, f"its effect could not be seen: {error.message}"
            # After each look, since the run may end before the fault has shown.
            self.records[opened.place] = replace(self.records[opened.place], effective=bit, evidence=evidence)
            if bit or now_ns() > deadline:
                break
            await asyncio.sleep(POLL_S / 10)
        if bit is False:
            self._say(f"{opened.injection.fault} did not bite: {evidence}")

    async def _heal_now(self, opened: OpenInjection) -> None:
        self.records[opened.place] = replace(self.records[opened.place], healing_ns=now_ns())
        try:
            async with asyncio.timeout(scaled(HEAL_TIMEOUT_S)):
                await journal.heal(opened.fault, self._cluster, opened.injection)
        except (OutlastError, OSError, TimeoutError) as error:
            record = self.records[opened.place]
            self.records[opened.place] = replace(record, evidence=f"{record.evidence}; NOT HEALED: {error}")
            self._say(f"{opened.injection.fault} could not be healed: {error}")
            return
        healed = now_ns()
        self.records[opened.place] = replace(self.records[opened.place], healed_ns=healed)
        opened.entry.remove()
        self._open.remove(opened)
        at_s = seconds_between(self.start_ns, healed)
        self._say(f"{opened.injection.fault} on {', '.join(opened.injection.targets)} healed at {at_s:.1f} s")
