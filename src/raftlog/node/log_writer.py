"""Getting batches onto the disk: in place while the disk is quick, in a thread of its own while it is slow.

A quick sync takes less time than two switches between threads. A slow one must not stop heartbeats, or a
leader would be deposed for its disk's sake and the next one too; so one slow sync sends those that follow to
the thread.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

from raftlog.errors import RaftlogError, StorageError
from raftlog.wal.wal import Wal

Done = Callable[[float, RaftlogError | None], None]


_SLOW_S: Final = 0.02
_PROBATION: Final = 100
"""After a slow sync, so many in the thread, all quick, before the disk is trusted again."""


class LogWriter:
    """Writes batches in order. done(seconds, error) is called in the event loop, never from within submit()."""

    def __init__(self, wal: Wal, loop: asyncio.AbstractEventLoop) -> None:
        self._wal, self._loop = wal, loop
        self._queue: SimpleQueue[tuple[bytes, Done] | None] = SimpleQueue()
        self._distrust = 0
        self.last_s = 0.0
        """Seconds that the last write and sync took."""
        self._thread = threading.Thread(target=self._run, name="raftlog-writer", daemon=True)
        self._thread.start()

    def submit(self, data: bytes, done: Done) -> bool:
        """Write data; the one before must have been done. Return True when it is durable already.

        done is then not called. Raises StorageError.
        """
        if self._distrust:
            self._queue.put((data, done))
            return False
        self._judge(self._write(data))
        return True

    def _write(self, data: bytes) -> float:
        start = time.perf_counter()
        self._wal.write(data)
        seconds = time.perf_counter() - start
        self.last_s = seconds
        return seconds

    def _judge(self, seconds: float) -> None:
        if seconds > _SLOW_S:
            self._distrust = _PROBATION
        elif self._distrust:
            self._distrust -= 1

    def close(self) -> None:
        """Finish what was submitted and end the thread."""
        self._queue.put(None)
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            data, done = job
            seconds = 0.0
            failure: RaftlogError | None = None
            try:
                seconds = self._write(data)
                self._judge(seconds)
            except StorageError as error:
                failure = error
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(done, seconds, failure)
