"""Which member gets which address: the same for the same document, always."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network
from itertools import chain
from typing import Protocol

from outlast.config.fields import problem
from outlast.config.formats.base import Path

_FIRST = 11  # so that the first node of 172.28.0.0/24 is 172.28.0.11


class Member(Protocol):
    """What has a place in a cluster: a node, a member of its DCS, a service."""

    @property
    def name(self) -> str:
        """Its own among them all."""
        ...

    @property
    def address(self) -> str:
        """Where it is; "" while it has no place."""
        ...


def check_addresses(subnet: str, located: Sequence[tuple[Path, Member]]) -> None:
    """Refuse an address outside the subnet, one that is not a host's, and one given twice."""
    seen: dict[str, str] = {}
    for path, member in located:
        if not member.address:
            continue
        check_address(subnet, member.address, (*path, "address"))
        if member.address in seen:
            raise problem(f"{member.address} is taken by {seen[member.address]}", *path, "address")
        seen[member.address] = member.name


def check_address(subnet: str, address: str, path: Path) -> None:
    """Refuse an address outside the subnet and one that is not a host's. path: where it was written."""
    network = IPv4Network(subnet)
    host = IPv4Address(address)
    if host not in network:
        raise problem(f"{address} is outside the subnet {subnet}", *path)
    if host in (network[0], network[1], network[-1]):
        raise problem(f"{address} is kept for the network, the lab or broadcast", *path)


def place_members(subnet: str, members: Sequence[Member]) -> dict[str, str]:
    """Return the address of each member by name: the one it was given, else the next spare one in order."""
    spare = spare_addresses(subnet, members)
    placed: dict[str, str] = {}
    for member in members:
        address = member.address or next(spare, None)
        if address is None:
            raise problem(f"has no room for {len(members)} members", "subnet", hint="take a shorter prefix")
        placed[member.name] = address
    return placed


def spare_addresses(subnet: str, members: Sequence[Member]) -> Iterator[str]:
    """Yield addresses that no member has: upwards from the 11th, then those below it.

    The first address is left to the lab's bridge.
    """
    network = IPv4Network(subnet)
    taken = {member.address for member in members}
    last = network.num_addresses - 1
    for offset in chain(range(_FIRST, last), range(2, min(_FIRST, last))):
        address = str(network.network_address + offset)
        if address not in taken:
            yield address
