"""Power loss loses exactly what was not fsynced."""

from __future__ import annotations

import os
import random

import pytest
from skips import require

from outlast.faults import journal
from outlast.faults.registry import fault
from outlast.faults.targets import resolve
from outlast.systems.base import Cluster
from outlast.systems.wait import wait_until_ready

pytestmark = pytest.mark.lab


async def test_a_synced_file_survives_and_an_unsynced_one_is_gone_or_empty(cluster: Cluster) -> None:
    kind = fault("power_loss")
    require(kind.available(cluster))
    await wait_until_ready(cluster, 90)
    (target,) = await resolve("one-standby", cluster, random.Random(3))
    folder = cluster.lab.hosts[target].folder
    with (folder / "synced").open("wb") as file:
        file.write(b"safe" * 4096)
        file.flush()
        os.fsync(file.fileno())
    (folder / "unsynced").write_bytes(b"lost" * 4096)
    await journal.inject(kind, cluster, (target,), {}, random.Random(3))
    assert await journal.heal_all(cluster) != ([], [])
    assert (folder / "synced").read_bytes() == b"safe" * 4096
    left = folder / "unsynced"
    assert not left.exists() or left.read_bytes() != b"lost" * 4096
    await wait_until_ready(cluster, 90)
