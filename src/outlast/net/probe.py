"""Measures what packets between two hosts meet, with sockets of our own in their namespaces.

Datagrams tell a direction apart, which an echo can't: both ends read the same monotonic clock, so the delay
of one direction is the difference. Runs in a process of its own; its caller gives the sockets.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_STAMP: Final = struct.Struct("=QQ")  # number of the datagram, monotonic ns at which it was sent
_COUNT_MAX: Final = 1_000_000
_DELAYS_MAX: Final = 5000
_QUIET_NS: Final = 5_000_000  # duplicates follow their original closely
_BUFFER_BYTES: Final = 4 * 1024 * 1024
_HEADERS_BYTES: Final = 8 + 20 + 14  # of UDP, IP and Ethernet, which bandwidth counts too


@dataclass(frozen=True, slots=True)
class Plan:
    """count datagrams of size_bytes, interval_ns apart; then patience_ns for the last of them."""

    count: int
    interval_ns: int
    patience_ns: int
    size_bytes: int


class Way:
    """One direction between two hosts, with what was seen on it so far."""

    def __init__(self, sender: socket.socket, receiver: socket.socket) -> None:
        self._sender = sender
        self.receiver = receiver
        self._target = receiver.getsockname()
        self._seen: dict[int, float] = {}
        self._duplicates = self._overtaken = 0
        self._newest = -1
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        receiver.setblocking(False)

    def send(self, number: int, filling: bytes) -> None:
        """Send a datagram that says when."""
        self._sender.sendto(_STAMP.pack(number, time.monotonic_ns()) + filling, self._target)

    def take(self) -> None:
        """Take note of all datagrams that wait."""
        while True:
            try:
                raw = self.receiver.recv(65536)
            except BlockingIOError:
                return
            if len(raw) < _STAMP.size:
                continue
            number, sent_ns = _STAMP.unpack_from(raw)
            if number in self._seen:
                self._duplicates += 1
                continue
            self._overtaken += number < self._newest
            self._newest = max(self._newest, number)
            self._seen[number] = (time.monotonic_ns() - sent_ns) / 1e6

    def has_all(self, count: int) -> bool:
        """Whether so many different datagrams have come."""
        return len(self._seen) == count

    def found(self, sent: int) -> dict[str, object]:
        """Return the fields of a Measurement that packets show."""
        return {
            "sent": sent,
            "received": len(self._seen),
            "duplicates": self._duplicates,
            "overtaken": self._overtaken,
            "delays_ms": [round(delay, 4) for delay in some(list(self._seen.values()))],
        }


def measure(ways: Sequence[Way], plan: Plan) -> None:
    """Send by plan on all ways at once, and wait for what arrives."""
    if not 0 < plan.count <= _COUNT_MAX:
        raise ValueError(f"count must be from 1 to {_COUNT_MAX}, got {plan.count}")
    filling = b"\0" * max(0, plan.size_bytes - _STAMP.size)
    poll = select.poll()
    for way in ways:
        poll.register(way.receiver, select.POLLIN)
    started = now = time.monotonic_ns()
    sent = 0
    until = last_ns = quiet_until = 0
    while True:
        while sent < plan.count and now >= started + sent * plan.interval_ns:
            for way in ways:
                way.send(sent, filling)
            sent += 1
            now = last_ns = time.monotonic_ns()
        if sent < plan.count:
            until = started + sent * plan.interval_ns
        else:
            until = min(last_ns + plan.patience_ns, quiet_until or 1 << 62)
        poll.poll(max(0, -(-(until - now) // 1_000_000)))
        now = time.monotonic_ns()
        for way in ways:
            way.take()
        if sent == plan.count and now >= until:
            return
        if not quiet_until and all(way.has_all(plan.count) for way in ways):
            quiet_until = now + _QUIET_NS


def some(delays: list[float]) -> list[float]:
    """Return delays, of too many for an answer some that are spread evenly."""
    step = -(-len(delays) // _DELAYS_MAX)
    return delays[::step] if step > 1 else delays


def measure_rate(
    sender: socket.socket, receiver: socket.socket, duration_ns: int, size_bytes: int
) -> dict[str, object]:
    """Send as much as goes for a while; the rate is taken over the second half, when all buffers are full."""
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    receiver.setblocking(False)
    sender.setblocking(False)
    target = receiver.getsockname()
    payload = b"\0" * size_bytes
    started = time.monotonic_ns()
    half, end = started + duration_ns // 2, started + duration_ns
    sent = received = counted = 0
    first = last = 0
    poll = select.poll()
    poll.register(receiver, select.POLLIN)
    while (now := time.monotonic_ns()) < end:
        try:
            sender.sendto(payload, target)
            sent += 1
        except BlockingIOError:
            poll.poll(1)
        while True:
            try:
                receiver.recv(65536)
            except BlockingIOError:
                break
            received += 1
            now = time.monotonic_ns()
            if now >= half:
                first = first or now
                counted += bool(last)
                last = now
    bits = counted * (size_bytes + _HEADERS_BYTES) * 8
    rate_kbit = bits * 1e6 / (last - first) if last > first else 0.0
    return {
        "sent": sent,
        "received": received,
        "duplicates": 0,
        "overtaken": 0,
        "delays_ms": [],
        "rate_kbit": rate_kbit,
    }


def converse(client: socket.socket, listener: socket.socket, patience_ns: int) -> dict[str, object]:
    """Connect, ask, be answered, be closed upon; each step within patience. None for what did not happen."""
    found: dict[str, object] = {"connect_ms": None, "answer_ms": None, "close_ms": None}
    patience_s = patience_ns / 1e9
    client.settimeout(patience_s)
    listener.settimeout(patience_s)
    started = time.monotonic_ns()
    try:
        client.connect(listener.getsockname())
        found["connect_ms"] = _since_ms(started)
        server, _address = listener.accept()
    except OSError:
        return found
    with server:
        server.settimeout(patience_s)
        started = time.monotonic_ns()
        try:
            client.sendall(b"question")
            if server.recv(64):
                server.sendall(b"answer")
                if client.recv(64):
                    found["answer_ms"] = _since_ms(started)
        except OSError:
            pass  # silence is a finding, and the close may still be seen
        started = time.monotonic_ns()
        server.close()
        try:
            while client.recv(64):
                pass
            found["close_ms"] = _since_ms(started)
        except OSError:
            pass
    return found


def _since_ms(started_ns: int) -> float:
    return round((time.monotonic_ns() - started_ns) / 1e6, 4)


def checksum_errors() -> int:
    """Return how many UDP datagrams this network namespace has dropped for a wrong checksum."""
    lines = [line.split() for line in Path("/proc/thread-self/net/snmp").read_text().splitlines()]
    names, values = [line for line in lines if line[0] == "Udp:"]
    return int(values[names.index("InCsumErrors")])
