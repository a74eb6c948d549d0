"""Connections to peers: this node dials each of them and sends there; what they dial in with, it reads.

Frames to one peer are gathered and written once a turn. A peer that does not read is not waited for: over a
bound, frames are dropped and the core is told, which then probes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Callable
from typing import Any, Final, cast

from raftlog.config import split_address
from raftlog.core.types import Kind, Message, SnapshotPoint
from raftlog.errors import ProtocolError
from raftlog.peer_protocol import FrameKind, FrameReader, decode_message, encode_message, frame

log = logging.getLogger("raftlog")

UNSENT_BYTES_MAX: Final = 64 << 20
_RETRY_S: Final = (0.02, 0.5)
_CONNECT_TIMEOUT_S: Final = 1.0
_UNACKNOWLEDGED_MS: Final = 2_000
"""A connection whose data the peer's kernel has not acknowledged for so long is given up. Else TCP would wait, after a
partition, for its next retransmission, which comes as late again as the partition was long."""

_LOST_ON_DROP: Final = frozenset((Kind.APPEND, Kind.HEARTBEAT))


class PeerLink:
    """The connection on which this node sends to one peer; it is made again whenever it is lost.

    node, address: the peer's id and host:port. hello: the first frame, as sent. lost: told the peer's id each time the
    connection is lost.
    """

    def __init__(self, node: int, address: str, hello: bytes, lost: Callable[[int], None]) -> None:
        self.node, self.address = node, address
        self._hello, self._lost = hello, lost
        self._out: list[bytes] = []
        self._writer: asyncio.StreamWriter | None = None
        self._task = asyncio.get_running_loop().create_task(self._run())
        self.refused = ""
        """Why the peer refused the last connection, empty while it did not."""

    @property
    def connected(self) -> bool:
        """Whether frames can be sent now."""
        return self._writer is not None

    def send(self, kind: FrameKind, body: bytes) -> bool:
        """Queue a frame; return False when it is dropped."""
        writer = self._writer
        if writer is None:
            return False
        if writer.transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            return False
        self._out.append(frame(kind, body))
        return True

    def flush(self) -> None:
        """Write what was queued, at once."""
        if self._out and self._writer is not None:
            self._writer.write(b"".join(self._out))
        self._out.clear()

    async def _run(self) -> None:
        delay = _RETRY_S[0]
        while True:
            try:
                host, port = split_address(self.address)
                async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                    reader, writer = await asyncio.open_connection(host, port)
                own = writer.get_extra_info("socket")
                own.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MS)
                writer.write(self._hello)
                self._writer = writer
                if await self._until_closed(reader):
                    delay = _RETRY_S[0]
            except (OSError, TimeoutError, ValueError, ProtocolError):
                pass
            finally:
                self._drop()
            await asyncio.sleep(delay)
            delay = min(delay * 2, _RETRY_S[1])

    async def _until_closed(self, reader: asyncio.StreamReader) -> bool:
        """Read what the peer answers on our own connection: nothing, or why it refuses. Return whether it was good."""
        frames = FrameReader(1 << 16)
        good = False
        while data := await reader.read(1 << 16):
            for kind, body in frames.feed(data):
                if kind == FrameKind.HELLO:
                    self.refused, good = "", True
                elif kind == FrameKind.REFUSED:
                    reason = body.decode(errors="replace")
                    if reason != self.refused:
                        log.error("node %d refuses this node: %s", self.node, reason)
                    self.refused, good = reason, False
        return good

    def _drop(self) -> None:
        writer, self._writer = self._writer, None
        self._out.clear()
        if writer is not None:
            writer.close()
            self._lost(self.node)

    def close(self) -> None:
        """End the connection for good."""
        self._task.cancel()
        if self._writer is not None:
            self._writer.close()


class InboundPeer(asyncio.Protocol):
    """A connection that a peer made: its first frame must be a HELLO, and what follows is passed on."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._frames = FrameReader()
        self._transport: asyncio.Transport | None = None
        self.hello: dict[str, Any] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class is none of asyncio's
        self._peers.inbound.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._peers.inbound.discard(self)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Take frames; a peer that breaks the protocol is cut off, and nothing else happens."""
        try:
            messages: list[Message] = []
            for kind, body in self._frames.feed(data):
                if self.hello is None:
                    self._greet(kind, body)
                elif kind == FrameKind.MESSAGE:
                    messages.append(decode_message(body))
                else:
                    self._peers.other_frame(self, kind, body)
            if messages:
                self._peers.received(messages)
        except ProtocolError as error:
            log.warning("closing a peer's connection: protocol error: %s", error)
            self.close()

    def _greet(self, kind: FrameKind, body: bytes) -> None:
        try:
            hello = json.loads(body)
            reason = self._peers.greet(hello) if kind == FrameKind.HELLO else "the first frame is not a HELLO"
        except (ValueError, TypeError, KeyError) as error:
            raise ProtocolError("the first frame is not a HELLO") from error
        if reason:
            log.error("refused a peer: %s", reason)
            self.send(FrameKind.REFUSED, reason.encode())
            raise ProtocolError(reason)
        self.hello = hello
        self.send(FrameKind.HELLO, b"{}")

    def send(self, kind: FrameKind, body: bytes) -> None:
        """Answer on this connection."""
        if self._transport is not None:
            self._transport.write(frame(kind, body))

    def close(self) -> None:
        """Cut the connection, after what was answered."""
        if self._transport is not None:
            self._transport.close()


class Peers:
    """All peers. identity: this node's cluster, id, store and format, as its HELLO carries them."""

    def __init__(self, identity: dict[str, Any]) -> None:
        self.identity = identity
        self.hello = frame(FrameKind.HELLO, json.dumps(identity).encode())
        self.links: dict[int, PeerLink] = {}
        self.inbound: set[InboundPeer] = set()
        self._stores: dict[int, str] = {}
        self.receive: Callable[[list[Message]], None] = lambda messages: None
        self.unreachable: Callable[[int], None] = lambda node: None
        self.snapshot_offered: Callable[[SnapshotPoint, Message], None] = lambda point, message: None
        self.other_frame: Callable[[InboundPeer, FrameKind, bytes], None] = lambda inbound, kind, body: None
        self._server: asyncio.Server | None = None

    async def start(self, listen: str) -> None:
        """Listen for peers on host:port. Raises OSError."""
        host, port = split_address(listen)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: InboundPeer(self), host, port)

    def know(self, addresses: dict[int, str]) -> None:
        """Keep links to exactly these peers. addresses: host:port by id."""
        for node in list(self.links):
            if addresses.get(node) != self.links[node].address:
                self.links.pop(node).close()
        for node, address in addresses.items():
            if node not in self.links:
                self.links[node] = PeerLink(node, address, self.hello, lambda lost: self.unreachable(lost))

    def greet(self, hello: dict[str, Any]) -> str:
        """Return why a peer that says hello is refused, or ""."""
        own, node = self.identity, int(hello["node"])
        if hello["cluster"] != own["cluster"]:
            return f"node {node} belongs to cluster {hello['cluster']!r}, this node to {own['cluster']!r}"
        if hello["format"] != own["format"]:
            return f"node {node} speaks format {hello['format']}, this node {own['format']}"
        if node == own["node"] and hello["store"] != own["store"]:
            return f"another node uses the id {node}"
        alive = any(peer.hello is not None and peer.hello["node"] == node for peer in self.inbound)
        if alive and self._stores.get(node, hello["store"]) != hello["store"]:
            return f"two nodes have the id {node}"
        self._stores[node] = hello["store"]
        return ""

    def received(self, messages: list[Message]) -> None:
        """Pass messages on; a snapshot is first fetched."""
        plain: list[Message] = []
        for message in messages:
            if message.kind == Kind.SNAPSHOT and message.snapshot is not None:
                self.snapshot_offered(message.snapshot, message)
            elif message.to == self.identity["node"]:
                plain.append(message)
        self.receive(plain)

    def send(self, messages: list[Message]) -> None:
        """Send messages, one write a peer. What cannot be sent is lost, and the core told where it matters."""
        touched: set[PeerLink] = set()
        for message in messages:
            link = self.links.get(message.to)
            if link is not None and link.send(FrameKind.MESSAGE, encode_message(message)):
                touched.add(link)
            elif message.kind in _LOST_ON_DROP:
                self.unreachable(message.to)
        for link in touched:
            link.flush()

    async def close(self) -> None:
        """End all connections."""
        if self._server is not None:
            self._server.close()
        for link in self.links.values():
            link.close()
        for inbound in list(self.inbound):
            inbound.close()
