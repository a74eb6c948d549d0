"""Netlink: messages in, an answer or OSError out.

A whole ruleset is one atomic batch, and a queue takes tens of thousands of packets a second, which wants neither
objects nor an event loop. Links and addresses are in rtnetlink.py. Sources: netlink(7), linux/netfilter/nfnetlink.h.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

NETLINK_ROUTE: Final = 0
NETLINK_NETFILTER: Final = 12
NLM_F_REQUEST: Final = 0x1
NLM_F_ACK: Final = 0x4
NLM_F_EXCL: Final = 0x200
NLM_F_CREATE: Final = 0x400
NLM_F_APPEND: Final = 0x800
NLMSG_ERROR: Final = 2
HEADER: Final = struct.Struct("=IHHII")  # length, type, flags, sequence, port id

_BATCH_BEGIN: Final = 0x10
_BATCH_END: Final = 0x11
_NESTED: Final = 0x8000
_RECEIVE_BYTES: Final = 64 * 1024
_TIMEOUT_S: Final = 5.0


def attribute(kind: int, payload: bytes) -> bytes:
    """Return one attribute, padded to four bytes."""
    return struct.pack("=HH", len(payload) + 4, kind) + payload + b"\0" * (-len(payload) % 4)


def nested(kind: int, *parts: bytes) -> bytes:
    """Return an attribute that holds attributes."""
    return attribute(kind | _NESTED, b"".join(parts))


def number(kind: int, value: int) -> bytes:
    """Return an attribute that holds 32 bits in network order, as the packet filter wants them."""
    return attribute(kind, struct.pack(">I", value & 0xFFFFFFFF))


def text(kind: int, value: str) -> bytes:
    """Return an attribute that holds a string."""
    return attribute(kind, value.encode() + b"\0")


@dataclass(frozen=True, slots=True)
class NetlinkMessage:
    """One request to a part of the packet filter. family: AF_INET, or NFPROTO_BRIDGE."""

    subsystem: int
    kind: int
    family: int
    body: bytes
    flags: int = 0
    resource: int = 0

    def encode(self, sequence: int, flags: int) -> bytes:
        """Return its bytes."""
        return encode(
            (self.subsystem << 8) | self.kind,
            self.flags | flags,
            sequence,
            struct.pack(">BBH", self.family, 0, self.resource) + self.body,
        )


class Netlink:
    """A netlink socket, to the packet filter or another part, in the network namespace it was made in."""

    def __init__(self, protocol: int = NETLINK_NETFILTER) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self.socket.bind((0, 0))
        self.socket.settimeout(_TIMEOUT_S)

    def close(self) -> None:
        """Close the socket; the kernel drops what a queue on it still held."""
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def request(self, message: NetlinkMessage) -> None:
        """Send one request and wait until the kernel has carried it out. Raises OSError."""
        self.request_raw(message.encode(1, NLM_F_REQUEST | NLM_F_ACK))

    def request_raw(self, raw: bytes) -> None:
        """Send one request, whose sequence number is 1 and which asks for an answer. Raises OSError."""
        self.socket.send(raw)
        self._acknowledged(1)

    def batch(self, messages: Sequence[NetlinkMessage]) -> None:
        """Carry out all messages, or none of them. Raises OSError."""
        if not messages:
            return
        subsystem = messages[0].subsystem
        last = len(messages)
        raw = [
            encode(_BATCH_BEGIN, NLM_F_REQUEST, 0, struct.pack(">BBH", 0, 0, subsystem)),
            *(
                message.encode(place, NLM_F_REQUEST | (NLM_F_ACK if place == last else 0))
                for place, message in enumerate(messages, start=1)
            ),
            encode(_BATCH_END, NLM_F_REQUEST, last + 1, struct.pack(">BBH", 0, 0, subsystem)),
        ]
        self.socket.send(b"".join(raw))
        self._acknowledged(last)

    def _acknowledged(self, sequence: int) -> None:
        """Wait for the answer to a request; an error of any earlier one is the answer to all."""
        while True:
            raw = self.socket.recv(_RECEIVE_BYTES)
            place = 0
            while place + HEADER.size <= len(raw):
                length, kind, _flags, answered, _port = HEADER.unpack_from(raw, place)
                if kind == NLMSG_ERROR:
                    code = -struct.unpack_from("=i", raw, place + HEADER.size)[0]
                    if code:
                        raise OSError(code, os.strerror(code))
                    if answered == sequence:
                        return
                place += (length + 3) & ~3


def encode(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    """Return the bytes of a message."""
    return HEADER.pack(HEADER.size + len(body), kind, flags, sequence, 0) + body
