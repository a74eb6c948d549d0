"""Partitions on real wires: what is cut is cut, what is not is not, and nothing stays."""

from __future__ import annotations

import asyncio
from itertools import permutations

import pytest

from outlast.faults.net_partition import NetPartition
from outlast.hosts.netns.lab import NetnsLab

pytestmark = pytest.mark.lab

ONE, TWO, DCS, CLIENT = "pg-node-1", "pg-node-2", "etcd-node-1", "client-1"
ALL = (ONE, TWO, DCS, CLIENT)
PARTITION = NetPartition()


async def open_links(cluster) -> set[tuple[str, str]]:
    links = list(permutations(ALL, 2))
    reached = await asyncio.gather(*(cluster.reaches(*link) for link in links))
    return {link for link, open_ in zip(links, reached, strict=True) if open_}


def links_without(*cut: tuple[str, str]) -> set[tuple[str, str]]:
    return set(permutations(ALL, 2)) - set(cut)


def both(*pairs: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    return (*pairs, *((b, a) for a, b in pairs))


@pytest.mark.parametrize(
    ("params", "cut"),
    [
        ({}, both((ONE, TWO), (ONE, DCS))),
        ({"clients": "cut"}, both((ONE, TWO), (ONE, DCS), (ONE, CLIENT))),
        ({"clients": "with"}, both((ONE, TWO), (ONE, DCS), (CLIENT, TWO), (CLIENT, DCS))),
        ({"kind": "one-way-in"}, ((TWO, ONE), (DCS, ONE))),
        ({"kind": "one-way-out"}, ((ONE, TWO), (ONE, DCS))),
        ({"kind": "one-way-in", "clients": "cut"}, ((TWO, ONE), (DCS, ONE), (CLIENT, ONE))),
    ],
)
async def test_exactly_the_links_of_the_kind_are_cut_and_open_again(make_cluster, params, cut) -> None:
    async with make_cluster() as cluster:
        injection = await cluster.inject(PARTITION, ONE, **params)
        assert await open_links(cluster) == links_without(*cut)
        effect = await cluster.effect(PARTITION, injection)
        assert effect.bit, effect.words
        await cluster.heal(PARTITION, injection)
        assert await open_links(cluster) == links_without()


@pytest.mark.parametrize(
    ("kind", "other", "port"), [("dcs-only", DCS, 2379), ("replication-only", TWO, 5432)]
)
async def test_a_partition_by_port_leaves_other_ports_alone(make_cluster, kind, other, port) -> None:
    async with make_cluster() as cluster:
        injection = await cluster.inject(PARTITION, ONE, kind=kind)
        assert not await cluster.reaches(ONE, other, port)
        assert not await cluster.reaches(other, ONE, port)
        assert await cluster.reaches(ONE, other, 8008)
        assert (await cluster.effect(PARTITION, injection)).bit
        await cluster.heal(PARTITION, injection)
        assert await cluster.reaches(ONE, other, port)


async def test_a_host_that_comes_back_is_still_cut_off(make_cluster) -> None:
    async with make_cluster() as cluster:
        injection = await cluster.inject(PARTITION, ONE)
        await cluster.lab.hosts[ONE].power_off()
        await cluster.lab.hosts[ONE].power_on()
        assert await open_links(cluster) == links_without(*both((ONE, TWO), (ONE, DCS)))
        assert (await cluster.effect(PARTITION, injection)).bit
        await cluster.heal(PARTITION, injection)
        assert await open_links(cluster) == links_without()


async def test_the_tool_still_reaches_a_host_that_is_cut_off_from_all(make_cluster) -> None:
    async with make_cluster() as cluster:
        await cluster.inject(PARTITION, ONE, clients="cut")
        with pytest.raises(ConnectionError, match="Errno 111"):
            await cluster.lab.dial(cluster.lab.hosts[ONE].address, 9, 2.0)


async def test_another_process_that_opens_the_lab_can_heal_it(make_cluster) -> None:
    async with make_cluster() as cluster:
        injection = await cluster.inject(PARTITION, ONE)
        cluster.lab, mine = NetnsLab.open(cluster.lab.folder), cluster.lab
        await cluster.heal(PARTITION, injection)
        cluster.lab = mine
        assert await open_links(cluster) == links_without()


async def test_overlapping_partitions_heal_one_by_one(make_cluster) -> None:
    async with make_cluster() as cluster:
        first = await cluster.inject(PARTITION, ONE)
        second = await cluster.inject(PARTITION, DCS)
        await PARTITION.heal(cluster, first)
        assert await open_links(cluster) == links_without(*both((ONE, DCS), (TWO, DCS)))
        await cluster.heal(PARTITION, second)
        assert await open_links(cluster) == links_without()


async def test_two_labs_do_not_disturb_each_other(make_cluster) -> None:
    async with make_cluster("net-a") as here, make_cluster("net-b") as there:
        await here.inject(PARTITION, ONE)
        assert await there.lab.net.active() == ()
        assert await open_links(there) == links_without()
        assert await open_links(here) == links_without(*both((ONE, TWO), (ONE, DCS)))


async def test_an_injection_that_did_nothing_is_told(make_cluster, monkeypatch) -> None:
    async with make_cluster() as cluster:
        injection = await cluster.inject(PARTITION, ONE)
        await cluster.lab.net.heal()  # as if it had never been injected
        assert (await cluster.effect(PARTITION, injection)).bit is False

        async def nothing(_rules: object) -> None:
            """Put none into force."""

        monkeypatch.setattr(cluster.lab.net, "apply", nothing)
        injection = await cluster.inject(PARTITION, ONE)
        assert (await cluster.effect(PARTITION, injection)).bit is False
