"""The write-ahead log: segments of checked records, one sync a batch, and recovery that keeps all that was acked.

    stage()   in the event loop: gives entries their place in the cache and the bytes to be written
    write()   in the writer thread: one write and one fdatasync for all that was staged
    compact() drops whole segments that a snapshot covers

The newest entries are kept in memory up to cache_bytes; older ones are read back from their segment.
"""

from __future__ import annotations

import contextlib
import errno
import os
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from raftlog.core.storage import limit_bytes
from raftlog.core.types import Entry, HardState, LogCompacted, Membership, SnapshotPoint
from raftlog.errors import CorruptError, StorageError
from raftlog.records import RecordKind, decode_entry, encode_entry, read
from raftlog.wal.scan import Header, Segment, encode_batch, encode_state, scan

SEGMENT_BYTES = 16 << 20
GROW_BYTES = 256 << 10
"""Segments grow by zeros in steps: a sync of bytes inside the file need not sync its size as well."""
CACHE_BYTES = 32 << 20
_READ_BYTES = 1 << 20


class Wal:
    """The stored log of one node; also the core's Storage. One thread may be in write() while others call the rest.

    folder: where segments lie. store, node: must match what the segments say. point: the newest snapshot,
    whose entries may be gone. sync: False only in tests that want to see messages lost.
    Raises CorruptError or StorageError.
    """

    def __init__(
        self,
        folder: Path,
        *,
        store: UUID,
        node: int,
        point: SnapshotPoint | None = None,
        sync: bool = True,
        segment_bytes: int = SEGMENT_BYTES,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.folder = folder
        self.point = point or SnapshotPoint()
        self.hard = HardState()
        self.torn_bytes = 0
        """Bytes of a torn tail that recovery cut off."""
        self._store, self._node, self._sync = store, node, sync
        self._segment_bytes, self._cache_bytes_max = segment_bytes, cache_bytes
        self._start, self._start_term = 0, 0
        self._places = array("Q")
        """Segment sequence << 32 | offset of each entry from _start + 1 on."""
        self._term_starts: list[tuple[int, int]] = []
        """(first index, term) of each run of equal terms: a log has few."""
        self._cache: list[Entry] = []
        self._cache_bytes = 0
        self._last_of_segment: dict[int, int] = {}
        self._batch = 0
        self._sequence = 0
        self._file = -1
        self._offset = 0
        self._allocated = 0
        folder.mkdir(parents=True, exist_ok=True)
        self._recover()

    # --- recovery -----------------------------------------------------------------------------------------

    def _recover(self) -> None:
        paths = sorted(self.folder.glob("*.wal"))
        for path in paths:
            segment = scan(path.read_bytes(), path.name, last=path == paths[-1])
            if segment is None or segment.torn:
                self._cut(path, segment)
            if segment is None:
                continue
            self._check_header(segment.header, path.name)
            self._sequence = segment.header.sequence
            self._last_of_segment[self._sequence] = 0
            if segment.header.reset[0]:
                self._forget_before(*segment.header.reset)
            elif segment.entries and not self._places and not self._start:
                self._start = segment.entries[0][1].index - 1  # what came before was compacted
            for offset, entry in segment.entries:
                self._put(entry, self._sequence, offset)
            self.hard = segment.hard
            self._batch = max(self._batch, segment.last_batch)
        self._meet_snapshot()
        self._roll()

    def _cut(self, path: Path, segment: Segment | None) -> None:
        """Remove a torn tail from the disk too, before a later segment makes it look like damage."""
        size = path.stat().st_size
        self.torn_bytes += segment.torn if segment else size
        if segment is None:
            path.unlink()
        else:
            os.truncate(path, segment.end)

    def _check_header(self, header: Header, name: str) -> None:
        if (header.store, header.node) != (self._store, self._node):
            raise CorruptError(
                f"{name} belongs to node {header.node} of store {header.store}, "
                f"not to node {self._node} of {self._store}",
                hint="give each node its own data folder",
            )
        if self._sequence and header.sequence != self._sequence + 1:
            raise CorruptError(f"segment {self._sequence + 1} is missing, but {name} follows it")

    def _meet_snapshot(self) -> None:
        """Bring log and newest snapshot together; refuse when what was committed is in neither."""
        point = self.point
        if point.index and point.index >= self._start:
            if point.index <= self.last_index and self.term(point.index) in (point.term, 0):
                self._drop_entries(point.index)
                self._start_term = point.term
            else:
                # It was received from a leader and the node died before its log was reset: what the log holds
                # is stale.
                self._forget_before(point.index, point.term)
        if self._start > point.index:
            raise CorruptError(
                f"the log starts after {self._start}, but the newest snapshot ends at {point.index}",
                hint="the snapshots folder is damaged; "
                "replace the node: remove-node, empty its data folder, add-node",
            )
        if self.hard.commit > self.last_index:
            raise CorruptError(
                f"entries up to {self.hard.commit} were committed, but the log ends at {self.last_index}",
                hint="the end of the log is damaged; replace the node: remove-node, empty its data folder, add-node",
            )

    def _forget_before(self, index: int, term: int) -> None:
        self._start, self._start_term = index, term
        self._places = array("Q")
        self._term_starts, self._cache, self._cache_bytes = [], [], 0

    # --- Storage ------------------------------------------------------------------------------------------

    def initial(self) -> tuple[HardState, Membership]:
        """Return the hard state, at least as far as the snapshot, and the snapshot's membership."""
        hard = self.hard
        commit = max(hard.commit, self.point.index)
        term = max(hard.term, self.point.term)
        return HardState(term, hard.vote if term == hard.term else 0, commit), self.point.membership

    @property
    def first_index(self) -> int:
        """The first index present."""
        return self._start + 1

    @property
    def last_index(self) -> int:
        """The last index present."""
        return self._start + len(self._places)

    def term(self, index: int) -> int:
        """Return the term at index."""
        if index == self._start:
            return self._start_term
        if index < self._start:
            raise LogCompacted(index)
        return self._term_starts[bisect_right(self._term_starts, index, key=lambda run: run[0]) - 1][1]

    def entries(self, low: int, high: int, bytes_max: int) -> Sequence[Entry]:
        """Return [low, high) within bytes_max, from memory where it is there, else from one segment."""
        if low < self.first_index:
            raise LogCompacted(low)
        cached_from = self.last_index - len(self._cache) + 1
        if low >= cached_from:
            return limit_bytes(self._cache[low - cached_from : high - cached_from], bytes_max)
        return self._read(low, min(high, cached_from), bytes_max)

    def snapshot(self) -> SnapshotPoint | None:
        """Return the newest snapshot."""
        return self.point if self.point.index else None

    def _read(self, low: int, high: int, bytes_max: int) -> list[Entry]:
        place = self._places[low - self._start - 1]
        sequence, at = place >> 32, place & 0xFFFFFFFF
        with self._path(sequence).open("rb") as file:
            file.seek(at)
            data = file.read(min(max(bytes_max, 4096), _READ_BYTES))
            entries: list[Entry] = []
            size = position = 0
            while low + len(entries) < high:
                record = read(data, position)
                if record is None:
                    if entries:
                        break
                    data += file.read(self._segment_bytes)  # one entry larger than the read
                    record = read(data, position)
                    if record is None:
                        raise CorruptError(
                            f"entry {low} cannot be read back from {self._path(sequence).name}"
                        )
                kind, body, end = record
                if kind == RecordKind.ENTRY:
                    entry = decode_entry(data, position, body, end)
                    index = low + len(entries)
                    if entry.index != index or self._places[index - self._start - 1] != (
                        sequence << 32 | at + position
                    ):
                        break  # replaced later: the rest lies elsewhere
                    size += len(entry.data)
                    if size > bytes_max and entries:
                        break
                    entries.append(entry)
                position = end
        if not entries:
            raise CorruptError(f"entry {low} cannot be found in {self._path(sequence).name}")
        return entries

    # --- writing ------------------------------------------------------------------------------------------

    def stage(self, entries: Sequence[Entry], hard: HardState) -> bytes:
        """Take a batch: entries, which replace those at and behind their indices, and the hard state that
        goes
        with them; return the bytes for write(). Not while write() runs."""
        if self._offset >= self._segment_bytes:
            self._roll()
        self._batch += 1
        parts = [encode_batch(self._batch)]
        offset = self._offset + len(parts[0])
        for entry in entries:
            record = encode_entry(entry)
            self._put(entry, self._sequence, offset)
            parts.append(record)
            offset += len(record)
        self.hard = hard
        parts.append(encode_state(hard))
        return b"".join(parts)

    def write(self, data: bytes) -> None:
        """Write staged bytes and make them durable. Raises StorageError; the node must then stop."""
        try:
            end = self._offset + len(data)
            while end > self._allocated:
                os.posix_fallocate(self._file, self._allocated, GROW_BYTES)
                self._allocated += GROW_BYTES
            view = memoryview(data)
            while view:
                written = os.pwrite(self._file, view, self._offset)
                self._offset += written
                view = view[written:]
            if self._sync:
                os.fdatasync(self._file)
        except OSError as error:
            raise storage_error("cannot write the log", error) from error

    def _put(self, entry: Entry, sequence: int, offset: int) -> None:
        index = entry.index
        if index <= self._start:
            return  # a snapshot covers it
        if index > self.last_index + 1:
            raise CorruptError(
                f"entry {index} follows {self.last_index}: the entries between them are missing"
            )
        if index <= self.last_index:
            self._truncate(index)
        self._places.append(sequence << 32 | offset)
        if not self._term_starts or self._term_starts[-1][1] != entry.term:
            self._term_starts.append((index, entry.term))
        self._last_of_segment[sequence] = index
        self._cache.append(entry)
        self._cache_bytes += len(entry.data)
        if self._cache_bytes > self._cache_bytes_max:
            self._evict()

    def _truncate(self, index: int) -> None:
        """Forget index and all behind it (Raft §5.3)."""
        gone = self.last_index - index + 1
        del self._places[len(self._places) - gone :]
        dropped = self._cache[-gone:] if gone < len(self._cache) else self._cache
        self._cache_bytes -= sum(len(entry.data) for entry in dropped)
        del self._cache[max(0, len(self._cache) - gone) :]
        while self._term_starts and self._term_starts[-1][0] >= index:
            self._term_starts.pop()

    def _evict(self) -> None:
        """Drop the older half of the cache; what it held is read back from disk when it is asked for."""
        half = len(self._cache) // 2
        self._cache_bytes -= sum(len(entry.data) for entry in self._cache[:half])
        del self._cache[:half]

    # --- segments -----------------------------------------------------------------------------------------

    def _path(self, sequence: int) -> Path:
        return self.folder / f"{sequence:016d}.wal"

    def _roll(self, reset: tuple[int, int] = (0, 0)) -> None:
        """Begin a new segment, with the hard state at its head so that older ones can be dropped."""
        try:
            self.close()
            self._sequence += 1
            self._last_of_segment[self._sequence] = 0
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
            self._file = os.open(self._path(self._sequence), flags, 0o640)
            header = Header(self._store, self._node, self._sequence, self.hard, reset).encode()
            os.posix_fallocate(self._file, 0, GROW_BYTES)
            os.pwrite(self._file, header, 0)
            self._allocated, self._offset = GROW_BYTES, len(header)
            if self._sync:
                os.fdatasync(self._file)
                sync_folder(self.folder)
        except OSError as error:
            raise storage_error("cannot create a log segment", error) from error

    def close(self) -> None:
        """Close the open segment, giving back the space it did not use."""
        if self._file >= 0:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._offset)
            os.close(self._file)
            self._file = -1

    def install(self, point: SnapshotPoint) -> None:
        """Let a snapshot that is safely on disk stand for the whole log. Not while write() runs."""
        self.point = point
        self._forget_before(point.index, point.term)
        if point.index > self.hard.commit:
            self.hard = HardState(max(self.hard.term, point.term), self.hard.vote, point.index)
        self._roll(reset=(point.index, point.term))
        self._drop_segments()

    def compact(self, index: int) -> int:
        """Drop entries up to index, which a snapshot covers; return the bytes given back. Not while write() runs."""
        index = min(index, self.point.index)
        if index > self._start:
            self._drop_entries(index)
        if (
            self._last_of_segment.get(self._sequence, 0) and self.last_index == self._start
        ) or self._offset > self._segment_bytes // 16:
            self._roll()
        return self._drop_segments()

    def _drop_entries(self, index: int) -> None:
        """Forget the entries up to index, which this log holds and a snapshot covers."""
        term = self.term(index)
        cached_from = self.last_index - len(self._cache) + 1
        del self._places[: index - self._start]
        if index >= cached_from:
            dropped = self._cache[: index - cached_from + 1]
            self._cache_bytes -= sum(len(entry.data) for entry in dropped)
            del self._cache[: len(dropped)]
        keep = bisect_right(self._term_starts, index + 1, key=lambda run: run[0]) - 1
        self._term_starts = self._term_starts[max(0, keep) :]
        self._start, self._start_term = index, term

    def _drop_segments(self) -> int:
        """Delete segments all of whose entries are covered, oldest first: a gap would look like damage."""
        freed = 0
        for sequence in sorted(self._last_of_segment):
            if sequence == self._sequence or self._last_of_segment[sequence] > self._start:
                break
            path = self._path(sequence)
            with contextlib.suppress(FileNotFoundError):
                freed += path.stat().st_size
                path.unlink()
            del self._last_of_segment[sequence]
        return freed

    @property
    def bytes_about(self) -> int:
        """About as many bytes as the segments take, without asking the disk."""
        return (len(self._last_of_segment) - 1) * self._segment_bytes + self._offset

    @property
    def bytes_on_disk(self) -> int:
        """Bytes that the segments take."""
        total = 0
        for path in self.folder.glob("*.wal"):
            with contextlib.suppress(FileNotFoundError):
                total += path.stat().st_size
        return total


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def storage_error(what: str, error: OSError) -> StorageError:
    """Return an OSError as what a person can act on."""
    hints = {
        errno.ENOSPC: "the disk is full: free space and start the node again",
        errno.EFBIG: "the file size limit is reached: raise it and start the node again",
        errno.EROFS: "the disk is read-only: mount it writable and start the node again",
        errno.EACCES: "the user that runs this node lacks write permission",
    }
    return StorageError(f"{what}: {error.strerror or error}", hint=hints.get(error.errno or 0))
