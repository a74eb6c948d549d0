"""A pause of replay lasts, and one that a manager has undone is not taken for one that lasts."""

from __future__ import annotations

import random

import pytest

from outlast.faults import journal
from outlast.faults.registry import fault
from outlast.faults.sql_fault import one_row, rows
from outlast.faults.targets import resolve
from outlast.systems.base import Cluster
from outlast.systems.wait import wait_for, wait_until_ready

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

_SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'fault:pause%'"


async def test_patroni_undoes_a_plain_pause_and_not_the_fault(cluster: Cluster) -> None:
    kind = fault("replay_pause")
    await wait_until_ready(cluster, 90)
    (node,) = await resolve("one-standby", cluster, random.Random(3))

    async def plain() -> str:
        (state,) = await one_row(cluster, node, "SELECT pg_get_wal_replay_pause_state()")
        return "" if state == "not paused" else state

    stub = await kind.prepare(cluster, (node,), {}, random.Random(3))
    await rows(cluster, node, "SELECT pg_wal_replay_pause()")
    await wait_for(plain, 5, "Patroni to let it go on")
    assert (await kind.effective(cluster, stub)).bit is False

    await journal.inject(kind, cluster, (node,), {}, random.Random(3))
    for _loop in range(3):  # each look takes longer than a loop of Patroni's
        effect = await kind.effective(cluster, stub)
        assert effect.bit, effect.words
    healed, failed = await journal.heal_all(cluster)
    assert (len(healed), failed) == (1, [])
    assert (await one_row(cluster, node, _SESSIONS))[0] == 0
    assert await plain() == ""
