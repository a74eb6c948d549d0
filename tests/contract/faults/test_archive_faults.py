"""What is done to backups, archive and data on a lab that has them keeps to what every fault promises."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from labs import lab_up
from skips import needs

from outlast.clusters import lifecycle
from outlast.config import load_cluster
from outlast.errors import ConfigError, HostError
from outlast.faults import journal
from outlast.faults.base import with_defaults
from outlast.faults.registry import fault
from outlast.systems.base import Cluster, HasServers
from outlast.systems.wait import wait_for

pytestmark = [
    pytest.mark.lab,
    needs("pgbackrest"),
]
PRIMARY = ("pg-node-1",)


@pytest.fixture(scope="module")
def _kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    state = tmp_path_factory.mktemp("archived")
    with lab_up(state, "archived", load_cluster("streaming", ["nodes=1", "backup=on", "sync=off"])):
        yield state


@pytest.fixture
def archived(_kept: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setenv("OUTLAST_STATE", str(_kept))
    return lifecycle.attach("archived")


async def rows(cluster: Cluster) -> None:
    assert isinstance(cluster, HasServers)
    async with await cluster.connect(PRIMARY[0], database=cluster.spec.database) as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS outlast_append (id bigint PRIMARY KEY)")
        await connection.execute(
            "INSERT INTO outlast_append SELECT generate_series(1, 9) ON CONFLICT DO NOTHING"
        )


@pytest.mark.parametrize("name", ["backup", "mistake", "archive_silent", "archive_lost"])
async def test_it_bites_when_it_was_done_and_only_then(name: str, archived: Cluster) -> None:
    kind = fault(name)
    assert kind.available(archived) is None
    await rows(archived)
    params: dict[str, Any] = with_defaults(kind, {})
    idle = await kind.prepare(archived, PRIMARY, params, random.Random(1))
    assert (await kind.effective(archived, idle)).bit is False
    entry = await journal.inject(kind, archived, PRIMARY, params, random.Random(1))

    async def unseen() -> str:
        effect = await kind.effective(archived, entry.injection)
        return "" if effect.bit else effect.words

    await wait_for(unseen, 5, f"{name} to bite")
    healed, failed = await journal.heal_all(archived)
    assert ([one.fault for one in healed], failed) == ([name], [])
    if kind.lasts:

        async def lasting() -> str:
            effect = await kind.effective(archived, entry.injection)
            return effect.words if effect.bit else ""

        await wait_for(lasting, 5, f"{name} to end")


async def test_what_makes_no_sense_is_refused_before_anything_is_touched(archived: Cluster) -> None:
    await rows(archived)
    for name, params, error in (
        ("mistake", {"table": "a; drop table b"}, ConfigError),
        ("mistake", {"statement": "vacuum"}, ConfigError),
        ("mistake", {"table": "no_such_table"}, HostError),
        ("backup", {"type": "whole"}, ConfigError),
    ):
        kind = fault(name)
        with pytest.raises(error):
            await journal.inject(kind, archived, PRIMARY, with_defaults(kind, params), random.Random(1))
    assert journal.entries(archived.lab) == ()
