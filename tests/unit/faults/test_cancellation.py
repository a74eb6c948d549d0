"""A fault may be cancelled, or its tool killed, at every await: what is written down is enough to undo it.

Each fault runs against a cluster in memory that counts its awaits. It is cut short at the first of them, at the second,
and so on to the last, and healed as another process would: from the journal alone.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, cast

import pytest

from outlast.config import ClusterSpec, load_cluster
from outlast.faults import disk_full, journal
from outlast.faults.base import Fault, with_defaults
from outlast.faults.registry import faults
from outlast.faults.targets import resolve
from outlast.hosts.base import Lab
from outlast.testing.simulated_cluster import BALLAST, SimulatedCluster, Steps

STEPS_MAX = 500
every_fault = pytest.mark.parametrize("fault", faults(), ids=lambda fault: fault.name)
Work = Callable[[Any], Coroutine[Any, Any, Any]]


class Killed(BaseException):
    """The tool is dead: nothing that it was about goes on."""


@pytest.fixture(scope="module")
def spec() -> ClusterSpec:
    return load_cluster("patroni", ["profile=fast", "dcs=3", "sync=on", "disks=on", "clocks=on", "backup=on"])


@pytest.fixture
def make_cluster(
    spec: ClusterSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], SimulatedCluster]:
    """Make clusters whose every wait, also one in another thread or for a while, is a step."""
    numbers = itertools.count()
    current: list[Steps] = []

    async def sleep(_delay_s: float) -> None:
        await current[-1].step()

    async def to_thread(work: Callable[..., Any], *words: Any) -> Any:
        await current[-1].step()
        result = work(*words)
        await current[-1].step()
        return result

    async def backups(_cluster: Any) -> tuple[tuple[()], None]:
        await current[-1].step()
        return (), None

    async def step(*_words: Any) -> None:
        await current[-1].step()

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr(asyncio, "to_thread", to_thread)
    monkeypatch.setattr(disk_full, "_fill", lambda folder, _left: (folder / BALLAST).touch())
    monkeypatch.setattr("outlast.clusters.backups.backups", backups)
    monkeypatch.setattr("outlast.clusters.backups.back_up", step)
    monkeypatch.setattr("outlast.clusters.backups.archive_all", step)

    def make() -> SimulatedCluster:
        cluster = SimulatedCluster(spec, tmp_path / str(next(numbers)))
        current.append(cluster.steps)
        return cluster

    return make


async def inject(fault: Fault, cluster: Any) -> journal.Entry:
    targets = await resolve(fault.on, cluster, random.Random(7))
    return await journal.inject(fault, cluster, targets, with_defaults(fault, {}), random.Random(7))


async def cut_short(cluster: SimulatedCluster, work: Awaitable[Any], at: Callable[[int, Any], None]) -> Any:
    """Do work, and call ``at`` with the number of each step and the task. Returns the task, done."""
    task = asyncio.ensure_future(work)
    cluster.steps.count = 0
    cluster.steps.at = lambda number: at(number, task)
    await asyncio.wait([task])
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for other in left:  # what ran beside it
        other.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    cluster.steps.at = None
    return task


async def cancelled_at(cluster: SimulatedCluster, work: Awaitable[Any], places: set[int]) -> bool:
    """Cancel work at some of its steps. Returns whether it got there."""

    def at(number: int, task: Any) -> None:
        if number in places:
            task.cancel()

    task = await cut_short(cluster, work, at)
    if not task.cancelled():
        task.result()
    return bool(task.cancelled())


async def killed_at(cluster: SimulatedCluster, work: Awaitable[Any], place: int) -> bool:
    """Have the tool die at a step of work. Returns whether it got there."""

    def at(number: int, _task: Any) -> None:
        if number >= place:
            raise Killed

    task = await cut_short(cluster, work, at)
    error = task.exception()
    if error is not None and not isinstance(error, Killed):
        raise error
    return error is not None


async def heal_as_another_process(cluster: Any) -> None:
    _healed, failed = await journal.heal_all(cluster)
    assert failed == []
    assert journal.entries(cast(Lab, cluster.lab)) == ()


async def at_every_step(
    make_cluster: Callable[[], SimulatedCluster], cut: Callable[[SimulatedCluster, int], Awaitable[bool]]
) -> int:
    """Cut something short at its first step, then at its second, until it comes to its end. Returns how many it has.

    Each time nothing is in force once another process has healed.
    """
    for place in range(1, STEPS_MAX):
        cluster = make_cluster()
        before = await cluster.in_force()
        was_cut = await cut(cluster, place)
        await heal_as_another_process(cluster)
        assert await cluster.in_force() == before, f"cut short at its await {place}"
        if not was_cut:
            return place - 1
    raise AssertionError(f"more than {STEPS_MAX} awaits")


@every_fault
async def test_cancelled_at_any_await_it_heals_itself_and_leaves_no_entry(
    fault: Fault, make_cluster: Callable[[], SimulatedCluster]
) -> None:
    async def cut(cluster: SimulatedCluster, place: int) -> bool:
        was_cut = await cancelled_at(cluster, inject(fault, cluster), {place})
        if was_cut:
            assert journal.entries(cast(Lab, cluster.lab)) == ()
        return was_cut

    assert await at_every_step(make_cluster, cut) > 0


@every_fault
async def test_killed_at_any_await_it_is_healed_from_its_journal(
    fault: Fault, make_cluster: Callable[[], SimulatedCluster]
) -> None:
    async def cut(cluster: SimulatedCluster, place: int) -> bool:
        return await killed_at(cluster, inject(fault, cluster), place)

    assert await at_every_step(make_cluster, cut) > 0


@every_fault
async def test_cancelled_again_while_it_heals_it_stays_in_the_journal(
    fault: Fault, make_cluster: Callable[[], SimulatedCluster]
) -> None:
    async def cut(cluster: SimulatedCluster, place: int) -> bool:
        return await cancelled_at(cluster, inject(fault, cluster), {place, place + 2})

    await at_every_step(make_cluster, cut)


@every_fault
async def test_a_healing_that_is_cut_short_can_be_done_again(
    fault: Fault, make_cluster: Callable[[], SimulatedCluster]
) -> None:
    async def cut(cluster: SimulatedCluster, place: int) -> bool:
        entry = await inject(fault, cluster)
        world: Any = cluster
        return await killed_at(cluster, journal.heal(fault, world, entry.injection), place)

    await at_every_step(make_cluster, cut)
