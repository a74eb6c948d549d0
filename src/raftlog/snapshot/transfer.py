"""Getting a snapshot from a leader: the follower pulls, in pieces, only what its own files lack.

The leader answers pulls and keeps nothing in mind for them. What was pulled waits beside the partitions'
files until its checksums agree with the snapshot; only then does the core hear of the snapshot at all.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from raftlog.config import split_address
from raftlog.core.types import Message, SnapshotPoint
from raftlog.errors import CorruptError, ProtocolError, RaftlogError
from raftlog.node.peers import InboundPeer, Peers
from raftlog.peer_protocol import FrameKind, FrameReader, frame
from raftlog.snapshot.files import Snapshot, SnapshotFolder, decode, pack, unpack
from raftlog.store.partition import Piece
from raftlog.store.state_machine import StateMachine

log = logging.getLogger("raftlog")

PIECE_BYTES: Final = 4 << 20
_TIMEOUT_S: Final = 30.0


class SnapshotServer:
    """Answers pull requests.

    codec: how what is sent is compressed. at_once_max: how many are answered at the same time; the rest wait.
    """

    def __init__(self, folder: SnapshotFolder, machine: StateMachine, codec: str, at_once_max: int) -> None:
        self._folder, self._machine, self._codec = folder, machine, codec
        self._slots = asyncio.Semaphore(at_once_max)
        self._tasks: set[asyncio.Task[None]] = set()

    def pull(self, inbound: InboundPeer, body: bytes) -> None:
        """Answer one pull; what makes no sense raises ProtocolError."""
        try:
            asked = json.loads(body)
            path = self._path(asked)
            offset, length = int(asked.get("offset", 0)), int(asked.get("length", 0))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ProtocolError(f"invalid pull request: {error}") from error
        if offset < 0 or not 0 <= length <= PIECE_BYTES:
            raise ProtocolError(f"invalid pull request: {length} bytes at {offset}")
        task = asyncio.get_running_loop().create_task(self._answer(inbound, path, offset, length))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _path(self, asked: dict[str, Any]) -> Path | None:
        if asked["what"] == "snapshot":
            return None
        partition = self._machine.partition(str(asked["topic"]).encode(), int(asked["partition"]))
        if partition is None:
            raise ValueError("no such partition")
        return partition.folder / f"{int(asked['base']):020d}.log"

    async def _answer(self, inbound: InboundPeer, path: Path | None, offset: int, length: int) -> None:
        async with self._slots:
            loop = asyncio.get_running_loop()
            try:
                body = await loop.run_in_executor(None, self._read, path, offset, length)
            except OSError as error:
                log.warning("cannot answer a pull request: %s", error)
                inbound.close()
                return
            inbound.send(FrameKind.PIECE, body)

    def _read(self, path: Path | None, offset: int, length: int) -> bytes:
        if path is None:
            paths = self._folder.paths()
            return paths[-1].read_bytes() if paths else b""
        with path.open("rb") as file:
            data = os.pread(file.fileno(), length, offset)
        return pack(data, self._codec)


@dataclass(frozen=True, slots=True)
class FileTail:
    """What a local file lacks. start: the local length from which data continues it."""

    topic: str
    partition: int
    piece: Piece
    start: int
    path: Path


class SnapshotFetcher:
    """Fetches a snapshot that a leader offers.

    folder: where pulled pieces wait until they are installed. codec: how they are compressed on the way. ready: given
    the leader's message once all that it names is here and verified.
    """

    def __init__(
        self,
        peers: Peers,
        machine: StateMachine,
        folder: Path,
        codec: str,
        ready: Callable[[Message], None],
    ) -> None:
        self.received = 0
        self.pending: tuple[Snapshot, list[FileTail]] | None = None
        self._peers, self._machine, self._folder, self._codec = peers, machine, folder, codec
        self._ready = ready
        self._task: asyncio.Task[None] | None = None

    def offered(self, point: SnapshotPoint, message: Message) -> None:
        """Begin to fetch, unless a fetch is under way."""
        if self.pending is None and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._fetch(point, message))

    async def _fetch(self, point: SnapshotPoint, message: Message) -> None:
        link = self._peers.links.get(message.sender)
        if link is None:
            return
        try:
            async with asyncio.timeout(_TIMEOUT_S * 10):
                snapshot, tails = await self._pull_all(link.address)
        except (OSError, TimeoutError, RaftlogError, ValueError, KeyError, TypeError) as error:
            log.warning("cannot fetch the snapshot at %d: %s", point.index, error or "time-out")
            link.send(FrameKind.FAILED, b"")
            link.flush()
            return
        self.pending = (snapshot, tails)
        self.received += 1
        message.snapshot = snapshot.point
        self._ready(message)

    async def _pull_all(self, address: str) -> tuple[Snapshot, list[FileTail]]:
        puller = await SnapshotConnection.connect(address, self._peers.hello)
        try:
            snapshot = decode(await puller.pull({"what": "snapshot"}), "the leader's snapshot")
            self._folder.mkdir(parents=True, exist_ok=True)
            for old in self._folder.iterdir():
                old.unlink()
            tails: list[FileTail] = []
            for topic, partitions in snapshot.state["topics"].items():
                for number, stored in enumerate(partitions):
                    for raw in stored["pieces"]:
                        tail = await self._pull_tail(puller, topic, number, Piece(*raw))
                        if tail is not None:
                            tails.append(tail)
            return snapshot, tails
        finally:
            puller.close()

    async def _pull_tail(
        self, puller: SnapshotConnection, topic: str, number: int, piece: Piece
    ) -> FileTail | None:
        partition = self._machine.partition(topic.encode(), number)
        local = {piece.base: piece for piece in partition.pieces()} if partition is not None else {}
        have = local.get(piece.base, Piece(piece.base, 0, 0))
        if have.length >= piece.length:
            return None  # committed here already; restore() verifies it
        path = self._folder / f"{len(list(self._folder.iterdir())):08d}.tail"
        crc, at = have.crc, have.length
        with path.open("wb") as file:
            while at < piece.length:
                asked = {"what": "piece", "topic": topic, "partition": number, "base": piece.base}
                length = min(PIECE_BYTES, piece.length - at)
                data = unpack(await puller.pull({**asked, "offset": at, "length": length}), self._codec)
                if len(data) != length:
                    raise CorruptError(f"received {len(data)} bytes, asked for {length}")
                crc = crc32(data, crc)
                file.write(data)
                at += length
        if crc != piece.crc:
            raise CorruptError(f"{topic}/{number}/{piece.base} does not match the snapshot")
        return FileTail(topic, number, piece, have.length, path)

    def install(self, topics: Path) -> Snapshot:
        """Put what was pulled behind what the local files hold; return the snapshot to be restored."""
        if self.pending is None:
            raise RaftlogError("cannot install a snapshot that was not fetched")
        snapshot, tails = self.pending
        for _, _, partition in self._machine.each():
            partition.flush()
        for tail in tails:
            folder = topics / tail.topic / str(tail.partition)
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / f"{tail.piece.base:020d}.log").open("ab") as file:
                os.ftruncate(file.fileno(), tail.start)  # what was applied meanwhile is in the tail too
                file.write(tail.path.read_bytes())
                file.flush()
                os.fsync(file.fileno())
            tail.path.unlink()
        return snapshot


class SnapshotConnection:
    """A connection on which pieces are asked for, one after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._frames = FrameReader()
        self._ready: list[tuple[FrameKind, bytes]] = []

    @classmethod
    async def connect(cls, address: str, hello: bytes) -> SnapshotConnection:
        """Dial a peer. Raises OSError, TimeoutError or ProtocolError."""
        host, port = split_address(address)
        async with asyncio.timeout(_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(host, port)
            puller = cls(reader, writer)
            writer.write(hello)
            kind, body = await puller.receive()
        if kind != FrameKind.HELLO:
            raise ProtocolError(body.decode(errors="replace"))
        return puller

    async def pull(self, asked: dict[str, Any]) -> bytes:
        """Ask for one piece. Raises OSError, TimeoutError or ProtocolError."""
        self._writer.write(frame(FrameKind.PULL, json.dumps(asked).encode()))
        async with asyncio.timeout(_TIMEOUT_S):
            kind, body = await self.receive()
        if kind != FrameKind.PIECE:
            raise ProtocolError(f"expected a PIECE frame, received {kind.name}")
        return body

    async def receive(self) -> tuple[FrameKind, bytes]:
        """Return the next frame. Raises OSError, TimeoutError or ProtocolError."""
        while not self._ready:
            data = await self._reader.read(1 << 18)
            if not data:
                raise ProtocolError("the peer closed the connection")
            self._ready += self._frames.feed(data)
        return self._ready.pop(0)

    def close(self) -> None:
        """Hang up."""
        self._writer.close()
