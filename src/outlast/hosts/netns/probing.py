"""Probes between hosts: sockets of ours in two hosts' namespaces, in a child of the wires process."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from outlast.hosts.netns import messages
from outlast.hosts.netns.children import run_in_child
from outlast.hosts.netns.request_server import answer
from outlast.hosts.netns.wired_host import WiredHost
from outlast.net import probe, sockets
from outlast.net.sockets import TcpConnection

_CONNECTIONS_SHOWN: Final = 1000  # a message has room for them


@dataclass(frozen=True, slots=True)
class Ends:
    """One direction between two hosts. port: of the destination, 0 for any free one."""

    source: WiredHost
    destination: WiredHost
    port: int


def measure(message: messages.Message, ends: Sequence[Ends]) -> messages.Message:
    """Carry out the probe that a message asks for, on all ways at once.

    Returns in ``found`` one document a way; one that could not be measured has an ``error``, a host that is
    off for example. Raises ValueError for nonsense.
    """
    stream = message["kind"] == "converse"
    found: list[messages.Message] = [{} for _ in ends]
    with ExitStack() as opened:
        pairs: dict[int, tuple[socket.socket, socket.socket]] = {}
        errors: dict[int, int] = {}
        for place, way in enumerate(ends):
            try:
                pairs[place] = _open(opened, way, stream=stream)
                errors[place] = _checksum_errors(way.destination)
            except OSError as error:
                pairs.pop(place, None)
                found[place] = messages.Failure.of(error).to_message()
        for place, document in _carry_out(message, pairs).items():
            try:
                corrupted = _checksum_errors(ends[place].destination) - errors[place]
                found[place] = {**document, "corrupted": corrupted}
            except OSError as error:
                found[place] = messages.Failure.of(error).to_message()
    return {"found": found}


def _open(opened: ExitStack, ends: Ends, *, stream: bool) -> tuple[socket.socket, socket.socket]:
    """Return a socket at the source and one at the destination."""
    kind = socket.SOCK_STREAM if stream else socket.SOCK_DGRAM
    with ends.destination.network():
        far = opened.enter_context(socket.socket(socket.AF_INET, kind))
        is_free = _bind(far, ends.destination.address, ends.port)
        if not is_free:
            far.bind((ends.destination.address, 0))
        if stream:
            far.listen(1)
    with ends.source.network():
        near = opened.enter_context(socket.socket(socket.AF_INET, kind))
        # A rule about a port is about either end's: where a server has it, the client's own will do.
        if not _bind(near, ends.source.address, 0 if is_free else ends.port):
            raise OSError(errno.EADDRINUSE, f"port {ends.port} is in use at both ends and cannot be probed")
    return near, far


def _checksum_errors(host: WiredHost) -> int:
    with host.network():
        return probe.checksum_errors()


def _bind(sock: socket.socket, address: str, port: int) -> bool:
    """Bind a socket; False when the port is in use."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((address, port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise
    return True


@dataclass(frozen=True, slots=True)
class ConnectionsWanted:
    """Established TCP connections between two groups of addresses, at these ports of either end.

    No ports are all ports. breaks: break them too.
    """

    sources: frozenset[str]
    destinations: frozenset[str]
    ports: frozenset[int]
    breaks: bool

    @classmethod
    def read(cls, message: messages.Message) -> ConnectionsWanted:
        """Read it from a message. Raises ValueError."""
        sources, destinations, ports = message["sources"], message["destinations"], message["ports"]
        if not isinstance(sources, list) or not isinstance(destinations, list) or not isinstance(ports, list):
            raise ValueError("net_connections wants sources, destinations and ports")
        return cls(frozenset(sources), frozenset(destinations), frozenset(ports), bool(message["breaks"]))

    @property
    def addresses(self) -> frozenset[str]:
        """Return all addresses in question."""
        return self.sources | self.destinations

    def match(self, connection: TcpConnection) -> bool:
        """Whether a connection, seen from either end, is wanted."""
        ends = ((connection.address, connection.peer), (connection.peer, connection.address))
        between = any(a in self.sources and b in self.destinations for a, b in ends)
        return between and (not self.ports or bool(self.ports & {connection.port, connection.peer_port}))


def connections(wanted: ConnectionsWanted, hosts: Sequence[WiredHost]) -> messages.Message:
    """Return the wanted connections of the hosts, each once; those found broken, when that is asked for."""
    found: dict[str, None] = {}
    for host in hosts:
        with host.network():
            for connection in sockets.established():
                if wanted.match(connection) and (not wanted.breaks or sockets.destroy(connection)):
                    found[str(connection)] = None
    return {"connections": list(found)[:_CONNECTIONS_SHOWN], "count": len(found)}


def _carry_out(
    message: messages.Message, pairs: Mapping[int, tuple[socket.socket, socket.socket]]
) -> dict[int, messages.Message]:
    def number(key: str) -> float:
        return float(str(message[key]))

    match message["kind"]:
        case "datagrams":
            plan = probe.Plan(
                int(number("count")),
                int(number("interval_ms") * 1e6),
                int(number("patience_ms") * 1e6),
                int(number("size_bytes")),
            )
            ways = {place: probe.Way(*pair) for place, pair in pairs.items()}
            if ways:
                probe.measure(list(ways.values()), plan)
            return {place: way.found(plan.count) for place, way in ways.items()}
        case "rate":
            size, duration_ns = int(number("size_bytes")), int(number("duration_ms") * 1e6)
            return {place: probe.measure_rate(*pair, duration_ns, size) for place, pair in pairs.items()}
        case "converse":
            patience_ns = int(number("patience_ms") * 1e6)
            return {place: probe.converse(*pair, patience_ns) for place, pair in pairs.items()}
        case other:
            raise ValueError(f"no such probe: {other!r}")


def in_child(work: Callable[[], messages.Message], caller: socket.socket, keep: tuple[int, ...] = ()) -> None:
    """Fork a process that does work, answers the caller and ends."""
    if os.fork():
        return

    def reply() -> None:
        try:
            said = work()
        except (OSError, ValueError, KeyError) as error:
            said = messages.Failure.of(error).to_message()
        answer(caller, said)

    run_in_child(reply, (caller.fileno(), *keep))
