"""On a real cluster: a fault is cancelled while it acts, and again while it heals itself; another process heals it.

One fault for each mechanism. That it holds at every await of every fault is shown in tests/unit/faults.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, Final

import pytest
from skips import cannot

from outlast.clusters import lifecycle
from outlast.faults import journal
from outlast.faults.base import Mechanism, with_defaults
from outlast.faults.registry import fault
from outlast.faults.targets import resolve
from outlast.systems.base import Cluster
from outlast.systems.wait import wait_until_ready

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

WHOLE_TIMEOUT_S = 90.0
ONE_OF_EACH: Final = {
    Mechanism.SIGNAL: "process_pause",
    Mechanism.AGENT: "cpu_starve",
    Mechanism.POWER: "host_power_off",
    Mechanism.CABLE: "host_frozen",
    Mechanism.DISK: "disk_full",
    Mechanism.CGROUP: "oom_kill",
    Mechanism.FILTER: "net_partition",
    Mechanism.QUEUE: "net_delay",
    Mechanism.BANDWIDTH: "net_rate",
    Mechanism.SQL: "replay_pause",
}
"""Those that last and await something while they act; clocks, the pace of disks and pages are changed at once."""


class CancelledOnceWritten:
    """Awaits a coroutine and cancels its task at the first two awaits after an injection was written down."""

    def __init__(self, cluster: Cluster, work: Coroutine[Any, Any, Any]) -> None:
        self._cluster = cluster
        self._work = work
        self._left = 2

    def __await__(self) -> Generator[Any, Any, Any]:
        task = asyncio.current_task()
        assert task is not None
        go_on: Callable[[], Any] = partial(self._work.send, None)
        while True:
            try:
                waiting = go_on()
            except StopIteration as stop:
                return stop.value
            if self._left and journal.entries(self._cluster.lab):
                self._left -= 1
                task.cancel()
            try:
                yield waiting
                go_on = partial(self._work.send, None)
            except BaseException as error:  # noqa: BLE001 - as await does: whatever comes, the coroutine gets it
                go_on = partial(self._work.throw, error)


async def cancelled_once_written(cluster: Cluster, work: Coroutine[Any, Any, Any]) -> None:
    await CancelledOnceWritten(cluster, work)


@pytest.mark.parametrize("name", ONE_OF_EACH.values(), ids=str)
async def test_cancelled_in_the_middle_it_is_healed_by_another_process(name: str, cluster: Cluster) -> None:
    kind = fault(name)
    cannot(kind.available(cluster))
    await wait_until_ready(cluster, WHOLE_TIMEOUT_S)
    targets = await resolve(kind.on, cluster, random.Random(5))
    work = journal.inject(kind, cluster, targets, with_defaults(kind, {}), random.Random(5))
    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(cancelled_once_written(cluster, work))
    (entry,) = journal.entries(cluster.lab)
    found = lifecycle.attach(cluster.lab.name)  # as another process finds it
    healed, failed = await journal.heal_all(found)
    assert (healed, failed) == ([entry.injection], [])
    assert await found.lab.net.active() == ()
    await wait_until_ready(found, WHOLE_TIMEOUT_S)
    effect = await kind.effective(found, entry.injection)
    assert not effect.bit, f"healed, and still: {effect.words}"
