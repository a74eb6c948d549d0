"""Takes snapshots while the node goes on: the state is named in the event loop, synced and saved in a thread."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from raftlog.config import SnapshotSettings
from raftlog.core.types import ProgressState, SnapshotPoint
from raftlog.errors import RaftlogError
from raftlog.metrics import Histogram
from raftlog.node.ready_loop import ReadyLoop
from raftlog.snapshot.files import Snapshot, SnapshotFolder

log = logging.getLogger("raftlog")


class Snapshotter:
    """Takes a snapshot after so many entries or so much time, then lets the log go of what it covers.

    fail: told when the disk refuses, which stops the node. saved: told of each snapshot, for upload.
    """

    def __init__(
        self,
        ready_loop: ReadyLoop,
        folder: SnapshotFolder,
        settings: SnapshotSettings,
        *,
        newest: SnapshotPoint,
        fail: Callable[[RaftlogError], None],
        saved: Callable[[Snapshot], None] = lambda snapshot: None,
    ) -> None:
        self.newest = newest
        self.seconds = Histogram()
        self.taken = self.freed_bytes = 0
        self._ready_loop, self._folder, self._settings = ready_loop, folder, settings
        self._fail, self._saved = fail, saved
        self._since = time.monotonic() - settings.min_interval_secs
        self._task: asyncio.Task[None] | None = None

    def tick(self) -> None:
        """Look whether one is due, and whether the log can let go of more. Called on every tick."""
        ready_loop, settings = self._ready_loop, self._settings
        behind = ready_loop.applied - self.newest.index
        if settings.enabled and behind > 0:
            since = time.monotonic() - self._since
            large = ready_loop.wal.bytes_about >= settings.log_bytes_threshold
            many = (behind >= settings.log_threshold or large) and since >= settings.min_interval_secs
            if many or since >= settings.time_threshold_secs or ready_loop.core.snapshot_wanted:
                self.take()
        self._compact()

    def take(self) -> asyncio.Task[None]:
        """Take a snapshot of what is applied now, unless one is being taken; return the task that does it."""
        if self._task is None or self._task.done():
            ready_loop = self._ready_loop
            ready_loop.core.snapshot_started()
            point = SnapshotPoint(ready_loop.applied, ready_loop.applied_term, ready_loop.core.membership)
            snapshot = Snapshot(point, ready_loop.machine.state())
            self._task = asyncio.get_running_loop().create_task(self._save(snapshot))
        return self._task

    async def _save(self, snapshot: Snapshot) -> None:
        start = time.perf_counter()
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(None, self._ready_loop.machine.sync)
            await loop.run_in_executor(None, self._folder.save, snapshot)
        except RaftlogError as error:
            self._fail(error)
            return
        except OSError as error:
            self._fail(RaftlogError(f"cannot take a snapshot: {error}"))
            return
        if snapshot.point.index > self.newest.index:
            self.newest = snapshot.point
            self._ready_loop.wal.point = snapshot.point
        self._since = time.monotonic()
        self.taken += 1
        self.seconds.observe(time.perf_counter() - start)
        log.info("snapshot at %d taken in %.3f s", snapshot.point.index, time.perf_counter() - start)
        self._saved(snapshot)

    def _compact(self) -> None:
        """Drop what the newest snapshot covers, save what followers that are heard from still need."""
        wal = self._ready_loop.wal
        upto = self.newest.index
        if upto < wal.first_index:
            return
        core = self._ready_loop.core
        if core.leads:
            needed = [
                progress.match
                for node, progress in core.progress().items()
                if node != core.id and progress.active and progress.state != ProgressState.SNAPSHOT
            ]
            oldest = upto - self._settings.keep_entries_max
            upto = max(oldest, min([upto, *needed]))
            if upto < self.newest.index and upto - wal.first_index < self._settings.log_threshold // 2:
                return  # they catch up in a moment; segments are dropped whole, so wait for them
        if upto >= wal.first_index:
            self._ready_loop.between_writes(lambda: self._drop(upto))

    def _drop(self, upto: int) -> None:
        self.freed_bytes += self._ready_loop.wal.compact(upto)

    async def close(self) -> None:
        """Wait for the one that is being taken."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=10)
