"""Publishes what a run shows while it lasts, for ``live``'s readers.

Writing costs about a millisecond, twice a second, in a thread of its own: the counts are read from the tails that the
workers map, and the file is replaced as a whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from outlast.clock import now_ns, seconds_between
from outlast.errors import HistoryError
from outlast.files import write_atomic
from outlast.history.history import FaultRecord
from outlast.history.live import FILE, POINTER, Live, LiveFault
from outlast.history.reading import LiveCounts, live_counts, recent_latencies_ms
from outlast.hosts.base import Lab

PUBLISH_S: Final = 0.5


@dataclass(slots=True)
class LiveFeed:
    """Publishes one run. folder: the run's; recordings: where its workers record; announce: folders that get the
    pointer. Whatever can't be written is left out: nothing of this may end or delay a run."""

    folder: Path
    recordings: Path
    lab: str
    drill: str
    system: str
    duration_s: float
    announce: Sequence[Path] = ()
    phase: str = "settling"
    verdict: str | None = None
    start_ns: int = 0
    end_ns: int = 0
    _faults: Sequence[FaultRecord] = ()
    _counts: tuple[LiveCounts, ...] = ()
    _last: tuple[int, int] = field(default=(0, 0))
    _worst_s: float = 0.0

    def begin(self, start_ns: int, faults: Sequence[FaultRecord]) -> None:
        """The load has begun. faults: grows, and changes, while the run lasts."""
        self.start_ns, self._faults, self.phase = start_ns, faults, "load"

    def end(self, end_ns: int) -> None:
        """The load has ended, and with it every fault."""
        self.end_ns, self.phase = end_ns, "recovering"

    @contextlib.asynccontextmanager
    async def publishing(self) -> AsyncIterator[None]:
        """Publish for the length of a with block, and once more at its end."""
        for place in self.announce:
            _replace(place / POINTER, f"{self.folder}\n")
        self.publish()
        task = asyncio.create_task(self._keep_publishing())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if self.verdict is None:
                self.phase, self.verdict = "ended without a verdict", "unknown"
            self.publish()

    def publish(self) -> None:
        """Write what the run shows now."""
        _replace(self.folder / FILE, json.dumps(asdict(self.look())))

    def look(self) -> Live:
        """Return what the run shows now."""
        now = now_ns()
        counts: tuple[LiveCounts, ...] = ()
        with contextlib.suppress(OSError, HistoryError, ValueError, IndexError):
            counts = live_counts(self.recordings) if self.start_ns else ()
        if counts:
            self._counts = counts
        counts = counts or self._counts  # once they are stored, the recordings are gone
        ok = sum(one.ok + one.local for one in counts)
        last_ack_ns = max((one.last_ack_ns for one in counts), default=0)
        before_ns, before = self._last
        rate = (ok - before) / max(seconds_between(before_ns, now), 1e-3) if before_ns else 0.0
        p50_ms, p99_ms = self._latencies(before_ns) if before_ns and not self.end_ns else (None, None)
        self._last = (now, ok)
        is_loading = bool(self.start_ns) and not self.end_ns
        outage_s = seconds_between(last_ack_ns, now) if is_loading and last_ack_ns else 0.0
        self._worst_s = max(self._worst_s, outage_s)
        return Live(
            run=self.folder.name,
            lab=self.lab,
            drill=self.drill,
            system=self.system,
            phase=self.phase,
            at_ns=now,
            elapsed_s=self._since_start(self.end_ns or now),
            duration_s=self.duration_s,
            ok=ok,
            fail=sum(one.fail for one in counts),
            info=sum(one.info for one in counts),
            open=sum(one.open for one in counts),
            rate_per_s=round(max(0.0, rate), 1) if is_loading else 0.0,
            outage_s=round(outage_s, 3),
            outage_worst_s=round(self._worst_s, 3),
            faults=tuple(self._fault(one) for one in tuple(self._faults)),
            verdict=self.verdict,
            p50_ms=p50_ms,
            p99_ms=p99_ms,
        )

    def _latencies(self, since_ns: int) -> tuple[float | None, float | None]:
        """Return median and 99th percentile of the acks since then, in ms; None where there was none."""
        found = np.empty(0)
        with contextlib.suppress(OSError, HistoryError, ValueError, IndexError):
            found = recent_latencies_ms(self.recordings, since_ns)
        if not len(found):
            return None, None
        middle, high = np.percentile(found, (50, 99)).tolist()
        return round(middle, 3), round(high, 3)

    def _fault(self, one: FaultRecord) -> LiveFault:
        healed_s = None if one.healed_ns is None else self._since_start(one.healed_ns)
        return LiveFault(one.fault, one.targets, self._since_start(one.at_ns), healed_s, one.effective)

    def _since_start(self, at_ns: int) -> float:
        return round(seconds_between(self.start_ns, at_ns), 3) if self.start_ns else 0.0

    async def _keep_publishing(self) -> None:
        while True:
            await asyncio.to_thread(self.publish)
            await asyncio.sleep(PUBLISH_S)


def announced(lab: Lab) -> tuple[Path, ...]:
    """Return the folders that are told of a lab's newest run: its own and, of its hosts, those that asked for it."""
    hosts = (host.folder for host in lab.hosts.values())
    return (lab.folder, *(folder for folder in hosts if (folder / POINTER).exists()))


def _replace(path: Path, text: str) -> None:
    """Write a file as a whole; a full disk or a folder that has gone takes the news, never the run."""
    with contextlib.suppress(OSError):
        write_atomic(path, text)
