"""Connections of Kafka clients: requests are taken as they come and answered in that order, as the protocol demands.

A request waits in its connection's queue until it can be answered, so that a producer may have many under
way. A client that breaks the protocol loses its connection and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from collections import deque
from collections.abc import Callable
from typing import Final, cast

from raftlog.config import split_address
from raftlog.errors import ProtocolError
from raftlog.kafka import produce_fetch, requests
from raftlog.kafka.broker import KafkaBroker
from raftlog.kafka.errors import code
from raftlog.node.ready_loop import UNKNOWN
from raftlog.store.commands import Outcome

log = logging.getLogger("raftlog")

_HEADER: Final = struct.Struct(">hhih")
_REQUESTS_MAX: Final = 1_000
_SWEEP_S: Final = 0.1
PRODUCE, FETCH, API_VERSIONS = 0, 1, 18


class PendingResponse:
    """One request that waits for its answer.

    deadline: monotonic seconds, None without one. late: answers it once the deadline has passed.
    """

    __slots__ = ("answer", "deadline", "late")

    def __init__(self) -> None:
        self.answer: bytes | None = None
        self.deadline: float | None = None
        self.late: Callable[[], None] | None = None


class PendingProduce(PendingResponse):
    """A Produce of one batch; the ready loop answers it directly."""

    __slots__ = ("asked", "connection", "head", "version")

    def __init__(
        self, connection: ClientConnection, head: bytes, version: int, asked: produce_fetch.PartitionData
    ) -> None:
        super().__init__()
        self.connection, self.head, self.version, self.asked = connection, head, version, asked

    def answered(self, outcome: Outcome) -> None:
        """Send the outcome; the first one counts."""
        if self.answer is None:
            error = code(outcome.error)
            offset = -1 if error else outcome.value
            body = produce_fetch.write_produce_of_one(self.version, self.asked, error, offset)
            self.connection.fill(self, self.head + body)

    def time_out(self) -> None:
        """Say that it took too long; it may be done yet."""
        self.answered(UNKNOWN)


class ClientConnection(asyncio.Protocol):
    """One client."""

    def __init__(self, server: KafkaServer) -> None:
        self._server, self._broker = server, server.broker
        self._buffer = bytearray()
        self._slots: deque[PendingResponse] = deque()
        self._transport: asyncio.Transport | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless there are too many."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class is none of asyncio's
        connections = self._server.connections
        if len(connections) >= self._broker.settings.connections_max:
            transport.close()
        connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._transport = None
        self._server.connections.discard(self)
        self._broker.forget(self)
        for task in self._tasks:
            task.cancel()

    def data_received(self, data: bytes) -> None:
        """Take whole requests out of the stream."""
        buffer = self._buffer
        buffer += data
        at = 0
        try:
            while len(buffer) - at >= 4:
                length = int.from_bytes(buffer[at : at + 4], "big", signed=True)
                if not _HEADER.size <= length <= self._broker.settings.request_bytes_max:
                    raise ProtocolError(f"a request has {length} bytes")
                if len(buffer) - at - 4 < length:
                    break
                self._take(bytes(memoryview(buffer)[at + 4 : at + 4 + length]))
                at += 4 + length
        except ProtocolError as error:
            log.info("closing a client's connection: protocol error: %s", error)
            self.close()
            return
        if at:
            del buffer[:at]

    def _take(self, request: bytes) -> None:
        key, version, correlation, client = _HEADER.unpack_from(request)
        api = requests.APIS.get(key)
        if api is None:
            raise ProtocolError(f"unknown API key {key}")
        if len(self._slots) >= _REQUESTS_MAX:
            raise ProtocolError(f"more than {_REQUESTS_MAX} requests are waiting on one connection")
        at = _HEADER.size + max(0, client)
        head = correlation.to_bytes(4, "big", signed=True)
        low, high = api.versions
        if key == API_VERSIONS and version > high:
            # As KIP-511 has it: say so in the oldest layout, which every client can read.
            versions = b"".join(struct.pack(">hhh", k, *a.versions) for k, a in sorted(requests.APIS.items()))
            body = struct.pack(">hi", code("UNSUPPORTED_VERSION"), len(requests.APIS)) + versions
            self.fill(self._slot(), head + body)
        elif not low <= version <= high or (key == PRODUCE and version < 3):
            raise ProtocolError(f"{api.name} version {version} is not supported")
        elif key == PRODUCE:
            self._produce(version, head, request, at)
        elif key == FETCH:
            slot = self._slot()
            fetch = produce_fetch.read_fetch(version, request, at)
            self._broker.fetch(
                self,
                fetch,
                lambda fetched: self.fill(slot, head + produce_fetch.write_fetch(version, fetched)),
            )
        else:
            flexible = key == API_VERSIONS and version >= 3
            task = asyncio.get_running_loop().create_task(
                self._cold(api, version, head, request, at + flexible, self._slot())
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _produce(self, version: int, head: bytes, request: bytes, at: int) -> None:
        single = produce_fetch.read_produce_of_one(request, at) if version < 8 else None
        if single is not None and single[0] != 0:
            acks, timeout_ms, asked = single
            slot = PendingProduce(self, head, version, asked)
            self._slots.append(slot)
            slot.deadline = time.monotonic() + self._bounded(timeout_ms)
            slot.late = slot.time_out
            self._broker.produce_one(acks, asked, slot.answered)
        else:
            self._produce_many(version, head, request, at)

    def _bounded(self, timeout_ms: int) -> float:
        return min(max(timeout_ms, 1), self._broker.settings.produce_timeout_ms_max) / 1000

    def _produce_many(self, version: int, head: bytes, request: bytes, at: int) -> None:
        produce = produce_fetch.read_produce(request, at)
        if produce.acks == 0:
            self._broker.produce(produce, lambda results, reasons: None)
            return
        slot = self._slot()
        slot.deadline = time.monotonic() + self._bounded(produce.timeout_ms)

        def done(
            results: list[tuple[produce_fetch.PartitionData, int, int]], reasons: dict[int, str]
        ) -> None:
            self.fill(slot, head + produce_fetch.write_produce(version, results, reasons))

        slot.late = self._broker.produce(produce, done)

    async def _cold(
        self, api: requests.Api, version: int, head: bytes, request: bytes, at: int, slot: PendingResponse
    ) -> None:
        try:
            body = await requests.answer(self._broker, api, version, request, at)
        except ProtocolError as error:
            log.info("closing a client's connection: protocol error: %s", error)
            self.close()
        else:
            self.fill(slot, head + body)

    def _slot(self) -> PendingResponse:
        slot = PendingResponse()
        self._slots.append(slot)
        return slot

    def fill(self, slot: PendingResponse, answer: bytes) -> None:
        """Answer a request, and write out all answers whose turn it is."""
        if slot.answer is not None:
            return
        slot.answer = len(answer).to_bytes(4, "big") + answer
        slot.late = None  # it holds the slot: without this, each request would be a cycle for the collector
        slots = self._slots
        if self._transport is None or slots[0] is not slot:
            return
        ready: list[bytes] = []
        while slots and (done := slots[0].answer) is not None:
            ready.append(done)
            slots.popleft()
        self._server.write(self._transport, ready)

    def sweep(self, now: float) -> None:
        """Answer what has waited too long."""
        while self._slots:
            slot = self._slots[0]
            if slot.deadline is None or slot.deadline > now or slot.late is None:
                return
            slot.late()

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


class KafkaServer:
    """Listens for clients."""

    def __init__(self, broker: KafkaBroker) -> None:
        self.broker = broker
        self.connections: set[ClientConnection] = set()
        self._server: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._out: dict[asyncio.Transport, list[bytes]] = {}

    def write(self, transport: asyncio.Transport, answers: list[bytes]) -> None:
        """Gather answers of one turn of the event loop; each client's go out in one write."""
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush)
        self._out.setdefault(transport, []).extend(answers)

    def _flush(self) -> None:
        out, self._out = self._out, {}
        for transport, answers in out.items():
            if not transport.is_closing():
                transport.write(b"".join(answers))

    async def start(self) -> None:
        """Listen."""
        host, port = split_address(self.broker.listen)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: ClientConnection(self), host, port)
        self._sweep()

    def _sweep(self) -> None:
        now = time.monotonic()
        for connection in list(self.connections):
            connection.sweep(now)
        self._timer = asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep)

    async def close(self) -> None:
        """Hang up on everyone."""
        if self._timer is not None:
            self._timer.cancel()
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.close()
