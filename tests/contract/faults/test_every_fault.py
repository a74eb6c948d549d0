"""What every fault promises, on a real cluster: it bites, healing ends it, and one that does nothing is found out.

Parametrised over the registry, so that a new fault is covered by being in it.
"""

from __future__ import annotations

import contextlib
import random
from typing import Any

import pytest
from skips import cannot, require
from waiting import until_async

from outlast.faults import journal
from outlast.faults.base import Effect, Fault, Injection, with_defaults
from outlast.faults.registry import fault, faults
from outlast.faults.targets import resolve
from outlast.hosts.netns import clocks, disks
from outlast.systems.base import Cluster
from outlast.systems.wait import wait_until_ready

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

SHOW_TIMEOUT_S = 5.0
WHOLE_TIMEOUT_S = 90.0

MECHANISMS = {
    "signal": "process_kill",
    "kernel's memory limit": "memory_limit",
    "kernel's freezer": "host_frozen",
    "processor time": "cpu_starve",
    "power of a host": "host_power_off",
    "power and its disk": "power_loss",
    "a full disk": "disk_full",
    "pace of a disk": "disk_slow",
    "a damaged page": "bit_flip",
    "clock": "clock_jump",
    "nftables": "net_partition",
    "packet queue": "net_delay",
    "token bucket": "net_rate",
    "closed sockets": "net_reset",
    "SQL": "backend_terminate",
    "SQL that lasts": "replay_pause",
    "the consensus store": "dcs_pause",
    "an operator": "switchover",
}
"""One fault of each mechanism; those of the archive have a lab of their own, in test_archive_faults.py."""

every_fault = pytest.mark.parametrize("name", [one.name for one in faults()])
one_of_each = pytest.mark.parametrize(
    "name",
    [
        pytest.param(one.name, marks=[] if one.name in MECHANISMS.values() else [pytest.mark.slow])
        for one in faults()
    ],
)


async def ready(name: str, cluster: Cluster) -> tuple[Fault, tuple[str, ...], dict[str, Any]]:
    """Return a fault, its usual targets and its parameters, or skip with the fault's own reason."""
    kind = fault(name)
    require(disks.unavailable() or clocks.unavailable() if kind.available(cluster) else None)
    cannot(kind.available(cluster))
    await wait_until_ready(cluster, WHOLE_TIMEOUT_S)
    return kind, await resolve(kind.on, cluster, random.Random(7)), with_defaults(kind, {})


async def shown(kind: Fault, cluster: Cluster, injection: Injection, wanted: bool) -> Effect:
    """Return the effect once it is as wanted, at the latest after a while."""
    last: list[Effect] = []

    async def look() -> bool:
        last[:] = [await kind.effective(cluster, injection)]
        return last[0].bit is wanted

    with contextlib.suppress(AssertionError):
        await until_async(look, "the effect", SHOW_TIMEOUT_S)
    return last[0]


@every_fault
async def test_it_bites_and_healing_ends_it(name: str, cluster: Cluster) -> None:
    kind, targets, params = await ready(name, cluster)
    entry = await journal.inject(kind, cluster, targets, params, random.Random(7))
    try:
        during = await shown(kind, cluster, entry.injection, True)
        print(f"{name}: {during.words}")
        written = journal.entries(cluster.lab)
        assert [one.injection.fault for one in written] == [name]
    finally:
        # As another process does it: from what is written down alone.
        healed, failed = await journal.heal_all(cluster)
    assert during.bit, during.words
    assert failed == []
    assert len(healed) == 1
    assert journal.entries(cluster.lab) == ()
    await kind.heal(cluster, healed[0])  # twice is once
    if kind.lasts:
        after = await shown(kind, cluster, healed[0], False)
        assert not after.bit, f"healed, and still: {after.words}"
    await wait_until_ready(cluster, WHOLE_TIMEOUT_S)


@one_of_each
async def test_an_injection_that_does_nothing_is_found_out(name: str, cluster: Cluster) -> None:
    kind, targets, params = await ready(name, cluster)
    injection = await kind.prepare(cluster, targets, params, random.Random(7))
    effect = await kind.effective(cluster, injection)
    assert effect.bit is False, effect.words
