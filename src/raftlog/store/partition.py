"""One partition's messages on disk: files that only ever grow, because only committed batches reach them.

That is what makes snapshots cheap: (file, length, checksum) names a state for good. Files are not synced
here, since the log can rebuild them; a snapshot syncs them before the log lets go of its entries.
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

from raftlog.errors import CorruptError
from raftlog.store import record_batch
from raftlog.wal.wal import storage_error

FILE_BYTES: Final = 32 << 20
"""A file takes no batch once it is this long. The same on every node, so that files are the same too."""
_INDEX_BYTES: Final = 8 << 10
_READ_BYTES: Final = 64 << 10
_BUFFER_BYTES: Final = 256 << 10
"""Taken batches are written once there are so many bytes of them, when one is read, and on every tick."""


class Piece(NamedTuple):
    """A file of a partition up to a length, as a snapshot names it. base: the first offset in it."""

    base: int
    length: int
    crc: int


@dataclass(slots=True)
class _File:
    base: int
    path: Path
    descriptor: int
    length: int = 0
    crc: int = 0
    dirty: bool = False
    offsets: array[int] = field(default_factory=lambda: array("Q"))
    places: array[int] = field(default_factory=lambda: array("Q"))
    indexed_to: int = -_INDEX_BYTES

    def index(self, offset: int, place: int) -> None:
        if place - self.indexed_to >= _INDEX_BYTES:
            self.offsets.append(offset)
            self.places.append(place)
            self.indexed_to = place


class Partition:
    """A partition's messages. folder: its own. start, end: the first offset kept and the next one to be given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.start = 0
        self.end = 0
        self._files: list[_File] = []
        self._buffer: list[bytes | memoryview] = []
        self._buffered = 0

    # --- writing ------------------------------------------------------------------------------------------

    def append(self, data: memoryview, last_delta: int, epoch: int) -> int:
        """Take a batch; return the offset of its first record. It reaches the file on flush()."""
        if not self._files or self._files[-1].length + self._buffered >= FILE_BYTES:
            self.flush()
            self._open(self.end, create=True)
        file, base = self._files[-1], self.end
        file.index(base, file.length + self._buffered)
        self._buffer += record_batch.place(data, base, epoch)
        self._buffered += len(data)
        self.end = base + last_delta + 1
        if self._buffered >= _BUFFER_BYTES:
            self.flush()
        return base

    def flush(self) -> None:
        """Hand what was taken to the operating system, in one write."""
        if not self._buffer:
            return
        data = b"".join(self._buffer)
        self._buffer, self._buffered = [], 0
        file = self._files[-1]
        try:
            at = 0
            while at < len(data):
                at += os.pwrite(file.descriptor, data[at:] if at else data, file.length + at)
        except OSError as error:
            raise storage_error("cannot write a partition", error) from error
        file.length += len(data)
        file.crc = crc32(data, file.crc)
        file.dirty = True

    def sync(self) -> None:
        """Make everything that was flushed durable. May run in another thread; appends go on meanwhile."""
        for file in list(self._files):
            if file.dirty:
                file.dirty = False
                os.fdatasync(file.descriptor)

    def pieces(self) -> list[Piece]:
        """Return what there is now, for a snapshot."""
        self.flush()
        return [Piece(file.base, file.length, file.crc) for file in self._files]

    # --- reading ------------------------------------------------------------------------------------------

    def read(self, offset: int, bytes_max: int) -> bytes:
        """Return batches from the one that holds offset on: whole ones within bytes_max, at least one.

        b"" at the end. offset must be in [start, end]. O(bytes read + 8 KiB).
        """
        if offset >= self.end:
            return b""
        self.flush()
        at = bisect_right(self._files, offset, key=lambda file: file.base) - 1
        file = self._files[at]
        place = file.places[bisect_right(file.offsets, offset) - 1]
        data = os.pread(file.descriptor, max(bytes_max, _READ_BYTES) + _INDEX_BYTES, place)
        first = 0
        while True:
            head = record_batch.parse(data, first)
            if head.base_offset + head.last_delta >= offset:
                break
            first += head.size
            if len(data) - first < record_batch.HEAD_BYTES:
                place, first = place + first, 0
                data = os.pread(file.descriptor, max(bytes_max, _READ_BYTES), place)
        if first + head.size > len(data):
            return os.pread(file.descriptor, head.size, place + first)
        return _whole(data, first, max(bytes_max, head.size))

    # --- recovery -----------------------------------------------------------------------------------------

    def restore(self, pieces: Sequence[Piece]) -> None:
        """Go back to the state that pieces name: verify it, cut what is behind it, remove other files.

        Raises CorruptError when a file does not match the snapshot. O(bytes).
        """
        self.close()
        self.folder.mkdir(parents=True, exist_ok=True)
        wanted = {piece.base: piece for piece in pieces}
        for path in self.folder.glob("*.log"):
            if int(path.stem) not in wanted:
                path.unlink()
        self.start = min(wanted, default=0)
        self.end = self.start
        for piece in pieces:
            self._restore_file(piece)

    def _restore_file(self, piece: Piece) -> None:
        file = self._open(piece.base, create=not piece.length)
        try:
            os.ftruncate(file.descriptor, piece.length)
        except OSError as error:
            raise storage_error("cannot restore a partition", error) from error
        left = b""
        while file.length < piece.length:
            chunk = os.pread(file.descriptor, 4 << 20, file.length)
            if not chunk:
                break
            file.crc = crc32(chunk, file.crc)
            left = self._index_chunk(file, left + chunk, file.length - len(left))
            file.length += len(chunk)
        if file.crc != piece.crc or left:
            raise CorruptError(
                f"{file.path.name} in {self.folder.name} does not match the snapshot",
                hint="replace the node: remove-node, empty its data folder, add-node",
            )

    def _index_chunk(self, file: _File, data: bytes, place: int) -> bytes:
        """Index the whole batches in data, which begins at place; return what is left of a cut one."""
        at = 0
        while len(data) - at >= record_batch.HEAD_BYTES:
            head = record_batch.parse(data, at)
            if len(data) - at < head.size:
                break
            file.index(head.base_offset, place + at)
            self.end = head.base_offset + head.last_delta + 1
            at += head.size
        return data[at:]

    def _open(self, base: int, *, create: bool) -> _File:
        path = self.folder / f"{base:020d}.log"
        flags = os.O_RDWR | (os.O_CREAT if create else 0)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = _File(base, path, os.open(path, flags, 0o640))
        except FileNotFoundError as error:
            raise CorruptError(f"{path.name} in {self.folder.name} is missing") from error
        except OSError as error:
            raise storage_error("cannot open a partition's file", error) from error
        self._files.append(file)
        return file

    def close(self) -> None:
        """Close its files."""
        for file in self._files:
            os.close(file.descriptor)
        self._files, self._buffer, self._buffered = [], [], 0


def _whole(data: bytes, first: int, bytes_max: int) -> bytes:
    """Return the whole batches from first on that fit bytes_max."""
    limit = min(len(data), first + bytes_max)
    at = first
    while limit - at >= record_batch.HEAD_BYTES:
        size = int.from_bytes(data[at + 8 : at + 12], "big") + 12
        if at + size > limit:
            break
        at += size
    return data[first:at]
