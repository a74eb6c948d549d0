"""From rules to what the kernel is told. Pure: the same rules give the same messages, whatever was there
before.

Cuts, losses and the marks for bandwidth live in one table of the bridge that joins all hosts, at its forward
hook: what comes from or goes to the bridge itself, the tool's own traffic, never passes there, and a host
that comes back from a power-off is still under every rule. The whole table is replaced in one transaction, so
all of a partition begins at the same packet.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from holdfast.net import nft
from holdfast.net.base import Packets, Rule
from holdfast.net.netlink import Message

TABLE: Final = "holdfast"
_CHAIN: Final = "between-hosts"
_FAMILY: Final = nft.FAMILY_BRIDGE
_TRANSPORTS_WITH_PORTS: Final = (b"\x06", b"\x11")
_MINOR_FIRST: Final = 0x10
HTB_MAJOR: Final = 1

Pair = tuple[str, str]
"""Source and destination address."""


def pairs(rule: Rule) -> Iterator[Pair]:
    """Yield the directed pairs of a rule whose hosts stand as addresses."""
    for source in rule.sources:
        for destination in rule.destinations:
            if source != destination:
                yield source, destination


@dataclass(frozen=True, slots=True)
class RateClass:
    """A share of the way to one host: a class of the qdisc on the bridge's port. minor: its number there."""

    destination: str
    minor: int
    rate_kbit: int


def rate_classes(rules: Sequence[Rule]) -> list[RateClass]:
    """Return the classes that rules with a rate need, one a directed pair."""
    return [
        RateClass(destination, _minor(rule, source), rule.conditions.rate_kbit)
        for rule in rules
        if rule.conditions.rate_kbit
        for source, destination in pairs(rule)
    ]


def bridge_table(rules: Sequence[Rule]) -> list[Message]:
    """Return the batch that makes the bridge's table what rules say.

    Without rules there is no table after it.
    """
    table = _Table()
    cut = [pair for rule in rules if _is_plain_cut(rule) for pair in pairs(rule)]
    if cut:
        table.add([*table.link(cut), *nft.drop()])
    for rule in rules:
        if rule.conditions.loss_percent and not _is_plain_cut(rule):
            chance = [] if rule.conditions.cuts else nft.by_chance(rule.conditions.loss_percent)
            for narrowed in table.match(rule):
                table.add([*narrowed, *chance, *nft.drop()])
    for rule in rules:
        if rule.conditions.rate_kbit:
            for source in rule.sources:
                way = [pair for pair in pairs(rule) if pair[0] == source]
                mark = nft.set_priority((HTB_MAJOR << 16) | _minor(rule, source))
                for narrowed in table.match(rule, way):
                    table.add([*narrowed, *mark])
    return table.messages()


def _is_plain_cut(rule: Rule) -> bool:
    return rule.conditions.cuts and not rule.ports and rule.packets is Packets.ALL


def _minor(rule: Rule, source: str) -> int:
    """Return a class number that no other rule and no other source of this rule has."""
    return (_MINOR_FIRST + rule.id * len(rule.sources) + rule.sources.index(source)) & 0xFFFF


@dataclass(slots=True)
class _Table:
    """Collects sets and rules of one table."""

    _sets: list[Message] = field(default_factory=list)
    _known: dict[tuple[bytes, ...], tuple[str, int]] = field(default_factory=dict)
    _rules: list[Message] = field(default_factory=list)

    def add(self, expressions: Sequence[nft.Expression]) -> None:
        """Append a rule."""
        self._rules.append(nft.new_rule(_FAMILY, TABLE, _CHAIN, [*nft.is_ipv4(), *expressions]))

    def link(self, way: Sequence[Pair]) -> list[nft.Expression]:
        """Match packets of any of the directed pairs."""
        keys = {ipaddress.IPv4Address(s).packed + ipaddress.IPv4Address(d).packed for s, d in way}
        return nft.addresses_in(*self._set(sorted(keys)))

    def match(self, rule: Rule, way: Sequence[Pair] | None = None) -> Iterator[list[nft.Expression]]:
        """Yield matches that together are the packets of a rule, each packet in one of them at most twice."""
        link = self.link(list(pairs(rule)) if way is None else way)
        for kind in _kinds(rule.packets):
            if not rule.ports:
                yield [*link, *kind]
                continue
            transport = nft.transport_in(*self._set(_TRANSPORTS_WITH_PORTS))
            ports = self._set([struct.pack(">H", port) for port in sorted(set(rule.ports))])
            for source in (True, False):
                yield [*link, *transport, *nft.port_in(*ports, source=source), *kind]

    def messages(self) -> list[Message]:
        """Return the batch: away with the old table, and the new one if it has any rule."""
        away = [nft.new_table(_FAMILY, TABLE), nft.delete_table(_FAMILY, TABLE)]
        if not self._rules:
            return away
        chain = nft.new_chain(_FAMILY, TABLE, _CHAIN, nft.HOOK_FORWARD, 0)
        return [*away, nft.new_table(_FAMILY, TABLE), chain, *self._sets, *self._rules]

    def _set(self, elements: Sequence[bytes]) -> tuple[str, int]:
        """Return name and number of the set of these elements, made once."""
        key = tuple(elements)
        if key not in self._known:
            place = len(self._known) + 1
            self._known[key] = (f"set{place}", place)
            self._sets += nft.new_set(_FAMILY, TABLE, f"set{place}", key, place)
        return self._known[key]


def _kinds(packets: Packets) -> list[list[nft.Expression]]:
    match packets:
        case Packets.ALL:
            return [[]]
        case Packets.CLOSE:
            return [nft.ends_connection()]
        case Packets.DATA:
            return [nft.pushes_data(), nft.exceeds_plain_ack()]
