"""nftables messages: tables, chains, sets and the few expressions that rules are made of. Pure.

An expression reads a value into register 1, compares it, or decides; a rule is a list of them and ends at the
first comparison that fails. Source: linux/netfilter/nf_tables.h; libnftnl for the layouts.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Final

from outlast.net.netlink import NLM_F_APPEND, NLM_F_CREATE, NetlinkMessage, attribute, nested, number, text

FAMILY_IPV4: Final = 2
FAMILY_NETDEV: Final = 5
FAMILY_BRIDGE: Final = 7

HOOK_PREROUTING: Final = 0
HOOK_FORWARD: Final = 2
HOOK_EGRESS: Final = 1  # of a device, in FAMILY_NETDEV

_SUBSYSTEM: Final = 10
_NEWTABLE, _DELTABLE, _NEWCHAIN, _NEWRULE, _DELRULE, _NEWSET, _NEWSETELEM = 0, 2, 3, 6, 8, 9, 12
_REGISTER: Final = 1
_VERDICT_REGISTER: Final = 0
_LIST_ELEMENT: Final = 1
_EQUAL, _NOT_EQUAL, _LESS, _GREATER = 0, 1, 2, 4
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_META_PROTOCOL, _META_PRIORITY, _META_MARK, _META_TRANSPORT = 1, 2, 3, 16
_NUMGEN_RANDOM: Final = 1
_HOST_TO_NETWORK: Final = 1
_DROP: Final = 0
_ETHERTYPE_IPV4: Final = b"\x08\x00"
_TCP: Final = b"\x06"
_FLAG_FIN, _FLAG_PSH = 0x01, 0x08
_PLAIN_ACK_BYTES_MAX: Final = 80  # 20 of IP, 20 of TCP, 40 of options
_MARK_OF_DUPLICATE: Final = 0x48464450  # "HFDP"; marks end at the border of a namespace
_QUEUE_BYPASS: Final = 1
_LOOKUP_INVERTED: Final = 1
NUMGEN_MODULUS: Final = 1_000_000

Expression = bytes
"""One encoded expression."""


# containers


def new_table(family: int, table: str) -> NetlinkMessage:
    """Return the message that makes a table, if it is not there."""
    return NetlinkMessage(_SUBSYSTEM, _NEWTABLE, family, text(1, table), NLM_F_CREATE)


def delete_table(family: int, table: str) -> NetlinkMessage:
    """Return the message that deletes a table with all in it; ENOENT when it is not there."""
    return NetlinkMessage(_SUBSYSTEM, _DELTABLE, family, text(1, table))


def new_chain(
    family: int, table: str, chain: str, hook: int, priority: int, device: str | None = None
) -> NetlinkMessage:
    """Return the message that makes a chain that the kernel runs at a hook; what it lets pass is accepted.

    device: in FAMILY_NETDEV, whose hook it is.
    """
    place = number(1, hook) + number(2, priority) + (text(3, device) if device else b"")
    body = text(1, table) + text(3, chain) + nested(4, place) + text(7, "filter")
    return NetlinkMessage(_SUBSYSTEM, _NEWCHAIN, family, body, NLM_F_CREATE)


def new_set(
    family: int, table: str, name: str, elements: Sequence[bytes], number_in_batch: int
) -> list[NetlinkMessage]:
    """Return the messages that make a set of equally long byte strings."""
    width = len(elements[0])
    head = text(1, table) + text(2, name)
    body = head + number(3, 0) + number(4, 0) + number(5, width) + number(10, number_in_batch)
    made = [NetlinkMessage(_SUBSYSTEM, _NEWSET, family, body, NLM_F_CREATE)]
    for start in range(0, len(elements), 1000):  # an attribute is at most 64 KiB long
        some = (
            nested(_LIST_ELEMENT, nested(1, attribute(1, element)))
            for element in elements[start : start + 1000]
        )
        body = head + nested(3, *some) + number(4, number_in_batch)
        made.append(NetlinkMessage(_SUBSYSTEM, _NEWSETELEM, family, body, NLM_F_CREATE))
    return made


def new_rule(family: int, table: str, chain: str, expressions: Iterable[Expression]) -> NetlinkMessage:
    """Return the message that appends a rule to a chain."""
    body = (
        text(1, table)
        + text(2, chain)
        + nested(4, *(nested(_LIST_ELEMENT, expression) for expression in expressions))
    )
    return NetlinkMessage(_SUBSYSTEM, _NEWRULE, family, body, NLM_F_CREATE | NLM_F_APPEND)


def delete_rules(family: int, table: str, chain: str) -> NetlinkMessage:
    """Return the message that empties a chain."""
    return NetlinkMessage(_SUBSYSTEM, _DELRULE, family, text(1, table) + text(2, chain))


# what a packet must be


def is_ipv4() -> list[Expression]:
    """Match IPv4, in a family that sees all frames."""
    return [_meta(_META_PROTOCOL), _compare(_EQUAL, _ETHERTYPE_IPV4)]


def addresses_in(name: str, number_in_batch: int) -> list[Expression]:
    """Match packets whose source and destination address, eight bytes in one, are in a set."""
    return [_payload(_NETWORK_HEADER, 12, 8), _lookup(name, number_in_batch)]


def port_in(name: str, number_in_batch: int, *, source: bool, inside: bool = True) -> list[Expression]:
    """Match packets whose source or destination port is in a set, or is not; TCP and UDP have them alike."""
    return [_payload(_TRANSPORT_HEADER, 0 if source else 2, 2), _lookup(name, number_in_batch, inside=inside)]


def transport_in(name: str, number_in_batch: int) -> list[Expression]:
    """Match packets whose transport protocol, one byte, is in a set."""
    return [_meta(_META_TRANSPORT), _lookup(name, number_in_batch)]


def ends_connection() -> list[Expression]:
    """Match TCP segments with FIN."""
    return [*_is_tcp(), *_tcp_flag(_FLAG_FIN, _NOT_EQUAL)]


def pushes_data() -> list[Expression]:
    """Match TCP segments with PSH: the last of every write has it."""
    return [*_is_tcp(), *_tcp_flag(_FLAG_PSH, _NOT_EQUAL)]


def pushes_nothing() -> list[Expression]:
    """Match TCP segments without PSH."""
    return [*_is_tcp(), *_tcp_flag(_FLAG_PSH, _EQUAL)]


def exceeds_plain_ack() -> list[Expression]:
    """Match TCP packets that are longer than any without data."""
    return [
        *_is_tcp(),
        _payload(_NETWORK_HEADER, 2, 2),
        _compare(_GREATER, struct.pack(">H", _PLAIN_ACK_BYTES_MAX)),
    ]


def by_chance(percent: float) -> list[Expression]:
    """Match that share of packets, drawn by the kernel for each."""
    limit = round(percent / 100 * NUMGEN_MODULUS)
    draw = number(1, _REGISTER) + number(2, NUMGEN_MODULUS) + number(3, _NUMGEN_RANDOM) + number(4, 0)
    turn = (
        number(1, _REGISTER)
        + number(2, _REGISTER)
        + number(3, _HOST_TO_NETWORK)
        + number(4, 4)
        + number(5, 4)
    )
    return [
        _expression("numgen", draw),
        _expression("byteorder", turn),  # comparison goes byte by byte
        _compare(_LESS, struct.pack(">I", limit)),
    ]


def is_original() -> list[Expression]:
    """Match packets that do not carry the mark of a duplicate."""
    return [_meta(_META_MARK), _compare(_NOT_EQUAL, struct.pack("=I", _MARK_OF_DUPLICATE))]


# what becomes of it


def drop() -> list[Expression]:
    """End the packet."""
    verdict = nested(2, nested(2, number(1, _DROP)))
    return [_expression("immediate", number(1, _VERDICT_REGISTER) + verdict)]


def set_priority(value: int) -> list[Expression]:
    """Mark the packet for a class of the qdisc it will leave through (tc-htb: the class's own number)."""
    return _set_meta(_META_PRIORITY, value)


def duplicate(device_index: int) -> list[Expression]:
    """Send a marked copy of the packet out of a device, the original after it."""
    load = number(1, _REGISTER) + nested(2, attribute(1, struct.pack("=I", device_index)))
    return [
        *_set_meta(_META_MARK, _MARK_OF_DUPLICATE),
        _expression("immediate", load),
        _expression("dup", number(2, _REGISTER)),
        *_set_meta(_META_MARK, 0),
    ]


def queue(queue: int, *, native: bool) -> list[Expression]:
    """Hand the packet to the program behind a queue, or let it pass when there is none.

    native: by nft's own expression; else by iptables' target, which kernels without nft_queue have.
    """
    if native:
        return [_expression("queue", _short(1, queue) + _short(2, 1) + _short(3, _QUEUE_BYPASS))]
    info = struct.pack("=HHHH", queue, 1, _QUEUE_BYPASS, 0)  # struct xt_NFQ_info_v3, padded
    return [_expression("target", text(1, "NFQUEUE") + number(2, 3) + attribute(3, info))]


# parts


def _set_meta(key: int, value: int) -> list[Expression]:
    load = number(1, _REGISTER) + nested(2, attribute(1, struct.pack("=I", value)))
    return [_expression("immediate", load), _expression("meta", number(2, key) + number(3, _REGISTER))]


def _short(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack(">H", value))


def _is_tcp() -> list[Expression]:
    return [_meta(_META_TRANSPORT), _compare(_EQUAL, _TCP)]


def _tcp_flag(flag: int, operator: int) -> list[Expression]:
    """Compare one flag with zero."""
    masked = nested(4, attribute(1, bytes([flag]))) + nested(5, attribute(1, b"\0"))
    return [
        _payload(_TRANSPORT_HEADER, 13, 1),
        _expression("bitwise", number(1, _REGISTER) + number(2, _REGISTER) + number(3, 1) + masked),
        _compare(operator, b"\0"),
    ]


def _expression(name: str, data: bytes) -> Expression:
    return text(1, name) + nested(2, data)


def _payload(base: int, offset: int, length: int) -> Expression:
    return _expression(
        "payload", number(1, _REGISTER) + number(2, base) + number(3, offset) + number(4, length)
    )


def _meta(key: int) -> Expression:
    return _expression("meta", number(1, _REGISTER) + number(2, key))


def _compare(operator: int, value: bytes) -> Expression:
    return _expression("cmp", number(1, _REGISTER) + number(2, operator) + nested(3, attribute(1, value)))


def _lookup(name: str, number_in_batch: int, *, inside: bool = True) -> Expression:
    which = text(1, name) + number(2, _REGISTER) + number(4, number_in_batch)
    return _expression("lookup", which if inside else which + number(5, _LOOKUP_INVERTED))
