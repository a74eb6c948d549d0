"""Snapshots on disk. One is a small file: the state as JSON, in which messages are named, not copied.

    magic │ codec │ crc32 of the rest │ packed JSON: point, and StateMachine.state()

Messages stay in their partitions' files, which only grow (store/partition.py): a snapshot names each by
length and checksum. So taking one costs a sync and a few kilobytes, however many messages there are.
"""

from __future__ import annotations

import gzip
import json
import os
import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from zlib import crc32
from zlib import error as ZlibError

import zstandard

from raftlog.core.types import SnapshotPoint
from raftlog.errors import CorruptError
from raftlog.peer_protocol import membership_of
from raftlog.wal.wal import storage_error, sync_folder

_HEAD: Final = struct.Struct(">4sBI")
_MAGIC: Final = b"RSNP"
_CODECS: Final = {"none": 0, "gzip": 1, "zstd": 2}
UNPACKED_MAX: Final = 1 << 30
"""No packed piece may unpack to more: rubbish from a bucket must not fill the memory."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot. point: where it stands in the log. state: what StateMachine.state() returned there."""

    point: SnapshotPoint
    state: dict[str, Any]


def pack(data: bytes, codec: str) -> bytes:
    """Compress with gzip, zstd or none."""
    if codec == "gzip":
        return gzip.compress(data, compresslevel=1, mtime=0)
    if codec == "zstd":
        return zstandard.ZstdCompressor(level=1).compress(data)
    return data


def unpack(data: bytes, codec: str) -> bytes:
    """Undo pack. Raises CorruptError."""
    try:
        if codec == "gzip":
            return gzip.decompress(data)
        if codec == "zstd":
            return zstandard.ZstdDecompressor().decompress(data, max_output_size=UNPACKED_MAX)
    except (OSError, EOFError, ZlibError, zstandard.ZstdError) as error:
        raise CorruptError(f"{codec} data cannot be decompressed: {error}") from error
    return data


def encode(snapshot: Snapshot, codec: str) -> bytes:
    """Return a snapshot as the bytes of its file."""
    document = {"point": asdict(snapshot.point), "state": snapshot.state}
    packed = pack(json.dumps(document, separators=(",", ":")).encode(), codec)
    return _HEAD.pack(_MAGIC, _CODECS[codec], crc32(packed)) + packed


def decode(data: bytes, name: str) -> Snapshot:
    """Return the snapshot in a file's bytes, its checksum verified. Raises CorruptError."""
    if len(data) < _HEAD.size:
        raise CorruptError(f"{name} is truncated")
    magic, codec, crc = _HEAD.unpack_from(data)
    packed = data[_HEAD.size :]
    names = {number: name for name, number in _CODECS.items()}
    if magic != _MAGIC or codec not in names or crc32(packed) != crc:
        raise CorruptError(f"{name}: wrong checksum")
    try:
        document = json.loads(unpack(packed, names[codec]))
        raw = document["point"]
        point = SnapshotPoint(raw["index"], raw["term"], membership_of(raw["membership"]))
        return Snapshot(point, document["state"])
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptError(f"{name} is not valid: {error}") from error


class SnapshotFolder:
    """The snapshots of one node, newest last. keep: how many. codec: how new ones are packed."""

    def __init__(self, folder: Path, *, keep: int, codec: str) -> None:
        self.folder, self._keep, self._codec = folder, keep, codec
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("*.tmp"):
            path.unlink()

    def paths(self) -> list[Path]:
        """Return the snapshots' files, oldest first."""
        return sorted(self.folder.glob("*.snap"))

    def newest(self) -> Snapshot | None:
        """Return the newest snapshot, verified; None when there is none.

        Raises CorruptError when it is damaged: an older one would leave a gap to the log, which begins behind it.
        """
        paths = self.paths()
        if not paths:
            return None
        try:
            return decode(paths[-1].read_bytes(), paths[-1].name)
        except CorruptError as error:
            raise CorruptError(
                error.message, hint="replace the node: remove-node, empty its data folder, add-node"
            ) from error

    def save(self, snapshot: Snapshot) -> Path:
        """Write a snapshot for good and remove the oldest ones over the number kept. Raises StorageError."""
        path = self.folder / f"{snapshot.point.index:016d}-{snapshot.point.term:08d}.snap"
        temporary = path.with_suffix(".tmp")
        try:
            with temporary.open("wb") as file:
                file.write(encode(snapshot, self._codec))
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(path)
            sync_folder(self.folder)
            for old in self.paths()[: -self._keep]:
                old.unlink()
        except OSError as error:
            raise storage_error("cannot save a snapshot", error) from error
        return path
