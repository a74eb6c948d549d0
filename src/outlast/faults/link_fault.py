"""What the faults share that give the links of a host conditions: which links, and how many packets show a share."""

from __future__ import annotations

import math
import random
from abc import abstractmethod
from collections.abc import Mapping
from typing import Final

from outlast.errors import ConfigError
from outlast.faults.base import Param
from outlast.faults.net_fault import CLIENT_PREFIX, NetFault, links_of
from outlast.history.history import JSON
from outlast.net.base import Conditions, Packets, Rule
from outlast.systems.base import Cluster

LINK_PARAMS: Final = (
    Param(
        "peers",
        "all",
        "",
        "the far ends of the target's links: all, nodes, dcs, clients, or names with commas",
    ),
    Param("direction", "both", "", "as the target sees it: in, out or both"),
    Param(
        "ports", "", "", "only TCP and UDP packets from or to these ports, with commas; empty for all packets"
    ),
)
DIRECTIONS: Final = ("both", "in", "out")

_SHOWING: Final = 12  # packets that must be hit, so that a share shows
_COUNT_MIN, _COUNT_MAX = 200, 4000
_SIGMAS: Final = 5


class LinkFault(NetFault):
    """Conditions on the links of the targets. Subclasses say which, and judge a link."""

    packets: Packets = Packets.ALL

    @abstractmethod
    def conditions(self, params: Mapping[str, JSON]) -> Conditions:
        """Return the conditions that the parameters ask for. Raises ValueError for what makes no sense."""

    def rules(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> list[Rule]:
        """Return one rule out of the targets and one into them."""
        try:
            conditions = self.conditions(params)
        except ValueError as error:
            raise ConfigError(f"{self.name}: {error}") from error
        if conditions == Conditions():
            raise ConfigError(f"{self.name}: these parameters change nothing")
        peers = far_ends(cluster, str(params["peers"]))
        return around(
            targets, peers, str(params["direction"]), conditions, ports_of(params["ports"]), self.packets
        )


def far_ends(cluster: Cluster, peers: str) -> tuple[str, ...]:
    """Return the hosts that a word or a list of names means. Raises ConfigError for an unknown one."""
    hosts = tuple(cluster.lab.hosts)
    match peers:
        case "all":
            return hosts
        case "nodes":
            return tuple(node.name for node in cluster.spec.nodes)
        case "dcs":
            return tuple(member.name for member in cluster.spec.dcs)
        case "clients":
            return tuple(name for name in hosts if name.startswith(CLIENT_PREFIX))
    names = tuple(name.strip() for name in peers.split(","))
    for name in names:
        if name not in hosts:
            raise ConfigError(
                f"{name} is not a host of the lab",
                hint=f"peers: all, nodes, dcs, clients, or some of {', '.join(hosts)}",
            )
    return names


def ports_of(given: JSON) -> tuple[int, ...]:
    """Return ports from a number, a list or text with commas; () for none. Raises ConfigError."""
    words = given if isinstance(given, list) else str(given).split(",") if given not in ("", None) else []
    try:
        ports = tuple(int(str(word)) for word in words)
    except ValueError as error:
        raise ConfigError(f"ports must be numbers with commas between them, got {given!r}") from error
    if not all(0 < port < 65536 for port in ports):
        raise ConfigError(f"ports must be from 1 to 65535, got {given!r}")
    return ports


def around(
    targets: tuple[str, ...],
    peers: tuple[str, ...],
    direction: str,
    conditions: Conditions,
    ports: tuple[int, ...],
    packets: Packets = Packets.ALL,
) -> list[Rule]:
    """Return rules for the links between targets and peers; no link is in two of them.

    Raises ConfigError for an unknown direction, and when there is no such link.
    """
    if direction not in DIRECTIONS:
        raise ConfigError(
            f"there is no direction {direction}", hint=f"choose one of: {', '.join(DIRECTIONS)}"
        )
    rules = []
    if direction in ("out", "both"):
        rules.append(Rule(targets, peers, conditions, ports, packets))
    if direction in ("in", "both"):
        # Of links between two targets, both of which are peers, the rule above has both directions.
        senders = peers if direction == "in" else tuple(peer for peer in peers if peer not in targets)
        rules.append(Rule(senders, targets, conditions, ports, packets))
    rules = [rule for rule in rules if links_of([rule])]
    if not rules:
        raise ConfigError(f"{', '.join(targets)} has no links to {', '.join(peers) or 'such peers'}")
    return rules


def enough_to_show(percent: float) -> int:
    """Return how many packets to send so that a share of them is sure to show, within what is bearable."""
    return min(_COUNT_MAX, max(_COUNT_MIN, math.ceil(_SHOWING * 100 / percent)))


def agrees(hits: int, sent: int, percent: float) -> bool | None:
    """Return whether so many hits are what chance would give; None when the share is too small to be seen."""
    expected = sent * percent / 100
    if expected < 3:
        return None if hits == 0 else True
    spread = math.sqrt(expected * (1 - percent / 100))
    return hits > 0 and abs(hits - expected) <= _SIGMAS * spread + 1
