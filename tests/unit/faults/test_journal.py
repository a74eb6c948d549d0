"""An injection is written down before it is made, and forgotten only once it is healed."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from outlast.errors import HostError
from outlast.faults import journal
from outlast.faults.base import Effect, Fault, Injection, Mechanism
from outlast.faults.journal import NotHealedError


class Lab:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hosts = {"n1": None, "n2": None}


class Cluster:
    def __init__(self, folder: Path) -> None:
        self.lab = Lab(folder)


class Scripted(Fault):
    """Notes what was in the journal while it acted; acts and heals as it is told."""

    name = "scripted"
    about = "does as it is told"
    mechanism = Mechanism.SIGNAL

    def __init__(self, *, act: BaseException | None = None, heal: Exception | None = None) -> None:
        self._act, self._heal = act, heal
        self.seen: list[Injection] = []
        self.healed: list[tuple[str, ...]] = []

    async def prepare(self, cluster: Any, targets: Any, params: Any, rng: Any) -> Injection:
        return Injection(self.name, targets, params, {"pids": {"n1": [rng.randrange(9)]}})

    async def act(self, cluster: Any, injection: Injection) -> None:
        self.seen = [one.injection for one in journal.entries(cluster.lab)]
        if self._act is not None:
            raise self._act

    async def effective(self, cluster: Any, injection: Injection) -> Effect:
        return Effect(None, "")

    async def heal(self, cluster: Any, injection: Injection) -> None:
        self.healed.append(injection.targets)
        if self._heal is not None:
            raise self._heal


async def inject(kind: Scripted, folder: Path) -> journal.Entry:
    return await journal.inject(kind, Cluster(folder), ("n1",), {"x": 1}, random.Random(1))  # type: ignore[arg-type]


async def test_a_target_that_was_removed_meanwhile_is_left_out_of_healing(tmp_path: Path) -> None:
    kind, cluster = Scripted(), Cluster(tmp_path)
    entry = await inject(kind, tmp_path)
    del cluster.lab.hosts["n1"]
    await journal.heal(kind, cluster, entry.injection)  # type: ignore[arg-type]
    await journal.heal(kind, cluster, Injection("scripted", ("n1", "n2")))  # type: ignore[arg-type]
    assert kind.healed == [(), ("n2",)]


async def test_it_is_written_before_it_is_made_and_reads_back_the_same(tmp_path: Path) -> None:
    kind = Scripted()
    entry = await inject(kind, tmp_path)
    assert kind.seen == [entry.injection]
    assert [one.injection for one in journal.entries(Lab(tmp_path))] == [entry.injection]  # type: ignore[arg-type]
    entry.remove()
    entry.remove()
    assert journal.entries(Lab(tmp_path)) == ()  # type: ignore[arg-type]


@pytest.mark.parametrize("how", [HostError("half-way"), asyncio.CancelledError()])
async def test_one_that_fails_half_way_is_healed_and_forgotten(tmp_path: Path, how: BaseException) -> None:
    kind = Scripted(act=how)
    with pytest.raises(type(how)):
        await inject(kind, tmp_path)
    assert kind.healed == [("n1",)]
    assert journal.entries(Lab(tmp_path)) == ()  # type: ignore[arg-type]


async def test_one_that_cannot_be_healed_stays_and_says_so(tmp_path: Path) -> None:
    kind = Scripted(act=HostError("half-way"), heal=HostError("stuck"))
    with pytest.raises(NotHealedError, match="half-way; nor could it be healed: stuck"):
        await inject(kind, tmp_path)
    assert len(journal.entries(Lab(tmp_path))) == 1  # type: ignore[arg-type]


async def test_the_newest_comes_first_and_a_torn_file_is_an_error(tmp_path: Path) -> None:
    first, second = await inject(Scripted(), tmp_path), await inject(Scripted(), tmp_path)
    paths = [one.path for one in journal.entries(Lab(tmp_path))]  # type: ignore[arg-type]
    assert paths == [second.path, first.path]
    first.path.write_text("{")
    with pytest.raises(HostError, match="cannot be read"):
        journal.entries(Lab(tmp_path))  # type: ignore[arg-type]
