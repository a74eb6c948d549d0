"""Watches the tool itself and its machine while something is judged: whoever is late must not blame the database.

Every tenth of a second the tool's own loop says how late it woke; once a second the machine says for how long programs
have waited for a core, and how much was stolen from it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from outlast.clock import now_ns, seconds_between
from outlast.history.lateness import Lateness
from outlast.units import NS_PER_S

TICK_S: Final = 0.1
SAMPLE_NS: Final = NS_PER_S
LAG_S_NOTED: Final = 0.1
NOTED_MAX: Final = 100_000
_PRESSURE: Final = "pressure/cpu"
_US_PER_S: Final = 1e6


class OwnWatch:
    """Notes how late this process is while it runs. proc: where the kernel tells of itself."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._crowded_s = 0.0
        self._samples: list[tuple[int, float, float]] = []
        self._lags: list[tuple[int, float]] = []
        self.ticks = 0
        """How often the loop was looked at."""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch for the length of a with block."""
        self._sample()
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._sample()

    def lateness(self, fault_late_s: float = 0.0, look_s: float = 0.0) -> Lateness:
        """Return what was noted so far."""
        return Lateness(tuple(self._samples), tuple(self._lags), fault_late_s, look_s)

    async def _watch(self) -> None:
        while True:
            began = now_ns()
            await asyncio.sleep(TICK_S)
            now = now_ns()
            lag_s = seconds_between(began, now) - TICK_S
            self.ticks += 1
            if lag_s > LAG_S_NOTED and len(self._lags) < NOTED_MAX:
                self._lags.append((now, round(lag_s, 6)))
            if now - self._samples[-1][0] >= SAMPLE_NS and len(self._samples) < NOTED_MAX:
                self._sample()

    def _sample(self) -> None:
        now = now_ns()
        wanted_s = self._pressure_s()
        if (
            wanted_s is None
        ):  # a kernel without pressure: the time in which more programs could run than there are cores
            last_ns = self._samples[-1][0] if self._samples else now
            self._crowded_s += seconds_between(last_ns, now) if self._is_crowded() else 0.0
            wanted_s = self._crowded_s
        self._samples.append((now, wanted_s, self._stolen_s()))

    def _pressure_s(self) -> float | None:
        """Return for how long some program has waited for a core since boot; None where that is not told."""
        try:
            some = (self._proc / _PRESSURE).read_text().splitlines()[0]
            return int(some.rpartition("total=")[2]) / _US_PER_S
        except (OSError, ValueError, IndexError):
            return None

    def _stolen_s(self) -> float:
        """Return the time that each core on average was in another machine's hands since boot."""
        try:
            fields = (self._proc / "stat").read_text().splitlines()[0].split()
            return int(fields[8]) / os.sysconf("SC_CLK_TCK") / (os.cpu_count() or 1)
        except (OSError, ValueError, IndexError):
            return 0.0

    def _is_crowded(self) -> bool:
        try:
            running = int((self._proc / "loadavg").read_text().split()[3].partition("/")[0])
        except (OSError, ValueError, IndexError):
            return False
        return running > (os.cpu_count() or 1)
