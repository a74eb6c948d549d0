"""What a log entry asks of the state machine, and what it answers. The first byte says which command it is."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple

NAME_MAX: Final = 249
"""Longest topic name, as in Kafka."""


class CommandCode(IntEnum):
    """The commands. 0 and the empty entry do nothing."""

    NOTHING = 0
    APPEND = 1
    CREATE_TOPIC = 2
    KV_SET = 3
    KV_CAS = 4


class Outcome(NamedTuple):
    """How a command ended. error: "" or one word of what went wrong. value: an offset, an id, or 1 for done."""

    error: str = ""
    value: int = 0


_APPEND: Final = struct.Struct(">BHi")
_TOPIC: Final = struct.Struct(">BHi")
_KV: Final = struct.Struct(">BHi")


def append(topic: bytes, partition: int, batch: bytes) -> bytes:
    """Append a record batch to a partition."""
    return _APPEND.pack(CommandCode.APPEND, len(topic), partition) + topic + batch


def read_append(data: bytes) -> tuple[bytes, int, memoryview]:
    """Return topic, partition and batch, the batch without copying it."""
    _, length, partition = _APPEND.unpack_from(data)
    at = _APPEND.size + length
    return data[_APPEND.size : at], partition, memoryview(data)[at:]


def create_topic(topic: bytes, partitions: int) -> bytes:
    """Make a topic; nothing happens when it is there."""
    return _TOPIC.pack(CommandCode.CREATE_TOPIC, len(topic), partitions) + topic


def read_create_topic(data: bytes) -> tuple[bytes, int]:
    """Return topic and number of partitions."""
    _, length, partitions = _TOPIC.unpack_from(data)
    return data[_TOPIC.size : _TOPIC.size + length], partitions


def kv_set(key: bytes, value: bytes) -> bytes:
    """Write a register."""
    return _KV.pack(CommandCode.KV_SET, len(key), len(value)) + key + value


def kv_cas(key: bytes, expected: bytes | None, value: bytes) -> bytes:
    """Write a register if it holds `expected` (None: if there is none)."""
    length = -1 if expected is None else len(expected)
    return _KV.pack(CommandCode.KV_CAS, len(key), length) + key + (expected or b"") + value


def read_kv(data: bytes) -> tuple[bytes, bytes | None, bytes]:
    """Return key, expected value (None for a plain write or an absent one) and new value."""
    code, key_length, length = _KV.unpack_from(data)
    at = _KV.size + key_length
    key = data[_KV.size : at]
    if code == CommandCode.KV_SET:
        return key, None, data[at:]
    if length < 0:
        return key, None, data[at:]
    return key, data[at : at + length], data[at + length :]
