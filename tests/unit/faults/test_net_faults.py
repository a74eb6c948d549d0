"""Every fault of the network against a net without packets: what it asks for, how it judges, how it heals."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from outlast.config import ClusterSpec
from outlast.errors import ConfigError
from outlast.faults.base import Effect, Fault, with_defaults
from outlast.faults.link_fault import agrees, around, enough_to_show, ports_of
from outlast.faults.net_fault import NetFault, joined, links_of, spread
from outlast.faults.net_reset import NetReset
from outlast.faults.registry import faults
from outlast.net.base import CUT
from outlast.testing.fake_net import FakeNet

NET_FAULTS = [fault for fault in faults() if isinstance(fault, NetFault)]
every_fault = pytest.mark.parametrize("fault", NET_FAULTS, ids=lambda fault: fault.name)
HOSTS = ("pg-node-1", "pg-node-2", "pg-node-3", "etcd-node-1", "client-1")


@dataclass
class Lab:
    net: FakeNet
    hosts: dict[str, object] = field(default_factory=lambda: dict.fromkeys(HOSTS))


@dataclass
class Cluster:
    lab: Lab
    spec: ClusterSpec = field(default_factory=ClusterSpec)


def cluster(**net: Any) -> Any:
    return Cluster(Lab(FakeNet(dict.fromkeys(HOSTS), **net)))


async def inject(fault: Fault, on: Any, *targets: str, **params: Any) -> Any:
    injection = await fault.prepare(on, targets, with_defaults(fault, params), random.Random(1))
    await fault.act(on, injection)
    return injection


def test_all_ten_are_registered() -> None:
    assert len(NET_FAULTS) == 9
    assert "net_reset" in {fault.name for fault in faults()}


@every_fault
async def test_with_its_defaults_it_bites_and_heals_without_a_rest(fault: NetFault) -> None:
    on = cluster()
    injection = await inject(fault, on, "pg-node-1")
    effect = await fault.effective(on, injection)
    assert effect.bit, effect.words
    assert "pg-node-1" in effect.words
    await fault.heal(on, injection)
    await fault.heal(on, injection)
    assert await on.lab.net.active() == ()
    assert (await fault.restored(on, injection)).bit


@every_fault
async def test_on_a_deaf_net_it_says_that_it_did_not_bite(fault: NetFault) -> None:
    on = cluster(deaf=True)
    effect = await fault.effective(on, await inject(fault, on, "pg-node-1"))
    assert effect.bit is False, effect.words


@every_fault
async def test_rules_that_someone_else_healed_are_no_effect(fault: NetFault) -> None:
    on = cluster()
    injection = await inject(fault, on, "pg-node-1")
    await on.lab.net.heal()
    assert (await fault.effective(on, injection)).bit is False


@every_fault
def test_what_the_kernel_lacks_is_the_reason_to_refuse(fault: NetFault) -> None:
    assert fault.available(cluster(refuses="no such kernel")) == "no such kernel"
    assert fault.available(cluster()) is None


@every_fault
async def test_its_parameters_have_words_and_an_unknown_one_is_refused(fault: NetFault) -> None:
    assert all(param.about for param in fault.params)
    with pytest.raises(ConfigError, match="has no parameter"):
        with_defaults(fault, {"nonsense": 1})


async def test_a_reset_bites_only_if_there_was_a_connection_and_is_none() -> None:
    on = cluster()
    reset = NetReset()
    injection = await inject(reset, on, "pg-node-1")
    assert (await reset.effective(on, injection)).bit is False
    on.lab.net.open_connections.append("10.0.0.1:5432 ↔ 10.0.0.2:40000")
    injection = await inject(reset, on, "pg-node-1")
    assert (await reset.effective(on, injection)).bit
    on.lab.net.open_connections.append("10.0.0.1:5432 ↔ 10.0.0.2:40000")
    assert (await reset.effective(on, injection)).bit is False


@pytest.mark.parametrize("targets", [("a",), ("a", "b"), ("a", "b", "c")])
@pytest.mark.parametrize("direction", ["in", "out", "both"])
def test_no_link_has_two_rules_and_every_one_touches_a_target(
    targets: tuple[str, ...], direction: str
) -> None:
    found = [link for link, _ in links_of(around(targets, ("a", "b", "c"), direction, CUT, ()))]
    assert len(found) == len(set(found))
    for link in found:
        ends = {"in": [link.destination], "out": [link.source], "both": [link.source, link.destination]}
        assert set(ends[direction]) & set(targets)


@pytest.mark.parametrize(
    ("targets", "peers", "direction"), [(("a",), ("a",), "both"), (("a",), (), "in"), (("a",), ("b",), "up")]
)
def test_links_that_do_not_exist_are_refused(targets: Any, peers: Any, direction: str) -> None:
    with pytest.raises(ConfigError):
        around(targets, peers, direction, CUT, ())


def test_ports_are_numbers() -> None:
    assert ports_of("5432, 80") == (5432, 80)
    assert ports_of([1, 2]) == (1, 2)
    assert ports_of(5432) == (5432,)
    assert ports_of("") == ()
    for wrong in ("ssh", "0", 70000):
        with pytest.raises(ConfigError, match="ports"):
            ports_of(wrong)


def test_chance_is_judged_as_chance() -> None:
    assert agrees(20, 200, 10)
    assert agrees(0, 200, 10) is False
    assert agrees(150, 200, 10) is False
    assert agrees(0, 100, 0.1) is None
    assert agrees(200, 200, 100)
    assert enough_to_show(50) < enough_to_show(1) <= enough_to_show(0.01)


def test_effects_join_to_the_worst_that_is_known() -> None:
    good, bad, unknown = Effect(True, "good"), Effect(False, "bad"), Effect(None, "unknown")
    assert joined([good, bad, unknown]) == Effect(False, "bad")
    assert joined([good, unknown]) == Effect(True, "good")
    assert joined([unknown]) == Effect(None, "unknown")
    assert joined([]).bit is None
    assert joined([good] * 9).words.endswith("5 links more alike")


def test_of_too_many_things_some_are_taken_from_first_to_last() -> None:
    assert spread(range(3), 5) == [0, 1, 2]
    assert spread(range(100), 4) == [0, 25, 50, 75]
