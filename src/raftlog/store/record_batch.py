"""Kafka's record batch (magic 2): the few header fields that a broker reads, and the two it sets.

A batch is kept byte for byte as the producer sent it, save its base offset and leader epoch, which its
checksum leaves out for this purpose. Source: kafka.apache.org/documentation, "Record RecordBatch".
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from aiokafka.record.util import calc_crc32c

from raftlog.errors import ProtocolError

HEAD: Final = struct.Struct(">qiibIhiqqqhii")
HEAD_BYTES: Final = HEAD.size
_LENGTH: Final = struct.Struct(">i")
_PLACE: Final = struct.Struct(">qii")
_CHECKED_FROM: Final = 21
_MAGIC: Final = 2
_APPENDING: Final = struct.Struct(">23xi16xq")


class RecordBatch(NamedTuple):
    """What is read of a batch's header. sequence: of its first record; producer: −1 when it is not idempotent."""

    base_offset: int
    length: int
    records: int
    last_delta: int
    max_timestamp: int
    producer: int
    epoch: int
    sequence: int

    @property
    def size(self) -> int:
        """Bytes of the whole batch."""
        return self.length + 12


def parse(data: bytes | memoryview, at: int = 0) -> RecordBatch:
    """Return the header of the batch at `at`. Raises ProtocolError when it is not one."""
    if len(data) - at < HEAD_BYTES:
        raise ProtocolError("a record batch is truncated")
    base, length, _, magic, _, _, last, _, newest, producer, epoch, sequence, count = HEAD.unpack_from(
        data, at
    )
    if magic != _MAGIC:
        raise ProtocolError(f"record batches of magic {magic} are not supported; only {_MAGIC}")
    if length < HEAD_BYTES - 12 or not 0 < count <= last + 1:
        raise ProtocolError("a record batch's header is inconsistent")
    return RecordBatch(base, length, count, last, newest, producer, epoch, sequence)


def check(data: bytes) -> RecordBatch:
    """Return the header of the one batch that data holds, its checksum verified. Raises ProtocolError."""
    batch = parse(data)
    if batch.size != len(data):
        raise ProtocolError(f"a record batch has {batch.size} bytes, its request {len(data)}")
    crc = int.from_bytes(data[17:21], "big")
    if calc_crc32c(data[_CHECKED_FROM:]) != crc:
        raise ProtocolError("a record batch has the wrong checksum")
    return batch


def place(data: memoryview, offset: int, epoch: int) -> tuple[bytes, memoryview]:
    """Return the batch with its base offset and leader epoch set, in two parts, the second not copied."""
    (length,) = _LENGTH.unpack_from(data, 8)
    return _PLACE.pack(offset, length, epoch & 0x7FFFFFFF), data[16:]


def last_delta_and_producer(data: memoryview) -> tuple[int, int]:
    """Return what appending a checked batch needs to know: its last offset delta, and its producer's id or −1."""
    last, producer = _APPENDING.unpack_from(data)
    return last, producer
