"""Reading one segment back: what is sound, what is a torn tail, and what is damage that must not be papered over.

    HEADER  then batches:  BATCH number │ ENTRY … │ STATE term, vote, commit

A batch is what one sync made durable, and it counts whole or not at all: its STATE ends it. (Were its entries
kept without its commit index, a node could come back with two membership changes that it does not know to be
committed, and two majorities need not overlap then. The simulator found that.) A BATCH record is written only
after the batch before was synced, and nothing is acknowledged before its own sync. Hence:

    an unsound record and no later BATCH behind it    the last batch is torn, was never acknowledged, and is
    cut an unsound record and a later BATCH behind it     that part was synced once: damage, refused
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from raftlog.core.types import Entry, HardState
from raftlog.errors import CorruptError
from raftlog.records import HEAD, RecordKind, decode_entry, encode, read

FORMAT: Final = 1
_HEADER: Final = struct.Struct(">4sH16sQQQQQQQ")
_MAGIC: Final = b"RLOG"
_BATCH: Final = struct.Struct(">8sQ")
_BATCH_MAGIC: Final = b"\xb5batch\x0a\x7f"
_STATE: Final = struct.Struct(">QQQ")


@dataclass(frozen=True, slots=True)
class Header:
    """How a segment begins. sequence: its place among segments, from 1. hard: the hard state when it was begun."""

    store: UUID
    node: int
    sequence: int
    hard: HardState
    reset: tuple[int, int] = (0, 0)
    """Index and term of a received snapshot that stands for all earlier segments, (0, 0) for none."""

    def encode(self) -> bytes:
        """Return the header's record."""
        hard = self.hard
        fields = (self.node, self.sequence, hard.term, hard.vote, hard.commit, *self.reset)
        body = _HEADER.pack(_MAGIC, FORMAT, self.store.bytes, *fields)
        return encode(RecordKind.HEADER, body)

    @classmethod
    def decode(cls, body: bytes) -> Header:
        """Return the header in a record's body. Raises CorruptError for another format."""
        if len(body) != _HEADER.size or body[:4] != _MAGIC:
            raise CorruptError("not a raftlog segment")
        _, version, store, node, sequence, term, vote, commit, *reset = _HEADER.unpack(body)
        if version != FORMAT:
            raise CorruptError(f"written in format {version}; this version reads format {FORMAT}")
        return cls(UUID(bytes=store), node, sequence, HardState(term, vote, commit), (reset[0], reset[1]))


def encode_batch(number: int) -> bytes:
    """Return the record that begins batch `number`."""
    return encode(RecordKind.BATCH, _BATCH.pack(_BATCH_MAGIC, number))


def encode_state(hard: HardState) -> bytes:
    """Return a hard state's record."""
    return encode(RecordKind.STATE, _STATE.pack(hard.term, hard.vote, hard.commit))


@dataclass(slots=True)
class Segment:
    """What a scan found. entries with the offset of their record; end: where sound records end; torn: bytes
    cut off."""

    header: Header
    entries: list[tuple[int, Entry]] = field(default_factory=list)
    hard: HardState = field(default_factory=HardState)
    last_batch: int = 0
    end: int = 0
    torn: int = 0


def scan(data: bytes, name: str, *, last: bool) -> Segment | None:
    """Read a segment; return None when it is the last one and was torn before its header was synced.

    name: for messages. last: whether a torn tail is possible, that is, whether it is the newest segment.
    Raises CorruptError with the place of the damage. O(bytes).
    """
    first = read(data, 0)
    if first is None or first[0] != RecordKind.HEADER:
        if last and _later_batch(data, 0, 0) is None:
            return None
        raise CorruptError(f"{name}: its header is damaged", hint=_HINT)
    _, body, at = first
    segment = Segment(Header.decode(data[body:at]))
    segment.hard = segment.header.hard
    segment.end = at
    batch: list[tuple[int, Entry]] = []
    while (record := read(data, at)) is not None:
        kind, body, end = record
        if kind == RecordKind.ENTRY:
            batch.append((at, decode_entry(data, at, body, end)))
        elif kind == RecordKind.BATCH:
            segment.last_batch = _BATCH.unpack_from(data, body)[1]
        elif kind == RecordKind.STATE:
            segment.hard = HardState(*_STATE.unpack_from(data, body))
            segment.entries += batch
            segment.end, batch = end, []
        at = end
    if at == segment.end and not any(data[at:]):
        return segment
    later = _later_batch(data, at, segment.last_batch)
    if later is not None or not last:
        reason = f"but batch {later} after it is intact" if later else "but a later segment exists"
        raise CorruptError(f"{name}: damaged at byte {at}, {reason}", hint=_HINT)
    segment.torn = len(data) - segment.end
    return segment


_HINT = (
    "this node may have lost acknowledged messages; keep a copy of the folder and replace the node: "
    "remove-node, empty its data folder, add-node"
)


def _later_batch(data: bytes, at: int, after: int) -> int | None:
    """Return the number of a whole BATCH record behind `at` that is later than `after`, or None."""
    magic_at = data.find(_BATCH_MAGIC, at)
    while magic_at >= 0:
        start = magic_at - HEAD.size
        record = read(data, start) if start >= at else None
        if record is not None and record[0] == RecordKind.BATCH:
            number: int = _BATCH.unpack_from(data, record[1])[1]
            if number > after:
                return number
        magic_at = data.find(_BATCH_MAGIC, magic_at + 1)
    return None
