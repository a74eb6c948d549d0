"""A partition: packets between groups of hosts vanish, without any sign to either side.

Both ends keep their connections open and hear nothing, as when a switch between them dies. The tool's own
traffic is never cut: it comes from the lab's bridge.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from outlast.errors import ConfigError
from outlast.faults.base import Effect, Fault, Injection, Mechanism, Param
from outlast.faults.net_fault import CLIENT_PREFIX, NetFault, joined, links_of, spread, was
from outlast.history.history import JSON
from outlast.net.base import Link, Rule
from outlast.systems.base import Cluster

KINDS: Final = (
    "isolate",
    "two-way",
    "one-way-in",
    "one-way-out",
    "halves",
    "majority-ring",
    "dcs-only",
    "replication-only",
)
CLIENT_SIDES: Final = ("none", "with", "cut")
_KINDS_WITH_SIDES: Final = ("isolate", "two-way", "one-way-in", "one-way-out", "halves")
_ONE_WAY: Final = ("one-way-in", "one-way-out")

DCS_PORTS: Final = (2379, 2380, 5432)
"""etcd's, and the one on which a monitor listens."""

POSTGRES_PORTS: Final = (5432,)
_PROBE_COUNT: Final = 5
_PATIENCE_MS: Final = 250.0
_CONTROLS_MAX: Final = 4

Groups = tuple[tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Hosts:
    """Hosts of a lab by what they are for. dcs: who decides, a monitor too; others: balancers and the like."""

    nodes: tuple[str, ...]
    dcs: tuple[str, ...]
    others: tuple[str, ...]
    clients: tuple[str, ...]

    @classmethod
    def of(cls, cluster: Cluster) -> Hosts:
        """Sort the hosts of a cluster's lab."""
        nodes = tuple(node.name for node in cluster.spec.nodes)
        monitors = (service.name for service in cluster.spec.services if service.kind == "monitor")
        dcs = (*(member.name for member in cluster.spec.dcs), *monitors)
        clients = tuple(name for name in cluster.lab.hosts if name.startswith(CLIENT_PREFIX))
        known = {*nodes, *dcs, *clients}
        return cls(nodes, dcs, tuple(name for name in cluster.lab.hosts if name not in known), clients)

    @property
    def members(self) -> tuple[str, ...]:
        """All that are no clients."""
        return (*self.nodes, *self.dcs, *self.others)


class NetPartition(NetFault):
    """Drop packets between groups; what the groups are is the kind."""

    name = "net_partition"
    about = "packets between groups of hosts vanish, in both directions or in one"
    mechanism = Mechanism.FILTER
    params = (
        Param(
            "kind",
            "isolate",
            "",
            "isolate: each target alone; two-way: the targets together, apart from the rest; one-way-in: "
            "nothing reaches the targets; one-way-out: nothing leaves them; halves: the members in two, the "
            "targets in the smaller half; majority-ring: each member sees a majority, no two the same; "
            "dcs-only: the targets apart from etcd or the monitor; replication-only: their PostgreSQL apart "
            "from others'",
        ),
        Param(
            "clients",
            "none",
            "",
            "where clients stand: none: they reach everyone; with: on the targets' side; cut: on the other",
        ),
    )

    def rules(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> list[Rule]:
        """Return one rule for each direction between two groups."""
        return partition(Hosts.of(cluster), targets, str(params["kind"]), str(params["clients"]), rng)

    async def judge(self, cluster: Cluster, link: Link, rule: Rule, was_ms: float | None) -> Effect:
        """Nothing may arrive."""
        found = await cluster.lab.net.probe(
            link.source, link.destination, count=_PROBE_COUNT, patience_ms=_PATIENCE_MS, port=link.port
        )
        if found.reaches:
            return Effect(False, f"{link}: {found.received} of {found.sent} datagrams arrived")
        return Effect(True, f"{link}: {found.sent} of {found.sent} datagrams vanished{was(was_ms)}")

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """What is to be cut is cut, and what a one-way partition leaves open is open."""
        cut = await super().effective(cluster, injection)
        if not cut.bit or injection.params.get("kind") not in _ONE_WAY:
            return cut
        mine = await self.in_force(cluster, injection)
        if len(await cluster.lab.net.active()) > len(mine):
            return cut  # another injection may have cut the way back
        back = spread([Link(link.destination, link.source) for link, _rule in links_of(mine)], _CONTROLS_MAX)
        effects = []
        for link, found in zip(back, await cluster.lab.net.probe_all(back), strict=True):
            if found is not None:
                words = "still reaches" if found.reaches else "does not arrive either, so it is not one-way"
                effects.append(Effect(found.reaches, f"{link} {words}"))
        opened = joined(effects)
        return Effect(opened.bit, f"{cut.words}; {opened.words}")


def partition(
    hosts: Hosts, targets: tuple[str, ...], kind: str, clients: str, rng: random.Random
) -> list[Rule]:
    """Return the rules of a kind of partition. Pure but for rng, which only halves and majority-ring ask.

    Raises ConfigError for a word it does not know and when nothing would be cut.
    """
    if kind not in KINDS:
        raise ConfigError(f"net_partition has no kind {kind}", hint=f"it has: {', '.join(KINDS)}")
    if clients not in CLIENT_SIDES:
        raise ConfigError(
            f"net_partition cannot place clients {clients!r}", hint=f"it can: {', '.join(CLIENT_SIDES)}"
        )
    if clients != "none" and kind not in _KINDS_WITH_SIDES:
        raise ConfigError(f"a {kind} partition has no two sides for clients", hint="leave clients at none")
    members = hosts.members
    inside = tuple(dict.fromkeys(targets))
    outside = _without(members, inside)
    match kind:
        case "dcs-only":
            rules = _both_ways(inside, hosts.dcs, DCS_PORTS)
        case "replication-only":
            rules = _both_ways(inside, hosts.nodes, POSTGRES_PORTS)
        case "majority-ring":
            rules = _ring(members, rng)
        case "halves":
            inside = _half(members, inside, rng)
            rules = _both_ways(inside, _without(members, inside))
        case "isolate":
            rules = _both_ways(inside, members)
        case "two-way":
            rules = _both_ways(inside, outside)
        case "one-way-in":
            rules = [Rule(outside, inside)]
        case _:
            rules = [Rule(inside, outside)]
    if clients != "none":
        apart = _without(members, inside) if clients == "with" else inside
        away, home = Rule(hosts.clients, apart), Rule(apart, hosts.clients)
        if kind not in _ONE_WAY:
            rules += [away, home]
        elif (kind == "one-way-in") == (clients == "cut"):
            rules.append(away)
        else:
            rules.append(home)
    rules = [rule for rule in rules if links_of([rule])]
    if not rules:
        raise ConfigError(
            f"a {kind} partition of {', '.join(targets)} would cut nothing in this cluster",
            hint=f"its members are {', '.join(members)}",
        )
    return rules


def _both_ways(group: Sequence[str], other: Iterable[str], ports: tuple[int, ...] = ()) -> list[Rule]:
    """Cut one group from another.

    Where they overlap, its hosts are cut from each other, by one rule alone.
    """
    here, there = tuple(group), tuple(other)
    return [Rule(here, there, ports=ports), Rule(_without(there, here), here, ports=ports)]


def _without(hosts: Iterable[str], some: Iterable[str]) -> tuple[str, ...]:
    gone = set(some)
    return tuple(host for host in hosts if host not in gone)


def _half(members: Sequence[str], targets: tuple[str, ...], rng: random.Random) -> tuple[str, ...]:
    """Return half of the members, rounded down, with the targets and others that rng picks."""
    size = max(len(members) // 2, len(targets))
    rest = _without(members, targets)
    return targets + tuple(sorted(rng.sample(rest, size - len(targets))))


def _ring(members: Sequence[str], rng: random.Random) -> list[Rule]:
    """Put the members in a ring in which each sees its nearest neighbours, a majority with itself.

    Three of them stand in a row instead, for in a ring of three all are neighbours. Source: Jepsen
    nemesis.clj, majorities-ring and bridge.
    """
    ring = rng.sample(list(members), len(members))
    if len(ring) == 3:
        return _both_ways(ring[:1], ring[2:])
    reach = -(-(len(ring) // 2) // 2)  # neighbours on each side: 2 * reach + 1 is a majority
    rules = []
    for place, member in enumerate(ring):
        near = {ring[(place + step) % len(ring)] for step in range(-reach, reach + 1)}
        rules.append(Rule(tuple(sorted(set(ring) - near)), (member,)))
    return rules


FAULTS: Final[tuple[Fault, ...]] = (NetPartition(),)
