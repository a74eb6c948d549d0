"""What every kind of net must do, the fake that unit tests use among them. A new kind joins by a line in NETS."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from outlast.errors import HostError
from outlast.net.base import CUT, Conditions, Link, Net, Packets, Rule
from outlast.testing.fake_net import FakeNet

ONE, TWO, DCS, CLIENT = "pg-node-1", "pg-node-2", "etcd-node-1", "client-1"
NetMaker = Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[Net]]


@contextlib.asynccontextmanager
async def fake_net(_request: pytest.FixtureRequest) -> AsyncIterator[Net]:
    yield FakeNet(dict.fromkeys((ONE, TWO, DCS, CLIENT)))


@contextlib.asynccontextmanager
async def netns_net(request: pytest.FixtureRequest) -> AsyncIterator[Net]:
    async with request.getfixturevalue("make_cluster")() as cluster:
        yield cluster.lab.net


NETS = [pytest.param(fake_net, id="fake"), pytest.param(netns_net, id="netns", marks=pytest.mark.lab)]
any_net = pytest.mark.parametrize("make_net", NETS)


@any_net
async def test_rules_get_ids_of_their_own_before_they_come_into_force(
    make_net: NetMaker, request: pytest.FixtureRequest
) -> None:
    async with make_net(request) as net:
        cut, slow = Rule((ONE,), (TWO,)), Rule((TWO,), (ONE,), Conditions(delay_ms=20))
        first, second = await net.plan([cut, slow]), await net.plan([cut])
        assert len({*first.ids, *second.ids}) == 3
        assert first.mechanisms
        assert await net.active() == ()
        assert (await net.probe(ONE, TWO)).reaches

        await net.apply(first.rules)
        assert await net.active() == first.rules
        for refused in ((cut,), first.rules[:1], (second.rules[0], second.rules[0])):
            with pytest.raises(HostError):
                await net.apply(refused)
        assert await net.active() == first.rules


@any_net
async def test_healing_removes_what_is_asked_for_and_can_be_asked_for_again(
    make_net: NetMaker, request: pytest.FixtureRequest
) -> None:
    async with make_net(request) as net:
        plan = await net.plan([Rule((ONE,), (TWO,)), Rule((TWO,), (ONE,)), Rule((ONE,), (DCS,))])
        await net.apply(plan.rules)
        assert await net.heal(plan.ids[:1]) == plan.ids[:1]
        assert await net.heal(plan.ids[:1]) == ()
        assert await net.active() == plan.rules[1:]
        assert (await net.probe(ONE, TWO)).reaches
        assert await net.heal() == plan.ids[1:]
        assert await net.active() == ()
        await net.heal([plan.ids[0] + 1000])  # one that never was


@any_net
async def test_a_rule_is_met_in_its_direction_alone(
    make_net: NetMaker, request: pytest.FixtureRequest
) -> None:
    async with make_net(request) as net:
        plan = await net.plan(
            [
                Rule((ONE,), (TWO,), CUT),
                Rule((TWO,), (DCS,), Conditions(delay_ms=40)),
                Rule((DCS,), (ONE,), CUT, packets=Packets.DATA),
            ]
        )
        await net.apply(plan.rules)
        assert not (await net.probe(ONE, TWO)).reaches
        assert (await net.probe(TWO, ONE)).reaches
        assert (await net.probe(TWO, DCS)).delay_ms >= 36
        assert (await net.probe(DCS, TWO)).delay_ms < 36
        silent = await net.converse(ONE, DCS, patience_ms=200)
        assert silent.connect_ms is not None
        assert silent.answer_ms is None
        cut, clear = await net.probe_all([Link(ONE, TWO), Link(CLIENT, ONE)])
        assert cut is not None and not cut.reaches
        assert clear is not None and clear.reaches


@any_net
async def test_an_unknown_host_is_refused(make_net: NetMaker, request: pytest.FixtureRequest) -> None:
    async with make_net(request) as net:
        with pytest.raises(HostError, match="no host nobody"):
            await net.plan([Rule((ONE,), ("nobody",))])
        with pytest.raises(HostError, match="no host nobody"):
            await net.probe(ONE, "nobody")
