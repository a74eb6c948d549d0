"""The writer thread: one batch at a time goes to the disk while the event loop goes on."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

from raftlog.errors import RaftlogError, StorageError
from raftlog.wal.wal import Wal

Done = Callable[[float, RaftlogError | None], None]


class Writer:
    """Writes batches in order. After each, done(seconds, error) is called in the event loop."""

    def __init__(self, wal: Wal, loop: asyncio.AbstractEventLoop) -> None:
        self._wal, self._loop = wal, loop
        self._queue: SimpleQueue[tuple[bytes, Done] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="raftlog-writer", daemon=True)
        self._thread.start()

    def submit(self, data: bytes, done: Done) -> None:
        """Write data; the one before must have been done."""
        self._queue.put((data, done))

    def close(self) -> None:
        """Finish what was submitted and end the thread."""
        self._queue.put(None)
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            data, done = job
            start = time.perf_counter()
            error: RaftlogError | None = None
            try:
                self._wal.write(data)
            except StorageError as failure:
                error = failure
            seconds = time.perf_counter() - start
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(done, seconds, error)
