"""Holds packets back, or damages them: the kernel queues them to us and waits for our verdict (NFQUEUE).

A queue lives in a host's namespace, hooked in before routing, where a packet no longer counts against its
sender's buffer. Of each packet only its number comes to us, so a verdict is a few bytes, and one verdict
releases all packets up to a number. Should we die, the kernel lets packets pass (bypass); should we be too
slow, likewise (fail open). Source: linux/netfilter/nfnetlink_queue.h, libnetfilter_queue.
"""

from __future__ import annotations

import array
import contextlib
import heapq
import random
import select
import socket
import struct
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from outlast.net.base import Conditions
from outlast.net.netlink import HEADER, NLM_F_REQUEST, Netlink, NetlinkMessage, attribute, number

_SUBSYSTEM: Final = 3
_PACKET, _VERDICT, _CONFIG, _VERDICT_BATCH = 0, 1, 2, 3
_CFG_COMMAND, _CFG_PARAMS, _CFG_MAXLEN, _CFG_MASK, _CFG_FLAGS = 1, 2, 3, 4, 5
_BIND: Final = 1
_COPY_META, _COPY_PACKET = 1, 2
_FLAG_FAIL_OPEN, _FLAG_GSO = 1, 4
_ATTR_VERDICT_HEADER, _ATTR_PAYLOAD = 2, 10
_ACCEPT: Final = 1
_AF_UNSPEC: Final = 0
_SOL_NETLINK, _NETLINK_NO_ENOBUFS = 270, 5
_SO_RCVBUFFORCE: Final = 33

_PACKETS_MAX: Final = 1_000_000
_BUFFER_BYTES: Final = 64 * 1024 * 1024
_BURST: Final = 256  # packets taken before those that are due are let go
_STRAGGLERS_S: Final = 0.003
_LAST_ID: Final = 0x7FFFFFFF
_ID_PLACE: Final = (
    HEADER.size + 4 + 4
)  # after the netlink header, the family header and the first attribute's
_ATTRIBUTES_PLACE: Final = HEADER.size + 4
_packet_id = struct.Struct(">I").unpack_from


class Queue:
    """One queue of the network namespace in which it is made.

    whole: see packets in full, one as the wire has it. host: a pidfd of the host's init; with it we end, for
    our socket alone would keep the namespace alive.
    """

    def __init__(self, queue: int, *, whole: bool, host: int | None = None) -> None:
        self.number = queue
        self.host = host
        self.netlink = Netlink()
        self.socket = self.netlink.socket
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
            # Beyond the machine's own limit; refused to an ordinary user, for whom the limit has to do.
            self.socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        self.socket.setsockopt(_SOL_NETLINK, _NETLINK_NO_ENOBUFS, 1)
        copy = (0xFFFF, _COPY_PACKET) if whole else (0, _COPY_META)
        flags = _FLAG_FAIL_OPEN | (0 if whole else _FLAG_GSO)
        self._configure(attribute(_CFG_COMMAND, struct.pack(">BBH", _BIND, 0, _AF_UNSPEC)))
        self._configure(attribute(_CFG_PARAMS, struct.pack(">IB", *copy)))
        self._configure(number(_CFG_FLAGS, flags) + number(_CFG_MASK, _FLAG_FAIL_OPEN | _FLAG_GSO))
        self._configure(number(_CFG_MAXLEN, _PACKETS_MAX))
        self.socket.setblocking(False)

    def _configure(self, body: bytes) -> None:
        self.netlink.request(NetlinkMessage(_SUBSYSTEM, _CONFIG, _AF_UNSPEC, body, resource=self.number))

    def waiting(self) -> Iterator[bytes]:
        """Yield what the kernel has for us now, up to a burst."""
        receive = self.socket.recv
        for _ in range(_BURST):
            try:
                yield receive(65536 + 512)
            except BlockingIOError:
                return

    def release_up_to(self, packet: int) -> None:
        """Let every packet up to a number pass."""
        self.socket.send(self._answer(_VERDICT_BATCH, packet))

    def release(self, packets: list[int]) -> None:
        """Let some packets pass, in that order."""
        for start in range(0, len(packets), _BURST):
            self.socket.send(
                b"".join(self._answer(_VERDICT, packet) for packet in packets[start : start + _BURST])
            )

    def replace(self, packet: int, payload: bytes) -> None:
        """Let a packet pass with other content."""
        self.socket.send(self._answer(_VERDICT, packet, attribute(_ATTR_PAYLOAD, payload)))

    def _answer(self, kind: int, packet: int, more: bytes = b"") -> bytes:
        body = attribute(_ATTR_VERDICT_HEADER, struct.pack(">II", _ACCEPT, packet)) + more
        return NetlinkMessage(_SUBSYSTEM, kind, _AF_UNSPEC, body, resource=self.number).encode(
            0, NLM_F_REQUEST
        )


class Wander:
    """A delay that wanders between points drawn uniformly from delay ± jitter, in straight lines.

    From one point to the next it takes twice the jitter, so it never falls faster than time goes by: packets
    keep their order, and yet the delay is spread evenly around its middle.
    """

    def __init__(self, delay_ns: int, jitter_ns: int, rng: random.Random) -> None:
        self._delay = delay_ns
        self._jitter = jitter_ns
        self._rng = rng
        self._from = self._to = delay_ns
        self._from_at = 0
        self._to_at = 0

    def delay_ns(self, now_ns: int) -> int:
        """Return the delay now; times must not go back."""
        if not self._jitter:
            return self._delay
        while now_ns >= self._to_at:
            # After a pause the line goes on from now: packets before it have long gone.
            self._from, self._from_at = self._to, max(self._to_at, now_ns - 2 * self._jitter)
            self._to = self._delay + self._rng.randint(-self._jitter, self._jitter)
            self._to_at = self._from_at + 2 * self._jitter
            if self._to_at <= now_ns:
                self._to_at = now_ns + 1
        share = (now_ns - self._from_at) / (self._to_at - self._from_at)
        return max(0, int(self._from + (self._to - self._from) * share))


class Handler(ABC):
    """What becomes of the packets of one queue."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue

    @property
    @abstractmethod
    def due_ns(self) -> int | None:
        """When the next packet is to be let go, on the monotonic clock; None when none is held."""

    @abstractmethod
    def take(self) -> None:
        """Take the packets that wait."""

    @abstractmethod
    def release(self, now_ns: int) -> None:
        """Let go what is due."""


class HoldInOrder(Handler):
    """Delays packets; due times never go back, so one verdict serves all that are due."""

    def __init__(self, queue: Queue, conditions: Conditions, rng: random.Random) -> None:
        super().__init__(queue)
        self._held: deque[tuple[int, int]] = deque()  # due ns, packet
        self._wander = Wander(int(conditions.delay_ms * 1e6), int(conditions.jitter_ms * 1e6), rng)

    @property
    def due_ns(self) -> int | None:
        """When the oldest is due."""
        return self._held[0][0] if self._held else None

    def take(self) -> None:
        """Give each its due time."""
        clock, delay, hold = time.monotonic_ns, self._wander.delay_ns, self._held.append
        for raw in self.queue.waiting():
            now = clock()
            hold((now + delay(now), _packet_id(raw, _ID_PLACE)[0]))

    def release(self, now_ns: int) -> None:
        """Let go all up to the newest that is due."""
        newest = None
        while self._held and self._held[0][0] <= now_ns:
            newest = self._held.popleft()[1]
        if newest is not None:
            self.queue.release_up_to(newest)


class HoldInAnyOrder(Handler):
    """Delays packets, each by a time of its own."""

    def __init__(self, queue: Queue, conditions: Conditions, rng: random.Random) -> None:
        super().__init__(queue)
        self._held: list[tuple[int, int]] = []
        self._delay, self._jitter = int(conditions.delay_ms * 1e6), int(conditions.jitter_ms * 1e6)
        self._rng = rng

    @property
    def due_ns(self) -> int | None:
        """When the first is due."""
        return self._held[0][0] if self._held else None

    def take(self) -> None:
        """Draw each its due time."""
        for raw in self.queue.waiting():
            delay = max(0, self._delay + self._rng.randint(-self._jitter, self._jitter))
            heapq.heappush(self._held, (time.monotonic_ns() + delay, _packet_id(raw, _ID_PLACE)[0]))

    def release(self, now_ns: int) -> None:
        """Let go those that are due, in the order of their times."""
        ready = []
        while self._held and self._held[0][0] <= now_ns:
            ready.append(heapq.heappop(self._held)[1])
        self.queue.release(ready)


class Damage(Handler):
    """Flips one bit of each packet; its checksums stay as they were."""

    due_ns = None

    def __init__(self, queue: Queue, rng: random.Random) -> None:
        super().__init__(queue)
        self._rng = rng

    def take(self) -> None:
        """Damage each and let it go."""
        for raw in self.queue.waiting():
            self.queue.replace(_packet_id(raw, _ID_PLACE)[0], flip_a_bit(_payload(raw), self._rng))

    def release(self, now_ns: int) -> None:
        """None is held."""


def holding(queue: Queue, conditions: Conditions, rng: random.Random) -> Handler:
    """Return what delays a queue's packets as conditions say."""
    return (HoldInAnyOrder if conditions.reorder else HoldInOrder)(queue, conditions, rng)


def serve(handlers: Mapping[int, Handler], control: socket.socket) -> None:
    """Handle queues until each of them is over.

    control: brings numbers of handlers whose queues are over, 32 bits each; their packets are let go, which
    an empty answer confirms. When its other end is closed, all are over. With a host its queues end, for our
    socket alone would keep its namespace alive.
    """
    live = dict(handlers)
    while live:
        files = {handler.queue.socket: handler for handler in live.values()}
        hosts = {
            handler.queue.host: place for place, handler in live.items() if handler.queue.host is not None
        }
        watched: list[socket.socket | int] = [control, *files, *hosts]
        readable: list[socket.socket | int] = []
        while control not in readable and not any(file in hosts for file in readable):
            for file in readable:
                files[file].take()  # type: ignore[index]
            now = time.monotonic_ns()
            due_ns = None
            for handler in live.values():
                handler.release(now)
                due = handler.due_ns
                if due is not None and (due_ns is None or due < due_ns):
                    due_ns = due
            # select(2) for its microseconds
            timeout_s = None if due_ns is None else max(0.0, (due_ns - time.monotonic_ns()) / 1e9)
            readable, _, _ = select.select(watched, [], [], timeout_s)
        gone = {place for place, handler in live.items() if handler.queue.host in readable}
        over: set[int] = set()
        if control in readable:
            raw = control.recv(65536)
            over = set(array.array("I", raw)) & set(live) if raw else set(live)
            release_all([live[place].queue for place in over - gone])
            with contextlib.suppress(OSError):
                control.send(b"done")
        for place in gone | over:
            live.pop(place).queue.netlink.close()


def release_all(queues: Sequence[Queue]) -> None:
    """Let everything pass, and what still comes for a moment after the rules have gone."""
    until = time.monotonic() + _STRAGGLERS_S
    while True:
        for queue in queues:
            for _ in queue.waiting():
                pass
            queue.release_up_to(_LAST_ID)
        left_s = until - time.monotonic()
        if left_s <= 0:
            return
        select.select([queue.socket for queue in queues], [], [], left_s)


def flip_a_bit(packet: bytes, rng: random.Random) -> bytes:
    """Return an IPv4 packet with one bit behind its header flipped.

    One without content comes back as it is.
    """
    start = (packet[0] & 0x0F) * 4
    if len(packet) <= start:
        return packet
    place = rng.randrange(start, len(packet))
    return packet[:place] + bytes([packet[place] ^ (1 << rng.randrange(8))]) + packet[place + 1 :]


def _payload(raw: bytes) -> bytes:
    """Return the packet in a message from the kernel."""
    place = _ATTRIBUTES_PLACE
    while place + 4 <= len(raw):
        length, kind = struct.unpack_from("=HH", raw, place)
        if kind & 0x3FFF == _ATTR_PAYLOAD:
            return raw[place + 4 : place + length]
        place += (length + 3) & ~3
    raise ValueError("the kernel sent a packet without its content")
