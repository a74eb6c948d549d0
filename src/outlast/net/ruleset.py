"""From rules to what the kernel is told. Pure: the same rules give the same messages, whatever there was before.

Tables, each made and replaced whole in one transaction, so that all of a fault begins at the same packet:

    bridge   at the forward hook of the bridge that joins all hosts: cuts, losses, marks for bandwidth. The
             tool's own traffic, which comes from or goes to the bridge itself, never passes there.
    port     at the egress of the bridge's ports: duplicates, of packets as the wire carries them.
    queue    one for each queue of a host, in its namespace, before routing: packets to delay or damage.

A host that comes back from a power-off is under the first by itself; the others are made for it again.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from outlast.net import nft
from outlast.net.base import Packets, Rule
from outlast.net.netlink import NetlinkMessage

TABLE: Final = "outlast"
HTB_MAJOR: Final = 1
_TRANSPORTS_WITH_PORTS: Final = (b"\x06", b"\x11")
_CHAIN: Final = "packets"
_BEFORE_ROUTING: Final = -300
_MINOR_FIRST: Final = 0x10
_NUMBERS: Final = 0x10000

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


def held_queue(rule: Rule) -> int:
    """Return the number of the queue on which a rule's packets are held back."""
    return rule.id * 2 % _NUMBERS


def damaged_queue(rule: Rule) -> int:
    """Return the number of the queue on which a rule's packets are damaged."""
    return (rule.id * 2 + 1) % _NUMBERS


def counts_packets(rule: Rule) -> bool:
    """Whether conditions are about single packets, which a virtual wire carries in bundles up to 64 KiB."""
    wanted = rule.conditions
    shares = wanted.loss_percent, wanted.duplicate_percent, wanted.corrupt_percent
    return wanted.reorder or wanted.rate_kbit > 0 or any(0 < share < 100 for share in shares)


def bridge_table(rules: Sequence[Rule]) -> list[NetlinkMessage]:
    """Return the batch for the bridge; without rules there is no table after it."""
    table = _Table(nft.FAMILY_BRIDGE)
    table.chain(_CHAIN, nft.HOOK_FORWARD, 0)
    cut = [pair for rule in rules if _is_plain_cut(rule) for pair in pairs(rule)]
    if cut:
        table.add(_CHAIN, [*table.link(cut), *nft.drop()])
    for rule in rules:
        if rule.conditions.loss_percent and not _is_plain_cut(rule):
            chance = [] if rule.conditions.cuts else nft.by_chance(rule.conditions.loss_percent)
            for matched in table.match(rule, pairs(rule)):
                table.add(_CHAIN, [*matched, *chance, *nft.drop()])
    for rule in rules:
        if rule.conditions.rate_kbit:
            for source in rule.sources:
                mark = nft.set_priority((HTB_MAJOR << 16) | _minor(rule, source))
                for matched in table.match(rule, (pair for pair in pairs(rule) if pair[0] == source)):
                    table.add(_CHAIN, [*matched, *mark])
    return table.messages()


def port_table(rules: Sequence[Rule], ports: Mapping[str, tuple[str, int]]) -> list[NetlinkMessage]:
    """Return the batch for the bridge's ports. ports.

    Name and index of the device of each host that is on.
    """
    table = _Table(nft.FAMILY_NETDEV)
    for address, (device, index) in sorted(ports.items()):
        mine = [rule for rule in rules if rule.conditions.duplicate_percent and address in rule.destinations]
        if not mine:
            continue
        table.chain(device, nft.HOOK_EGRESS, 0, device)
        for rule in mine:
            chance = nft.by_chance(rule.conditions.duplicate_percent)
            for matched in table.match(rule, (pair for pair in pairs(rule) if pair[1] == address)):
                table.add(device, [*matched, *nft.is_original(), *chance, *nft.duplicate(index)])
    return table.messages()


def queue_table(rule: Rule, address: str, damages: bool, *, native: bool) -> list[NetlinkMessage]:
    """Return the batch for a queue of the host with an address. native: see nft.queue."""
    queue = damaged_queue(rule) if damages else held_queue(rule)
    table = _Table(nft.FAMILY_IPV4, _queue_table_name(queue))
    # What is damaged is held back afterwards, like all else. An accepted packet goes on at the next table.
    table.chain(_CHAIN, nft.HOOK_PREROUTING, _BEFORE_ROUTING + (not damages))
    chance = nft.by_chance(rule.conditions.corrupt_percent) if damages else []
    for matched in table.match(rule, (pair for pair in pairs(rule) if pair[1] == address)):
        table.add(_CHAIN, [*matched, *chance, *nft.queue(queue, native=native)])
    return table.messages()


def silence_queue_table(queue: int) -> NetlinkMessage:
    """Return the message after which no packet is handed to a queue any more."""
    return nft.delete_rules(nft.FAMILY_IPV4, _queue_table_name(queue), _CHAIN)


def remove_queue_table(queue: int) -> NetlinkMessage:
    """Return the message that removes a queue's table."""
    return nft.delete_table(nft.FAMILY_IPV4, _queue_table_name(queue))


def _queue_table_name(queue: int) -> str:
    return f"{TABLE}-{queue}"


def _is_plain_cut(rule: Rule) -> bool:
    return rule.conditions.cuts and not rule.ports and rule.packets is Packets.ALL


def _minor(rule: Rule, source: str) -> int:
    """Return a class number that, among a few rules at a time, no other rule and no other source has."""
    return _MINOR_FIRST + (rule.id * 64 + rule.sources.index(source)) % (_NUMBERS - _MINOR_FIRST)


@dataclass(slots=True)
class _Table:
    """Collects chains, sets and rules of one table."""

    family: int
    name: str = TABLE
    _chains: list[NetlinkMessage] = field(default_factory=list)
    _sets: list[NetlinkMessage] = field(default_factory=list)
    _known: dict[tuple[bytes, ...], tuple[str, int]] = field(default_factory=dict)
    _rules: list[NetlinkMessage] = field(default_factory=list)

    def chain(self, name: str, hook: int, priority: int, device: str | None = None) -> None:
        """Add a chain."""
        self._chains.append(nft.new_chain(self.family, self.name, name, hook, priority, device))

    def add(self, chain: str, expressions: Sequence[nft.Expression]) -> None:
        """Append a rule to a chain."""
        sort = [] if self.family == nft.FAMILY_IPV4 else nft.is_ipv4()
        self._rules.append(nft.new_rule(self.family, self.name, chain, [*sort, *expressions]))

    def link(self, way: Sequence[Pair]) -> list[nft.Expression]:
        """Match packets of any of the directed pairs."""
        keys = {ipaddress.IPv4Address(s).packed + ipaddress.IPv4Address(d).packed for s, d in way}
        return nft.addresses_in(*self._set(sorted(keys)))

    def match(self, rule: Rule, way: Iterator[Pair] | Sequence[Pair]) -> Iterator[list[nft.Expression]]:
        """Yield matches that together are a rule's packets on some of its pairs, no packet in two of them."""
        some = list(way)
        if not some:
            return
        for kind in _kinds(rule.packets):
            if not rule.ports:
                yield [*self.link(some), *kind]
                continue
            transport = nft.transport_in(*self._set(_TRANSPORTS_WITH_PORTS))
            ports = self._set([struct.pack(">H", port) for port in sorted(set(rule.ports))])
            from_one = nft.port_in(*ports, source=True)
            only_to_one = [
                *nft.port_in(*ports, source=True, inside=False),
                *nft.port_in(*ports, source=False),
            ]
            for which in (from_one, only_to_one):
                yield [*self.link(some), *transport, *which, *kind]

    def messages(self) -> list[NetlinkMessage]:
        """Return the batch: away with the old table, and the new one if it has any rule."""
        away = [nft.new_table(self.family, self.name), nft.delete_table(self.family, self.name)]
        if not self._rules:
            return away
        return [*away, nft.new_table(self.family, self.name), *self._chains, *self._sets, *self._rules]

    def _set(self, elements: Sequence[bytes]) -> tuple[str, int]:
        """Return name and number of the set of these elements, made once."""
        key = tuple(elements)
        if key not in self._known:
            place = len(self._known) + 1
            self._known[key] = (f"set{place}", place)
            self._sets += nft.new_set(self.family, self.name, f"set{place}", key, place)
        return self._known[key]


def _kinds(packets: Packets) -> list[list[nft.Expression]]:
    match packets:
        case Packets.ALL:
            return [[]]
        case Packets.CLOSE:
            return [nft.ends_connection()]
        case Packets.DATA:
            return [nft.pushes_data(), [*nft.pushes_nothing(), *nft.exceeds_plain_ack()]]
