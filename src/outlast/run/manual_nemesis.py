"""A recorded load beside what somebody else does: a person's own test decides what happens, and when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from outlast.clock import seconds_until
from outlast.history.history import FaultRecord
from outlast.run.injections import Injections


class ManualNemesis:
    """Stands where a drill has its nemesis. begun: set once the load runs; ending: set it to end the load.

    injections: what somebody injects meanwhile; when the load ends everything is healed, because only a whole cluster
    can be read back.
    """

    def __init__(self, injections: Injections) -> None:
        self._injections = injections
        self.begun = asyncio.Event()
        self.ending = asyncio.Event()
        self.operator_acted: Callable[[str], None] | None = None
        """Told of what an operator does meanwhile, where a system has no manager; somebody else sees to one."""

    @property
    def records(self) -> Sequence[FaultRecord]:
        """What was injected since the load began, and what was open then."""
        return self._injections.records

    @property
    def late_s(self) -> float:
        """How late the latest injection was."""
        return self._injections.late_s

    def begin(self, start_ns: int) -> None:
        """Note that the load has been running since start_ns, monotonic."""
        self._injections.begin(start_ns)
        self.begun.set()

    async def run(self, end_ns: int) -> None:
        """Wait until it is asked to end, at the latest until end_ns; then heal everything."""
        try:
            async with asyncio.timeout(seconds_until(end_ns)):
                await self.ending.wait()
        except TimeoutError:
            pass
        finally:
            await asyncio.shield(self._injections.heal_all())
