"""How peers talk: frames over TCP, and the core's messages inside them.

frame     length │ frame kind │ body        length counts what follows it, at most FRAME_MAX
HELLO     cluster, node, store id, addresses: the first frame of a connection, both ways
MESSAGE   one message of the core
PULL      a piece of a file of a snapshot is asked for        PIECE    that piece
REFUSED   why this connection is about to be closed           FAILED   a snapshot could not be installed
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict
from enum import IntEnum
from typing import Final

from raftlog.core.types import Kind, Membership, Message, SnapshotPoint
from raftlog.errors import ProtocolError
from raftlog.records import decode_entries, encode_entry

FRAME_MAX: Final = 64 << 20
LENGTH: Final = struct.Struct(">I")
_MESSAGE: Final = struct.Struct(">BQQQQQQQBHII")
_KINDS: Final = {int(kind): kind for kind in Kind}


class FrameKind(IntEnum):
    """What a frame holds."""

    HELLO = 1
    MESSAGE = 2
    PULL = 3
    PIECE = 4
    REFUSED = 5
    FAILED = 6


def frame(kind: FrameKind, body: bytes) -> bytes:
    """Return a frame. Raises ProtocolError when it would be too long for the other side."""
    if len(body) + 1 > FRAME_MAX:
        raise ProtocolError(f"a frame of {len(body)} bytes exceeds the limit of {FRAME_MAX}")
    return LENGTH.pack(len(body) + 1) + bytes((kind,)) + body


class FrameReader:
    """Cuts a byte stream into frames. A length over the limit is refused before a byte of it is stored."""

    def __init__(self, frame_max: int = FRAME_MAX) -> None:
        self._buffer = bytearray()
        self._frame_max = frame_max

    def feed(self, data: bytes) -> list[tuple[FrameKind, bytes]]:
        """Take bytes; return the frames that are now whole. Raises ProtocolError."""
        buffer = self._buffer
        buffer += data
        frames: list[tuple[FrameKind, bytes]] = []
        at = 0
        while len(buffer) - at >= 4:
            (length,) = LENGTH.unpack_from(buffer, at)
            if not 1 <= length <= self._frame_max:
                raise ProtocolError(f"a frame has {length} bytes; 1 to {self._frame_max} are allowed")
            if len(buffer) - at < 4 + length:
                break
            try:
                kind = FrameKind(buffer[at + 4])
            except ValueError as error:
                raise ProtocolError(f"unknown frame kind {buffer[at + 4]}") from error
            frames.append((kind, bytes(memoryview(buffer)[at + 5 : at + 4 + length])))
            at += 4 + length
        if at:
            del buffer[:at]
        return frames


def encode_message(message: Message) -> bytes:
    """Return a message as the body of a MESSAGE frame."""
    m = message
    snapshot = encode_point(m.snapshot) if m.snapshot is not None else b""
    head = _MESSAGE.pack(
        m.kind,
        m.to,
        m.sender,
        m.term,
        m.log_term,
        m.index,
        m.commit,
        m.hint,
        m.reject,
        len(m.context),
        len(m.entries),
        len(snapshot),
    )
    if not m.entries:
        return head + m.context + snapshot
    return b"".join((head, m.context, snapshot, *map(encode_entry, m.entries)))


def decode_message(body: bytes) -> Message:
    """Return the message in a frame's body. Raises ProtocolError when it makes no sense."""
    if len(body) < _MESSAGE.size:
        raise ProtocolError("a message is truncated")
    number, to, sender, term, log_term, index, commit, hint, reject, context, count, snapshot = (
        _MESSAGE.unpack_from(body)
    )
    kind = _KINDS.get(number)
    if kind is None:
        raise ProtocolError(f"unknown message kind {number}")
    at = _MESSAGE.size + context
    mark = body[_MESSAGE.size : at]
    point = decode_point(body[at : at + snapshot]) if snapshot else None
    entries, end = decode_entries(body, at + snapshot, count) if count else ((), at + snapshot)
    if end != len(body):
        raise ProtocolError(f"a message of {len(body)} bytes ends at {end}")
    if kind == Kind.APPEND:
        for expected, entry in enumerate(entries, index + 1):
            if entry.index != expected:
                raise ProtocolError(f"entry {entry.index} has the place of entry {expected}")
    return Message(kind, to, sender, term, log_term, index, commit, entries, bool(reject), hint, mark, point)


def encode_point(point: SnapshotPoint) -> bytes:
    """Return a snapshot's point as JSON: small, rare, and readable in a dump."""
    return json.dumps(asdict(point), separators=(",", ":")).encode()


def decode_point(data: bytes) -> SnapshotPoint:
    """Return the point that encode_point wrote. Raises ProtocolError."""
    try:
        raw = json.loads(data)
        membership = membership_of(raw["membership"])
        return SnapshotPoint(int(raw["index"]), int(raw["term"]), membership)
    except (ValueError, KeyError, TypeError) as error:
        raise ProtocolError(f"invalid snapshot point: {error}") from error


def membership_of(raw: dict[str, object]) -> Membership:
    """Return a Membership from its JSON form. Raises KeyError, TypeError or ValueError."""

    def nodes(key: str) -> tuple[int, ...]:
        value = raw[key]
        if not isinstance(value, list) or not all(type(node) is int and node > 0 for node in value):
            raise ValueError(f"{key} is not a list of node ids")
        return tuple(value)

    return Membership(
        nodes("voters"), nodes("outgoing"), nodes("learners"), nodes("learners_next"), bool(raw["auto_leave"])
    )
