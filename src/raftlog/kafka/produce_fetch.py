"""Produce and Fetch by hand: the two requests whose cost is every message's cost.

kio parses any request from its schema and is used for all others; a Produce of one batch costs it about fifty
times what it costs here. Layouts: kafka.apache.org/protocol; Produce 3 to 8, Fetch 4 to 11.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from raftlog.errors import ProtocolError

_I16: Final = struct.Struct(">h")
_I32: Final = struct.Struct(">i")
_I64: Final = struct.Struct(">q")
_TOPICS_MAX: Final = 10_000


class PartitionData(NamedTuple):
    """A batch for one partition."""

    topic: bytes
    partition: int
    records: bytes


class Produce(NamedTuple):
    """A Produce request."""

    transactional: bool
    acks: int
    timeout_ms: int
    data: list[PartitionData]


class RequestReader:
    """Reads a request's body. Raises ProtocolError beyond its end, and for lengths that make no sense."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at

    def number(self, form: struct.Struct) -> int:
        """Return the next number."""
        at = self.at
        self.at = at + form.size
        try:
            value: int = form.unpack_from(self.data, at)[0]
        except struct.error as error:
            raise ProtocolError("a request is truncated") from error
        return value

    def text(self) -> bytes:
        """Return the next string, "" for null."""
        return self.take(max(0, self.number(_I16)))

    def take(self, length: int) -> bytes:
        """Return the next length bytes."""
        at, end = self.at, self.at + length
        if length < 0 or end > len(self.data):
            raise ProtocolError("a request is truncated")
        self.at = end
        return self.data[at:end]

    def count(self) -> int:
        """Return the length of an array, 0 for null."""
        count = self.number(_I32)
        if count > _TOPICS_MAX:
            raise ProtocolError(f"an array has {count} elements; at most {_TOPICS_MAX} are allowed")
        return max(0, count)


_ONE_HEAD: Final = struct.Struct(">hhiih")
_ONE_PARTITION: Final = struct.Struct(">iii")
_ONE_ANSWER: Final = struct.Struct(">iihqqqi")
_ONE_ANSWER_OLD: Final = struct.Struct(">iihqqi")


def read_produce_of_one(data: bytes, at: int) -> tuple[int, int, PartitionData] | None:
    """Return acks, time-out in ms and batch of a Produce with a single batch, as most are; None for any other."""
    end = len(data)
    if end < at + _ONE_HEAD.size:
        return None
    transactional, acks, timeout_ms, topics, length = _ONE_HEAD.unpack_from(data, at)
    name = at + _ONE_HEAD.size
    at = name + length
    if transactional != -1 or topics != 1 or length < 0 or end < at + _ONE_PARTITION.size:
        return None
    count, partition, size = _ONE_PARTITION.unpack_from(data, at)
    start = at + _ONE_PARTITION.size
    if count != 1 or start + size != end:
        return None
    return acks, timeout_ms, PartitionData(data[name:at], partition, data[start:])


def write_produce_of_one(version: int, asked: PartitionData, error: int, offset: int) -> bytes:
    """Return the response to a Produce of one batch, versions 3 to 7."""
    topic = b"\0\0\0\1" + _I16.pack(len(asked.topic)) + asked.topic
    if version < 5:
        return topic + _ONE_ANSWER_OLD.pack(1, asked.partition, error, offset, -1, 0)
    return topic + _ONE_ANSWER.pack(1, asked.partition, error, offset, -1, -1 if error else 0, 0)


def read_produce(data: bytes, at: int) -> Produce:
    """Return the Produce request in data from at on."""
    reader = RequestReader(data, at)
    transactional = reader.number(_I16)
    if transactional >= 0:
        reader.take(transactional)
    acks = reader.number(_I16)
    timeout_ms = reader.number(_I32)
    batches: list[PartitionData] = []
    for _ in range(reader.count()):
        topic = reader.text()
        for _ in range(reader.count()):
            partition = reader.number(_I32)
            batches.append(PartitionData(topic, partition, reader.take(max(0, reader.number(_I32)))))
    return Produce(transactional >= 0, acks, timeout_ms, batches)


def write_produce(
    version: int, results: list[tuple[PartitionData, int, int]], messages: dict[int, str]
) -> bytes:
    """Return a Produce response. results: what was asked, error code, base offset, in the order asked.

    messages: why, for some of the results, by position; only version 8 can say so.
    """
    parts = [_I32.pack(len(results))]
    for position, (asked, error, offset) in enumerate(results):
        parts.append(
            _I16.pack(len(asked.topic))
            + asked.topic
            + struct.pack(">iihqq", 1, asked.partition, error, offset, -1)
        )
        if version >= 5:
            parts.append(_I64.pack(0 if not error else -1))
        if version >= 8:
            reason = messages.get(position)
            text = reason.encode() if reason else b""
            parts.append(_I32.pack(0) + (_I16.pack(len(text)) + text if reason else _I16.pack(-1)))
    parts.append(_I32.pack(0))
    return b"".join(parts)


class PartitionFetch(NamedTuple):
    """What is asked of one partition."""

    topic: bytes
    partition: int
    offset: int
    bytes_max: int


class Fetch(NamedTuple):
    """A Fetch request."""

    wait_ms: int
    bytes_min: int
    bytes_max: int
    wanted: list[PartitionFetch]


_FETCH_HEAD: Final = struct.Struct(">iiiib")


def read_fetch(version: int, data: bytes, at: int) -> Fetch:
    """Return the Fetch request in data from at on."""
    reader = RequestReader(data, at)
    try:
        _, wait_ms, bytes_min, bytes_max, _ = _FETCH_HEAD.unpack_from(data, at)
    except struct.error as error:
        raise ProtocolError("a request is truncated") from error
    reader.at += _FETCH_HEAD.size + (8 if version >= 7 else 0)
    wanted: list[PartitionFetch] = []
    for _ in range(reader.count()):
        topic = reader.text()
        for _ in range(reader.count()):
            partition = reader.number(_I32)
            if version >= 9:
                reader.number(_I32)
            offset = reader.number(_I64)
            if version >= 5:
                reader.number(_I64)
            wanted.append(PartitionFetch(topic, partition, offset, reader.number(_I32)))
    return Fetch(wait_ms, bytes_min, bytes_max, wanted)


class Fetched(NamedTuple):
    """What one partition answers. end: the next offset to be written; all below is committed."""

    asked: PartitionFetch
    error: int
    start: int
    end: int
    records: bytes


def write_fetch(version: int, fetched: list[Fetched]) -> bytes:
    """Return a Fetch response."""
    parts = [_I32.pack(0)]
    if version >= 7:
        parts.append(struct.pack(">hi", 0, 0))  # no error, no session
    parts.append(_I32.pack(len(fetched)))
    for asked, error, start, end, records in fetched:
        parts.append(
            _I16.pack(len(asked.topic))
            + asked.topic
            + struct.pack(">iihqq", 1, asked.partition, error, end, end)
        )
        if version >= 5:
            parts.append(_I64.pack(start))
        parts.append(_I32.pack(-1))  # no aborted transactions
        if version >= 11:
            parts.append(_I32.pack(-1))  # no other replica is preferred
        parts.append(_I32.pack(len(records)))
        parts.append(records)
    return b"".join(parts)
