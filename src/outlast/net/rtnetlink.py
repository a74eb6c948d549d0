"""Links, addresses and queues of a network namespace, by rtnetlink.

The few requests that a lab needs: bridges, veth pairs, addresses, htb classes. A library for all of rtnetlink takes a
fifth of a second and 16 MiB to import, in each lab.
Sources: rtnetlink(7), linux/rtnetlink.h, linux/if_link.h, linux/pkt_sched.h.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from typing import Final

from outlast.net.netlink import (
    NETLINK_ROUTE,
    NLM_F_ACK,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REQUEST,
    Netlink,
    attribute,
    encode,
    nested,
    text,
)

ROOT: Final = 0xFFFFFFFF
"""The parent of a device's outermost queue."""

LOOPBACK: Final = 1
"""The index of lo in every namespace."""

_NEW_LINK, _DEL_LINK, _NEW_ADDRESS = 16, 17, 20
_NEW_QUEUE, _DEL_QUEUE, _NEW_CLASS, _DEL_CLASS = 36, 37, 40, 41
_LINK: Final = struct.Struct("=BxHiII")  # family, type, index, flags, which flags change
_ADDRESS: Final = struct.Struct("=BBBBI")  # family, length of the prefix, flags, scope, index
_TRAFFIC: Final = struct.Struct("=BxxxiIII")  # family, index, handle, parent, info
_UP: Final = 1
_LINK_ADDRESS, _LINK_NAME, _LINK_MASTER, _LINK_INFO, _LINK_PID, _LINK_SEGMENTS_MAX = 1, 3, 10, 18, 19, 40
_INFO_KIND, _INFO_DATA = 1, 2
_BRIDGE_FORWARD_DELAY: Final = 1
_VETH_PEER: Final = 1
_TC_KIND, _TC_OPTIONS = 1, 2
_HTB_CLASS, _HTB_ROOT = 1, 2
_HTB_VERSION, _HTB_RATE_TO_QUANTUM = 3, 10
_ETHERNET: Final = 1
_RATE: Final = struct.Struct("=BBHhHI")  # cell_log, link layer, overhead, cell_align, mpu, bytes a second
_TICK_NS: Final = 64  # what a packet scheduler counts time in: PSCHED_SHIFT in net/pkt_sched.h


class RtNetlink(Netlink):
    """Changes the network namespace that it was made in. Every request raises OSError with the kernel's reason."""

    def __init__(self) -> None:
        super().__init__(NETLINK_ROUTE)

    # links

    def add_bridge(self, name: str) -> None:
        """Make a bridge that forwards from its first moment on."""
        data = nested(_INFO_DATA, _word(_BRIDGE_FORWARD_DELAY, 0))
        self._new(_NEW_LINK, _LINK.pack(0, 0, 0, 0, 0), _name(name), _info("bridge", data))

    def add_pair(self, near: str, far: str, mac: str, pid: int) -> None:
        """Make a veth pair: near here, far with a hardware address in the network namespace of pid."""
        peer = _LINK.pack(0, 0, 0, 0, 0) + b"".join(
            (
                _name(far),
                attribute(_LINK_ADDRESS, bytes.fromhex(mac.replace(":", ""))),
                _word(_LINK_PID, pid),
            )
        )
        data = nested(_INFO_DATA, nested(_VETH_PEER, peer))
        self._new(_NEW_LINK, _LINK.pack(0, 0, 0, 0, 0), _name(near), _info("veth", data))

    def remove(self, index: int) -> None:
        """Remove a device."""
        self._ask(_DEL_LINK, _LINK.pack(0, 0, index, 0, 0))

    def switch(self, index: int, *, up: bool) -> None:
        """Switch a device on or off."""
        self._ask(_NEW_LINK, _LINK.pack(0, 0, index, _UP if up else 0, _UP))

    def plug(self, index: int, bridge: int) -> None:
        """Plug a device into a bridge, and switch it on."""
        self._ask(_NEW_LINK, _LINK.pack(0, 0, index, _UP, _UP), _word(_LINK_MASTER, bridge))

    def bundle_segments(self, index: int, most: int) -> None:
        """Set how many segments a device may send as one."""
        self._ask(_NEW_LINK, _LINK.pack(0, 0, index, 0, 0), _word(_LINK_SEGMENTS_MAX, most))

    def add_address(self, index: int, interface: ipaddress.IPv4Interface | ipaddress.IPv6Interface) -> None:
        """Give a device an address."""
        family = socket.AF_INET if interface.version == 4 else socket.AF_INET6
        body = _ADDRESS.pack(family, interface.network.prefixlen, 0, 0, index)
        packed = interface.ip.packed
        self._new(_NEW_ADDRESS, body, attribute(1, packed), attribute(2, packed))

    # queues

    def add_htb(self, index: int, handle: int) -> None:
        """Put a queue of classes on a device; what belongs to no class passes at once."""
        start = struct.pack("=IIIII", _HTB_VERSION, _HTB_RATE_TO_QUANTUM, 0, 0, 0)
        options = nested(_TC_OPTIONS, attribute(_HTB_ROOT, start))
        self._new(_NEW_QUEUE, _traffic(index, handle, ROOT), text(_TC_KIND, "htb"), options)

    def add_htb_class(
        self, index: int, handle: int, parent: int, *, rate: int, quantum: int, burst: int
    ) -> None:
        """Add a class. rate: bytes a second, and no more is ever lent to it. quantum, burst: bytes."""
        limit = _RATE.pack(0, _ETHERNET, 0, -1, 0, rate)
        buffer = burst * 1_000_000_000 // rate // _TICK_NS
        body = limit + limit + struct.pack("=IIIII", buffer, buffer, quantum, 0, 0)
        options = nested(_TC_OPTIONS, attribute(_HTB_CLASS, body))
        self._new(_NEW_CLASS, _traffic(index, handle, parent), text(_TC_KIND, "htb"), options)

    def remove_htb_class(self, index: int, handle: int, parent: int) -> None:
        """Remove a class and what is queued in it."""
        self._ask(_DEL_CLASS, _traffic(index, handle, parent))

    def add_pfifo(self, index: int, parent: int, packets: int) -> None:
        """Have a class hold so many packets back, first in, first out."""
        options = attribute(_TC_OPTIONS, struct.pack("=I", packets))
        self._new(_NEW_QUEUE, _traffic(index, 0, parent), text(_TC_KIND, "pfifo"), options)

    def add_netem(self, index: int, handle: int) -> None:
        """Put the kernel's own delay on a device, one that delays nothing."""
        options = attribute(_TC_OPTIONS, struct.pack("=IIIIII", 0, 1000, 0, 0, 0, 0))
        self._new(_NEW_QUEUE, _traffic(index, handle, ROOT), text(_TC_KIND, "netem"), options)

    def remove_queue(self, index: int, handle: int) -> None:
        """Remove a device's outermost queue with all that is in it."""
        self._ask(_DEL_QUEUE, _traffic(index, handle, ROOT))

    def _new(self, kind: int, *parts: bytes) -> None:
        self._ask(kind, *parts, flags=NLM_F_CREATE | NLM_F_EXCL)

    def _ask(self, kind: int, *parts: bytes, flags: int = 0) -> None:
        self.request_raw(encode(kind, NLM_F_REQUEST | NLM_F_ACK | flags, 1, b"".join(parts)))


def index_of(name: str) -> int | None:
    """Return the index of a device of this thread's network namespace; None when there is none of that name."""
    try:
        return socket.if_nametoindex(name)
    except OSError as error:
        if error.errno not in (None, errno.ENODEV):  # Python raises it without a number
            raise
        return None


def _word(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))


def _name(name: str) -> bytes:
    return text(_LINK_NAME, name)


def _info(kind: str, data: bytes) -> bytes:
    return nested(_LINK_INFO, text(_INFO_KIND, kind), data)


def _traffic(index: int, handle: int, parent: int) -> bytes:
    return _TRAFFIC.pack(0, index, handle, parent, 0)
