"""Records: the checked unit in which entries are written to disk and sent to peers.

    crc32 of what follows │ body length │ kind │ body
    4 bytes               │ 4 bytes     │ 1    │ length bytes

An entry is encoded once, by its leader; the same bytes go to the leader's disk, over the wire and to each
follower's disk, so that its checksum guards it all the way.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final
from zlib import crc32

from raftlog.core.types import Entry, EntryKind
from raftlog.errors import ProtocolError

HEAD: Final = struct.Struct(">IIB")
_TAIL_OF_HEAD: Final = struct.Struct(">IB")
_ENTRY: Final = struct.Struct(">QQB")
_ENTRY_RECORD: Final = struct.Struct(">IBQQB")
BODY_MAX: Final = 128 << 20
"""No record is longer: a length beyond it is damage, not data."""


class RecordKind(IntEnum):
    """What a record holds. 0 never occurs, so that zeros are no record."""

    HEADER = 1
    BATCH = 2
    ENTRY = 3
    STATE = 4


def encode(kind: RecordKind, body: bytes) -> bytes:
    """Return a record."""
    checked = _TAIL_OF_HEAD.pack(len(body), kind) + body
    return crc32(checked).to_bytes(4, "big") + checked


def encode_entry(entry: Entry) -> bytes:
    """Return an entry's record, from its cache when it has been encoded before."""
    if not entry.record:
        body_length = _ENTRY.size + len(entry.data)
        checked = (
            _ENTRY_RECORD.pack(body_length, RecordKind.ENTRY, entry.term, entry.index, entry.kind)
            + entry.data
        )
        entry.record = crc32(checked).to_bytes(4, "big") + checked
    return entry.record


def read(buffer: bytes, at: int) -> tuple[RecordKind, int, int] | None:
    """Return the kind, start of body and end of the record at `at`; None when there is no whole, sound one."""
    start = at + HEAD.size
    if start > len(buffer):
        return None
    crc, length, kind = HEAD.unpack_from(buffer, at)
    end = start + length
    if not 1 <= kind <= RecordKind.STATE or length > BODY_MAX or end > len(buffer):
        return None
    if crc32(memoryview(buffer)[at + 4 : end]) != crc:
        return None
    return RecordKind(kind), start, end


_KINDS: Final = tuple(EntryKind)


def decode_entry(buffer: bytes, at: int, body: int, end: int) -> Entry:
    """Return the entry whose sound record lies at [at, end) with its body at body. Raises ProtocolError."""
    if end - body < _ENTRY.size:
        raise ProtocolError("a log entry is too short")
    term, index, kind = _ENTRY.unpack_from(buffer, body)
    if kind >= len(_KINDS):
        raise ProtocolError(f"entry {index} has unknown kind {kind}")
    return Entry(term, index, buffer[body + _ENTRY.size : end], _KINDS[kind], buffer[at:end])


def decode_entries(buffer: bytes, at: int, count: int) -> tuple[list[Entry], int]:
    """Return count entries that lie one behind the other, and where they end. Raises ProtocolError."""
    entries: list[Entry] = []
    for _ in range(count):
        record = read(buffer, at)
        if record is None or record[0] != RecordKind.ENTRY:
            raise ProtocolError(f"the entry at byte {at} is damaged")
        _, body, end = record
        entries.append(decode_entry(buffer, at, body, end))
        at = end
    return entries, at
