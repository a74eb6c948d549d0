"""Two clients that are as equal as can be: one speaks Kafka's Produce to raftlog, one gRPC's Put to etcd.

Both are one asyncio.Protocol on uvloop in one process, build their request's bytes beforehand, keep the same
number under way, and look only at what says whether a write was acknowledged.
"""

from __future__ import annotations

import asyncio
import struct
import time
from typing import Any

from aiokafka.record.default_records import DefaultRecordBatchBuilder

MESSAGE_BYTES = 256


class Load(asyncio.Protocol):
    """Keeps in_flight requests under way on one connection until the time is up. latencies: seconds, in
    order."""

    def __init__(self, in_flight: int) -> None:
        self.latencies: list[float] = []
        self.failed = 0
        self.done = asyncio.get_running_loop().create_future()
        self._in_flight = in_flight
        self._sent: dict[int, float] = {}
        self._next = 0
        self._end = 0.0
        self._transport: Any = None
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.greet()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError("the server hung up"))

    def begin(self, seconds: float) -> None:
        """Start the load."""
        self._end = time.perf_counter() + seconds
        self._transport.write(b"".join(self._request() for _ in range(self._in_flight)))

    def _request(self) -> bytes:
        number, self._next = self._next, self._next + 1
        self._sent[number] = time.perf_counter()
        return self.request(number)

    def answered(self, numbers: list[int]) -> None:
        """Note acknowledged requests and send as many again."""
        now = time.perf_counter()
        for number in numbers:
            self.latencies.append(now - self._sent.pop(number))
        if now < self._end:
            self._transport.write(b"".join(self._request() for _ in numbers))
        elif not self._sent and not self.done.done():
            self.done.set_result(None)
            self._transport.close()

    def greet(self) -> None:
        """Say what the protocol wants said first."""

    def request(self, number: int) -> bytes:
        """Return the bytes of a request."""
        raise NotImplementedError


class RaftlogLoad(Load):
    """Produce version 7, acks all, one record of 256 bytes a batch."""

    topic = b"bench"

    def __init__(self, in_flight: int) -> None:
        super().__init__(in_flight)
        builder = DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, 1 << 20)
        builder.append(0, int(time.time() * 1000), None, b"x" * MESSAGE_BYTES, [])
        batch = bytes(builder.build())
        topic = struct.pack(">h", len(self.topic)) + self.topic
        data = struct.pack(">iii", 1, 0, len(batch)) + batch
        body = struct.pack(">hhi", -1, -1, 30_000) + struct.pack(">i", 1) + topic + data
        self._tail = struct.pack(">h", 5) + b"bench" + body
        self._head = struct.pack(">ihh", 8 + len(self._tail), 0, 7)
        self._error_at = 8 + 4 + len(topic) + 4 + 4

    def request(self, number: int) -> bytes:
        return self._head + number.to_bytes(4, "big") + self._tail

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        at = 0
        numbers: list[int] = []
        while len(buffer) - at >= 4:
            length = int.from_bytes(buffer[at : at + 4], "big")
            if len(buffer) - at - 4 < length:
                break
            numbers.append(int.from_bytes(buffer[at + 4 : at + 8], "big"))
            if buffer[at + self._error_at : at + self._error_at + 2] != b"\0\0":
                self.failed += 1
            at += 4 + length
        del buffer[:at]
        if numbers:
            self.answered(numbers)


def _field(index: int, value: bytes) -> bytes:
    """A header of HPACK's static table by index, its value as a literal, never indexed (RFC 7541 §6.2.2)."""
    first = bytes((index,)) if index < 15 else bytes((15, index - 15))
    return first + bytes((len(value),)) + value


class EtcdLoad(Load):
    """etcd's KV.Put of 256 bytes over gRPC, that is, HTTP/2: one stream a request."""

    _HEADERS = (
        b"\x83\x86"  # :method POST, :scheme http
        + _field(4, b"/etcdserverpb.KV/Put")
        + _field(1, b"localhost")
        + _field(31, b"application/grpc")
        + b"\x00\x02te\x08trailers"
    )

    def greet(self) -> None:
        window = struct.pack(">I", (1 << 31) - 1 - 65_535)
        settings = self._frame(4, 0, 0, b"")
        self._transport.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + self._frame(8, 0, 0, window))

    @staticmethod
    def _frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
        return len(body).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + body

    def request(self, number: int) -> bytes:
        key = b"bench%05d" % (number % 1000)
        put = b"\x0a" + bytes((len(key),)) + key + b"\x12\x80\x02" + b"x" * MESSAGE_BYTES
        stream = 2 * number + 1
        data = b"\0" + len(put).to_bytes(4, "big") + put
        return self._frame(1, 4, stream, self._HEADERS) + self._frame(0, 1, stream, data)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        at = 0
        numbers: list[int] = []
        while len(buffer) - at >= 9:
            length = int.from_bytes(buffer[at : at + 3], "big")
            if len(buffer) - at - 9 < length:
                break
            kind, flags, stream = struct.unpack_from(">BBI", buffer, at + 3)
            if kind == 0 and length > 5:  # a message: an error would come in trailers alone
                numbers.append((stream - 1) // 2)
            elif kind == 4 and not flags & 1:
                self._transport.write(self._frame(4, 1, 0, b""))
            elif kind == 6 and not flags & 1:
                self._transport.write(self._frame(6, 1, 0, bytes(buffer[at + 9 : at + 17])))
            elif kind == 7:
                self.failed += 1
            at += 9 + length
        del buffer[:at]
        if numbers:
            self.answered(numbers)


async def run_load(
    kind: type[Load], address: str, connections: int, in_flight: int, seconds: float
) -> tuple[float, list[float]]:
    """Load a server; return messages a second and all latencies in seconds, sorted. Raises when one was
    refused."""
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    loads = [
        (await loop.create_connection(lambda: kind(in_flight), host, int(port)))[1]
        for _ in range(connections)
    ]
    start = time.perf_counter()
    for load in loads:
        load.begin(seconds)
    async with asyncio.timeout(seconds + 30):
        await asyncio.gather(*(load.done for load in loads))
    elapsed = time.perf_counter() - start
    latencies = sorted(latency for load in loads for latency in load.latencies)
    failed = sum(load.failed for load in loads)
    if failed:
        raise RuntimeError(f"{failed} of {len(latencies)} requests were refused")
    return len(latencies) / elapsed, latencies
