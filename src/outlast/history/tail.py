"""The tail of a recording: the newest ops of one worker, in a file that is mapped into its memory.

A store to mapped memory is in the page cache at once, so SIGKILL at any moment loses nothing that was
stored; only the loss of the machine itself would. The file is a header page and two halves. A half is a
generation number, a table of fixed-width rows (one an op, in order of invocation) and a heap of payloads. The
writer fills one half; when it is full it carries the few open ops over to the other half and *seals* the
full one: its completed ops become batch number ``generation`` of the Arrow stream beside it. So:

    generation of a half ≤ batches in the stream    its ops are sealed, the half is to be ignored
    otherwise                                       its completed ops count
    the newest generation                           its open ops count too (older halves' were carried over)

which names every op exactly once, wherever the writer was stopped. A row's fields are stored in order and
the last one makes it count: ``invoke_ns`` the invocation, ``tag`` the completion (0 is "still open").
"""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from outlast.errors import HistoryError
from outlast.history.op import NONE

TAIL_FILE: Final = "tail.bin"
OPS_FILE: Final = "ops.arrow"
NAMES_FILE: Final = "names.jsonl"

ROW: Final = np.dtype(
    [
        ("key", "<i8"),
        ("value", "<i8"),
        ("client", "<i4"),
        ("f", "<i4"),
        ("invoke_ns", "<i8"),
        ("lsn", "<i8"),
        ("complete_ns", "<i8"),
        ("tag", "<i4"),
        ("unused", "<i4"),
    ]
)
ROW_BYTES: Final = ROW.itemsize
VALUE_AT: Final = 8
COMPLETION_AT: Final = 32
pack_key: Final = struct.Struct("<q").pack_into
pack_value: Final = struct.Struct("<q").pack_into
pack_invocation: Final = struct.Struct("<qiiq").pack_into  # value, client, f, invoke_ns
pack_completion: Final = struct.Struct("<qqi").pack_into  # lsn, complete_ns, tag

HALF_ROWS: Final = 16384
HALF_HEAP_BYTES: Final = 1 << 20

_MAGIC: Final = b"HFTAIL01"
_PAGE: Final = 4096
_HEADER: Final = struct.Struct("<8sIIq")  # magic, rows and heap bytes of a half, first process
_TOTALS_AT: Final = 64
_TOTALS_WORDS: Final = 8
_HALF_HEADER_BYTES: Final = 64
_ENTRY: Final = struct.Struct("<II")

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.int64]
Rows = npt.NDArray[Any]
"""Structured array of ``ROW``."""


@dataclass(frozen=True, slots=True)
class Half:
    """One half of a tail, as views: state is (generation, bytes of heap used)."""

    state: Words
    rows: Rows
    heap: Bytes

    def clear(self) -> None:
        """Make the half empty; generation 0 while that lasts."""
        self.state[0] = 0
        self.rows.view(np.uint8)[:] = 0
        self.rows["key"] = NONE
        self.state[1] = 0

    def attach(self, row: int, text: bytes) -> bool:
        """Append the payload of a row to the heap; False when there is no room."""
        used = int(self.state[1])
        end = used + _ENTRY.size + len(text)
        if end > len(self.heap):
            return False
        _ENTRY.pack_into(self.heap.data, used, row, len(text))
        self.heap[used + _ENTRY.size : end] = np.frombuffer(text, dtype=np.uint8)
        self.state[1] = end
        return True

    def payloads(self) -> dict[int, bytes]:
        """Return the payload of each row that has one; the last attached wins."""
        texts: dict[int, bytes] = {}
        at, used = 0, int(self.state[1])
        while at < used:
            row, length = _ENTRY.unpack_from(self.heap.data, at)
            at += _ENTRY.size
            texts[row] = self.heap[at : at + length].tobytes()
            at += length
        return texts


@dataclass(frozen=True, slots=True)
class Tail:
    """A tail as views on its bytes.

    first_process: of the history; client i of the rows is process first_process + i.
    sealed: one word, the newest generation that totals counts. totals: two rows, used in turn so that the one
    that ``sealed`` points at is whole at any moment: ops by Outcome, then the newest ack in ns.
    """

    first_process: int
    sealed: Words
    totals: Words
    halves: tuple[Half, Half]

    def generations(self) -> tuple[int, int, int]:
        """Return (sealed generation, generation of each half)."""
        return int(self.sealed[0]), int(self.halves[0].state[0]), int(self.halves[1].state[0])

    def seal(self, generation: int, outcomes: npt.NDArray[np.int64], last_ack_ns: int) -> None:
        """Add a sealed generation's number of ops by outcome, and its newest ack, to the totals."""
        before, after = self.totals[(generation - 1) % 2], self.totals[generation % 2]
        after[: len(outcomes)] = before[: len(outcomes)] + outcomes
        after[-1] = max(int(before[-1]), last_ack_ns)
        self.sealed[0] = generation


def _views(data: Bytes, rows: int, heap_bytes: int, first_process: int) -> Tail:
    half_bytes = _HALF_HEADER_BYTES + rows * ROW_BYTES + heap_bytes
    halves = []
    for start in (_PAGE, _PAGE + half_bytes):
        table = start + _HALF_HEADER_BYTES
        heap = table + rows * ROW_BYTES
        halves.append(
            Half(
                state=data[start : start + 16].view(np.int64),
                rows=data[table:heap].view(ROW),
                heap=data[heap : start + half_bytes],
            )
        )
    totals = data[_TOTALS_AT : _TOTALS_AT + 8 * (1 + 2 * _TOTALS_WORDS)].view(np.int64)
    return Tail(first_process, totals[:1], totals[1:].reshape(2, _TOTALS_WORDS), (halves[0], halves[1]))


def create_tail(path: Path, rows: int, heap_bytes: int, first_process: int) -> Tail:
    """Create a tail file and map it for writing.

    rows, heap_bytes: of each half, heap_bytes a multiple of 8. The disk space is reserved here, because a
    store to a hole of a mapped file kills the process when the disk is full. It gets its name once its header is
    whole, so that no reader ever sees a part of one. Raises OSError.
    """
    size = _PAGE + 2 * (_HALF_HEADER_BYTES + rows * ROW_BYTES + heap_bytes)
    new = path.with_name(f"{path.name}.new")
    fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        os.posix_fallocate(fd, 0, size)
        data = np.frombuffer(mmap.mmap(fd, size), dtype=np.uint8)
    finally:
        os.close(fd)
    tail = _views(data, rows, heap_bytes, first_process)
    tail.halves[0].clear()
    tail.halves[0].state[0] = 1
    _HEADER.pack_into(data.data, 0, _MAGIC, rows, heap_bytes, first_process)
    new.rename(path)
    return tail


def open_tail(path: Path) -> Tail | None:
    """Map a tail file for reading; None when its writer was stopped before it had made it.

    The views change under the reader while the writer lives. Raises HistoryError when it is no tail.
    """
    size = path.stat().st_size if path.exists() else 0
    if size == 0:
        return None
    with path.open("rb") as file:
        data = np.frombuffer(mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ), dtype=np.uint8)
    if size < _PAGE:
        raise HistoryError("is no tail of a recording", file=str(path))
    magic, rows, heap_bytes, first_process = _HEADER.unpack_from(data.data, 0)
    if magic == bytes(len(_MAGIC)):
        return None
    if magic != _MAGIC or size != _PAGE + 2 * (_HALF_HEADER_BYTES + rows * ROW_BYTES + heap_bytes):
        raise HistoryError("is no tail of a recording, or of a version unknown here", file=str(path))
    return _views(data, rows, heap_bytes, first_process)
