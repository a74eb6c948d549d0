"""A tool that is killed while it injects leaves nothing that another process can't heal from what is written down."""

from __future__ import annotations

import asyncio
import os
import random
import signal

import pytest
from skips import cannot
from waiting import for_s, until

from outlast.clusters import lifecycle
from outlast.faults import journal
from outlast.faults.base import with_defaults
from outlast.faults.registry import fault, faults
from outlast.faults.targets import resolve
from outlast.systems.base import Cluster
from outlast.systems.wait import wait_until_ready

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(300)]

WHOLE_TIMEOUT_S = 120.0
START_TIMEOUT_S = 30.0
ACT_MAX_S = 0.15
"""Most faults act within that; the kill falls somewhere into it."""


def inject_and_never_heal(name: str, targets: tuple[str, ...], cluster: Cluster) -> None:
    """In a forked child: inject, then wait to be killed."""
    kind = fault(name)
    try:
        asyncio.run(journal.inject(kind, cluster, targets, with_defaults(kind, {}), random.Random(3)))
        signal.pause()
    finally:
        os._exit(0)


@pytest.mark.parametrize("name", [one.name for one in faults()])
def test_it_is_healed_from_its_journal(name: str, cluster: Cluster) -> None:
    kind = fault(name)
    cannot(kind.available(cluster))

    async def targets() -> tuple[str, ...]:
        await wait_until_ready(cluster, WHOLE_TIMEOUT_S)
        return await resolve(kind.on, cluster, random.Random(3))

    on = asyncio.run(targets())
    tool = os.fork()
    if tool == 0:
        inject_and_never_heal(name, on, cluster)
    until(lambda: journal.entries(cluster.lab), "an entry in the journal", START_TIMEOUT_S)
    delay_s = random.Random(name).random() * ACT_MAX_S
    until(for_s(delay_s), "the moment to kill it")
    os.kill(tool, signal.SIGKILL)
    os.waitpid(tool, 0)

    async def healed(cluster: Cluster) -> None:
        done, failed = await journal.heal_all(cluster)
        assert (len(done), failed) == (1, []), f"killed {delay_s * 1000:.0f} ms after it was written down"
        assert journal.entries(cluster.lab) == ()
        await wait_until_ready(cluster, WHOLE_TIMEOUT_S)
        if kind.lasts:
            effect = await kind.effective(cluster, done[0])
            assert not effect.bit, f"healed, and still: {effect.words}"

    asyncio.run(healed(lifecycle.attach(cluster.lab.name)))  # as another process finds it
