"""The Kafka protocol, as far as a load needs it: five requests, each in one version that brokers have spoken since 0.11
and still do (KIP-896). https://kafka.apache.org/protocol.html

Pure: bytes in, values out. A record batch is read and written here too (magic 2, uncompressed).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

PRODUCE: Final = (0, 3)
FETCH: Final = (1, 4)
LIST_OFFSETS: Final = (2, 1)
METADATA: Final = (3, 1)
CREATE_TOPICS: Final = (19, 2)

EARLIEST: Final = -2
LATEST: Final = -1
CLIENT_ID: Final = "outlast"

UNKNOWN_TOPIC: Final = 3
LEADER_NOT_AVAILABLE: Final = 5
TOPIC_EXISTS: Final = 36

ERRORS: Final = {
    1: "OFFSET_OUT_OF_RANGE",
    2: "CORRUPT_MESSAGE",
    3: "UNKNOWN_TOPIC_OR_PARTITION",
    5: "LEADER_NOT_AVAILABLE",
    6: "NOT_LEADER_OR_FOLLOWER",
    7: "REQUEST_TIMED_OUT",
    10: "MESSAGE_TOO_LARGE",
    17: "INVALID_TOPIC_EXCEPTION",
    19: "NOT_ENOUGH_REPLICAS",
    20: "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
    29: "TOPIC_AUTHORIZATION_FAILED",
    36: "TOPIC_ALREADY_EXISTS",
    38: "INVALID_REPLICATION_FACTOR",
    41: "NOT_CONTROLLER",
    44: "POLICY_VIOLATION",
    87: "INVALID_RECORD",
    89: "THROTTLING_QUOTA_EXCEEDED",
}

_BATCH: Final = struct.Struct(">qiibIhiqqqhii")
_CRC_FROM: Final = 21
_CODEC_MASK: Final = 0x07
_CONTROL: Final = 0x20


def error_name(code: int) -> str:
    """Return an error code's name."""
    return ERRORS.get(code, f"error {code}")


@dataclass(frozen=True, slots=True)
class Metadata:
    """Who serves a topic. brokers: (host, port) by id. leaders: by partition, −1 for none. error: the topic's."""

    brokers: dict[int, tuple[str, int]]
    controller: int
    leaders: dict[int, int]
    error: int


class Reader:
    """Reads big-endian values off a response, in order. Raises ValueError when it ends too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def _take(self, form: str) -> int:
        size = struct.calcsize(form)
        if self._at + size > len(self._data):
            raise ValueError("a response ends in the middle")
        (value,) = struct.unpack_from(form, self._data, self._at)
        self._at += size
        return int(value)

    def i8(self) -> int:
        """One byte."""
        return self._take(">b")

    def i16(self) -> int:
        """Two bytes."""
        return self._take(">h")

    def i32(self) -> int:
        """Four bytes."""
        return self._take(">i")

    def i64(self) -> int:
        """Eight bytes."""
        return self._take(">q")

    def text(self) -> str:
        """A string; a null one is empty."""
        return self._bytes(self.i16()).decode(errors="replace")

    def blob(self) -> bytes:
        """Bytes; null ones are empty."""
        return self._bytes(self.i32())

    def count(self) -> int:
        """The length of an array; a null one is empty."""
        return max(0, self.i32())

    def _bytes(self, length: int) -> bytes:
        length = max(0, length)
        if self._at + length > len(self._data):
            raise ValueError("a response ends in the middle")
        found = self._data[self._at : self._at + length]
        self._at += length
        return found


def text(value: str) -> bytes:
    """Encode a string."""
    data = value.encode()
    return struct.pack(">h", len(data)) + data


def request(kind: tuple[int, int], correlation: int, body: bytes) -> bytes:
    """Return a request with its length in front."""
    head = struct.pack(">hhi", *kind, correlation) + text(CLIENT_ID)
    return struct.pack(">i", len(head) + len(body)) + head + body


def metadata_body(topic: str) -> bytes:
    """Ask who leads a topic's partitions."""
    return struct.pack(">i", 1) + text(topic)


def read_metadata(data: bytes) -> Metadata:
    """Read the answer to metadata_body."""
    reader = Reader(data)
    brokers = {}
    for _ in range(reader.count()):
        node, host, port = reader.i32(), reader.text(), reader.i32()
        reader.text()
        brokers[node] = (host, port)
    controller = reader.i32()
    error, leaders = UNKNOWN_TOPIC, {}
    for _ in range(reader.count()):
        error = reader.i16()
        reader.text()
        reader.i8()
        for _ in range(reader.count()):
            reader.i16()
            partition, leader = reader.i32(), reader.i32()
            for _ in range(reader.count()):
                reader.i32()
            for _ in range(reader.count()):
                reader.i32()
            leaders[partition] = leader
    return Metadata(brokers, controller, leaders, error)


def create_topic_body(topic: str, partitions: int, replicas: int, timeout_ms: int) -> bytes:
    """Ask for a topic whose acknowledged messages are on a majority of its replicas."""
    in_sync = replicas // 2 + 1
    configs = struct.pack(">i", 1) + text("min.insync.replicas") + text(str(in_sync))
    one = text(topic) + struct.pack(">ih", partitions, replicas) + struct.pack(">i", 0) + configs
    return struct.pack(">i", 1) + one + struct.pack(">ib", timeout_ms, 0)


def read_created(data: bytes) -> tuple[int, str]:
    """Return (error, its message) of the answer to create_topic_body."""
    reader = Reader(data)
    reader.i32()
    if not reader.count():
        return 0, ""
    reader.text()
    return reader.i16(), reader.text()


def produce_body(topic: str, partition: int, batch: bytes, timeout_ms: int) -> bytes:
    """Ask for one batch to be appended and stored by all in-sync replicas."""
    return (
        struct.pack(">hhii", -1, -1, timeout_ms, 1)
        + text(topic)
        + struct.pack(">iii", 1, partition, len(batch))
        + batch
    )


def read_produced(data: bytes) -> tuple[int, int]:
    """Return (error, base offset) of the answer to produce_body."""
    reader = Reader(data)
    reader.count()
    reader.text()
    reader.count()
    reader.i32()
    return reader.i16(), reader.i64()


def list_offsets_body(topic: str, partition: int, at: int) -> bytes:
    """Ask for the offset EARLIEST or LATEST."""
    return struct.pack(">ii", -1, 1) + text(topic) + struct.pack(">iiq", 1, partition, at)


def read_offset(data: bytes) -> tuple[int, int]:
    """Return (error, offset) of the answer to list_offsets_body."""
    reader = Reader(data)
    reader.count()
    reader.text()
    reader.count()
    reader.i32()
    error = reader.i16()
    reader.i64()
    return error, reader.i64()


def fetch_body(topic: str, partition: int, offset: int, bytes_max: int, wait_ms: int) -> bytes:
    """Ask for what stands at an offset and after it."""
    return (
        struct.pack(">iiiibi", -1, wait_ms, 1, bytes_max, 0, 1)
        + text(topic)
        + struct.pack(">iiqi", 1, partition, offset, bytes_max)
    )


def read_fetched(data: bytes) -> tuple[int, int, bytes]:
    """Return (error, high watermark, batches) of the answer to fetch_body."""
    reader = Reader(data)
    reader.i32()
    if not reader.count():
        return 0, -1, b""
    reader.text()
    reader.count()
    reader.i32()
    error, watermark = reader.i16(), reader.i64()
    reader.i64()
    for _ in range(reader.count()):
        reader.i64()
        reader.i64()
    return error, watermark, reader.blob()


def record_batch(value: bytes, at_ms: int) -> bytes:
    """Return a batch of one record without a key."""
    record = b"\0\0\0" + _varint(-1) + _varint(len(value)) + value + b"\0"
    record = _varint(len(record)) + record
    tail = struct.pack(">hiqqqhii", 0, 0, at_ms, at_ms, -1, -1, -1, 1) + record
    head = struct.pack(">qiibI", 0, 9 + len(tail), -1, 2, crc32c(tail))
    return head + tail


def records(batches: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, value) of every record of whole batches; a batch cut off at the end is passed over.

    Raises ValueError for a compressed batch and for one that is not of magic 2.
    """
    at = 0
    while at + _BATCH.size <= len(batches):
        base, length, _, magic, _, attributes, *_, count = _BATCH.unpack_from(batches, at)
        end = at + 12 + length
        if end > len(batches):
            return
        if magic != 2:
            raise ValueError(f"a record batch of magic {magic}")
        if attributes & _CODEC_MASK:
            raise ValueError("a compressed record batch, though none was sent compressed")
        if not attributes & _CONTROL:
            yield from _records_of(batches, at + _BATCH.size, base, count)
        at = end


def batches_end(batches: bytes, offset: int) -> int:
    """Return the offset after the last whole batch, offset when there is none: gaps and markers are passed so."""
    at = 0
    while at + _BATCH.size <= len(batches):
        base, length, _, _, _, _, last_delta, *_ = _BATCH.unpack_from(batches, at)
        at += 12 + length
        if at > len(batches):
            break
        offset = base + last_delta + 1
    return offset


def _records_of(data: bytes, at: int, base: int, count: int) -> Iterator[tuple[int, bytes]]:
    for _ in range(count):
        length, at = _read_varint(data, at)
        end = at + length
        _, at = _read_varint(data, at + 1)
        delta, at = _read_varint(data, at)
        key, at = _read_varint(data, at)
        size, at = _read_varint(data, at + max(0, key))
        yield base + delta, data[at : at + max(0, size)]
        at = end


def _varint(value: int) -> bytes:
    """Encode zig-zag, seven bits a byte."""
    left = value << 1 if value >= 0 else (~value << 1) | 1
    out = bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    out.append(left)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a zig-zag number and where the next begins."""
    shift = found = 0
    while True:
        byte = data[at]
        at += 1
        found |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (found >> 1) ^ -(found & 1), at
        shift += 7


def _crc_table() -> Sequence[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return tuple(table)


_CRC_TABLE: Final = _crc_table()


def crc32c(data: bytes) -> int:
    """Return CRC-32C (Castagnoli), as record batches carry it. About 60 ns a byte: messages of a load are short."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
