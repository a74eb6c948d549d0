"""The TCP connections of a network namespace: listed, and broken. Source: sock_diag(7), linux/inet_diag.h."""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from dataclasses import dataclass
from typing import Final

from outlast.net.netlink import HEADER, NLM_F_ACK, NLM_F_REQUEST, NLMSG_ERROR, Netlink

_NETLINK_SOCK_DIAG: Final = 4
_SOCK_DIAG_BY_FAMILY: Final = 20
_SOCK_DESTROY: Final = 21
_NLM_F_DUMP: Final = 0x300
_NLMSG_DONE: Final = 3
_ESTABLISHED: Final = 1 << 1
_REQUEST: Final = struct.Struct("=BBBxI")  # family, protocol, extensions, states
_SOCKET_BYTES: Final = 48  # struct inet_diag_sockid
_ID_PLACE: Final = HEADER.size + 4
_RECEIVE_BYTES: Final = 256 * 1024
_MAPPED: Final = b"\0" * 10 + b"\xff\xff"


@dataclass(frozen=True, slots=True)
class TcpConnection:
    """An established connection as one end has it. handle: the kernel's name for the socket."""

    address: str
    port: int
    peer: str
    peer_port: int
    family: int
    handle: bytes

    def __str__(self) -> str:
        ends = sorted([f"{self.address}:{self.port}", f"{self.peer}:{self.peer_port}"])
        return " ↔ ".join(ends)


def established() -> list[TcpConnection]:
    """Return the established TCP connections of this network namespace. O(sockets)."""
    found: list[TcpConnection] = []
    with Netlink(_NETLINK_SOCK_DIAG) as netlink:
        for family in (socket.AF_INET, socket.AF_INET6):
            body = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, _ESTABLISHED) + b"\0" * _SOCKET_BYTES
            netlink.socket.send(_message(_SOCK_DIAG_BY_FAMILY, _NLM_F_DUMP, body))
            found += _listed(netlink, family)
    return found


def destroy(connection: TcpConnection) -> bool:
    """Break a connection of this network namespace with an RST; False when it had just ended by itself."""
    body = _REQUEST.pack(connection.family, socket.IPPROTO_TCP, 0, _ESTABLISHED) + connection.handle
    try:
        with Netlink(_NETLINK_SOCK_DIAG) as netlink:
            netlink.request_raw(_message(_SOCK_DESTROY, NLM_F_ACK, body))
    except OSError as error:
        if error.errno == errno.ENOENT:
            return False
        raise
    return True


def _listed(netlink: Netlink, family: int) -> list[TcpConnection]:
    found: list[TcpConnection] = []
    while True:
        raw = netlink.socket.recv(_RECEIVE_BYTES)
        place = 0
        while place + HEADER.size <= len(raw):
            length, kind, _flags, _sequence, _port = HEADER.unpack_from(raw, place)
            if kind == _NLMSG_DONE:
                return found
            if kind == NLMSG_ERROR:
                code = -struct.unpack_from("=i", raw, place + HEADER.size)[0]
                raise OSError(code, "the kernel does not list connections")
            handle = raw[place + _ID_PLACE : place + _ID_PLACE + _SOCKET_BYTES]
            port, peer_port = struct.unpack_from(">HH", handle)
            found.append(
                TcpConnection(
                    _address(handle[4:20], family),
                    port,
                    _address(handle[20:36], family),
                    peer_port,
                    family,
                    handle,
                )
            )
            place += (length + 3) & ~3


def _address(raw: bytes, family: int) -> str:
    """Return an address as text; one of IPv4 on a socket of IPv6 as what it is."""
    if family == socket.AF_INET:
        return str(ipaddress.IPv4Address(raw[:4]))
    if raw.startswith(_MAPPED):
        return str(ipaddress.IPv4Address(raw[12:]))
    return str(ipaddress.IPv6Address(raw))


def _message(kind: int, flags: int, body: bytes) -> bytes:
    return HEADER.pack(HEADER.size + len(body), kind, NLM_F_REQUEST | flags, 1, 0) + body
