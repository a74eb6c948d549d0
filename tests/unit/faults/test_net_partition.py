"""Which links each kind of partition cuts: pure, so every kind and size is tried."""

from __future__ import annotations

import random
from itertools import permutations

import pytest

from outlast.errors import ConfigError
from outlast.faults.net_fault import links_of
from outlast.faults.net_partition import KINDS, Hosts, partition

NODES = ("n1", "n2", "n3")
HOSTS = Hosts(NODES, ("e1",), ("b1",), ("client-1",))


def cut(
    hosts: Hosts, kind: str, *targets: str, clients: str = "none", seed: int = 1
) -> list[tuple[str, str]]:
    rules = partition(hosts, targets, kind, clients, random.Random(seed))
    return [(link.source, link.destination) for link, _rule in links_of(rules)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("targets", [("n1",), ("n1", "n2"), NODES])
def test_no_link_is_cut_twice_and_clients_are_left_alone_unless_asked(
    kind: str, targets: tuple[str, ...]
) -> None:
    found = cut(HOSTS, kind, *targets)
    assert len(found) == len(set(found))
    assert not any("client-1" in link for link in found)


def test_isolate_cuts_the_targets_from_each_other_too_and_two_way_does_not() -> None:
    assert ("n1", "n2") in cut(HOSTS, "isolate", "n1", "n2")
    assert ("n1", "n2") not in cut(HOSTS, "two-way", "n1", "n2")
    assert ("n1", "n3") in cut(HOSTS, "two-way", "n1", "n2")


def test_one_way_cuts_one_direction() -> None:
    assert set(cut(HOSTS, "one-way-in", "n1")) == {(other, "n1") for other in ("n2", "n3", "e1", "b1")}
    assert set(cut(HOSTS, "one-way-out", "n1")) == {("n1", other) for other in ("n2", "n3", "e1", "b1")}


@pytest.mark.parametrize("seed", range(20))
def test_halves_hold_the_targets_in_the_smaller_half(seed: int) -> None:
    found = set(cut(HOSTS, "halves", "n1", seed=seed))
    smaller = {source for source, _ in found if (source, "n1") not in found}
    assert "n1" in smaller
    assert len(smaller) == len(HOSTS.members) // 2
    assert found == {
        link for link in permutations(HOSTS.members, 2) if (link[0] in smaller) != (link[1] in smaller)
    }


@pytest.mark.parametrize("size", [3, 4, 5, 6, 7, 9, 32])
def test_in_a_majority_ring_all_see_a_majority_and_no_two_the_same(size: int) -> None:
    members = tuple(f"n{number}" for number in range(size))
    found = set(cut(Hosts(members, (), (), ()), "majority-ring", members[0]))
    assert all((b, a) in found for a, b in found), "a ring is symmetric"
    seen = {
        member: frozenset(other for other in members if (other, member) not in found) for member in members
    }
    assert all(len(view) > size / 2 for view in seen.values())
    assert len(set(seen.values())) == size


def test_clients_stand_where_they_are_put() -> None:
    assert ("client-1", "n1") in cut(HOSTS, "isolate", "n1", clients="cut")
    assert ("client-1", "n2") not in cut(HOSTS, "isolate", "n1", clients="cut")
    assert ("client-1", "n1") not in cut(HOSTS, "isolate", "n1", clients="with")
    assert {("client-1", "n2"), ("client-1", "e1")} < set(cut(HOSTS, "isolate", "n1", clients="with"))
    assert ("n1", "client-1") not in cut(HOSTS, "one-way-in", "n1", clients="cut")
    assert ("n2", "client-1") in cut(HOSTS, "one-way-in", "n1", clients="with")


def test_by_port_kinds_name_their_ports() -> None:
    rules = partition(HOSTS, ("n1",), "dcs-only", "none", random.Random(1))
    assert {rule.ports for rule in rules} == {(2379, 2380, 5432)}
    assert {link.source for link, _ in links_of(rules)} == {"n1", "e1"}


@pytest.mark.parametrize(
    ("hosts", "kind", "clients", "message"),
    [
        (HOSTS, "sideways", "none", "no kind sideways"),
        (HOSTS, "isolate", "left", "cannot place clients"),
        (HOSTS, "dcs-only", "cut", "no two sides"),
        (Hosts(NODES, (), (), ()), "dcs-only", "none", "would cut nothing"),
        (Hosts(("n1",), (), (), ()), "isolate", "none", "would cut nothing"),
    ],
)
def test_what_makes_no_sense_is_refused(hosts: Hosts, kind: str, clients: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        partition(hosts, ("n1",), kind, clients, random.Random(1))
