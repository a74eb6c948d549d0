"""What a soak costs the machine: processor time and memory of the clients that write and read, and of this program.

Looked at before each validation and at the end, so that a soak of any length tells by itself whether it grows.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from outlast.clock import now_ns, seconds_between
from outlast.history.history import JSON
from outlast.run.load import Load, Usage

OURS: Final = "tool"
"""This program, among the clients' names."""

WRITER: Final = "soak-writer"
GROUPS: Final = ("writer", "readers", OURS)
MIB: Final = 1024**2
SETTLED_SHARE: Final = 0.5
"""What comes before this share of the time is warming up, and left out of the slope: a recorder has its full size after
50,000 ops, 40 minutes at the usual pace."""

SAMPLES_MIN: Final = 3
SLOPE_LEAST_S: Final = 600.0
"""A slope of fewer samples, or of a shorter time, is none: programs that warm up would seem to grow."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Seconds of processor time and bytes of memory so far, by name of worker, and of this program as OURS."""

    at_ns: int
    used: Mapping[str, Usage]


@dataclass(slots=True)
class Meter:
    """Keeps what a soak's programs have used. Made when the soak begins: nothing before counts."""

    samples: list[Sample] = field(default_factory=list)
    _before_s: float = field(default_factory=lambda: own_usage().cpu_s)

    async def look(self, load: Load) -> None:
        """Take a sample; what cannot be asked is left out of it. One short program on the clients' host."""
        own = own_usage()
        used = {OURS: Usage(own.cpu_s - self._before_s, own.rss_bytes), **await load.usage()}
        self.samples.append(Sample(now_ns(), used))

    def figures(self, start_ns: int, pace: float) -> CostFigures:
        """Return shares of one core since start_ns and memory with its slope, of writer, readers and this program."""
        return cost_figures(self.samples, start_ns, SLOPE_LEAST_S / pace)


@dataclass(frozen=True, slots=True)
class MemoryFigures:
    """Resident memory of a group of programs, MiB; slope of a straight line through the later samples. None: unseen."""

    first_mib: float | None
    last_mib: float | None
    slope_mib_per_h: float | None

    def to_document(self) -> dict[str, JSON]:
        """Return it as it is stored and printed."""
        return {
            "first_mib": self.first_mib,
            "last_mib": self.last_mib,
            "slope_mib_per_h": self.slope_mib_per_h,
        }


@dataclass(frozen=True, slots=True)
class CostFigures:
    """What writer, readers and this tool cost. cpu_share: of one core, writer and readers together; shares: each.

    All by group; None where nothing was seen.
    """

    cpu_share: float | None
    shares: Mapping[str, float | None]
    memory: Mapping[str, MemoryFigures]

    def to_document(self) -> dict[str, JSON]:
        """Return it as it is stored and printed."""
        return {
            "cpu_share": self.cpu_share,
            **{f"{name}_cpu_share": share for name, share in self.shares.items()},
            "memory": {name: figures.to_document() for name, figures in self.memory.items()},
        }


def cost_figures(samples: list[Sample], start_ns: int, least_s: float = SLOPE_LEAST_S) -> CostFigures:
    """Return what each group of programs costs. Pure.

    Slopes are of the samples after the first half, None where these last less than least_s.
    """
    shares: dict[str, float | None] = {}
    memory: dict[str, MemoryFigures] = {}
    for group in GROUPS:
        seen = [
            (sample.at_ns, [usage for name, usage in sample.used.items() if _group(name) == group])
            for sample in samples
        ]
        seen = [(at_ns, usages) for at_ns, usages in seen if usages]
        took_s = seconds_between(start_ns, seen[-1][0]) if seen else 0.0
        cpu_s = sum(usage.cpu_s for usage in seen[-1][1]) if seen else 0.0
        shares[group] = cpu_s / took_s if took_s > 0 else None
        sizes = [(at_ns, sum(usage.rss_bytes for usage in usages) / MIB) for at_ns, usages in seen]
        memory[group] = MemoryFigures(
            round(sizes[0][1], 1) if sizes else None,
            round(sizes[-1][1], 1) if sizes else None,
            _slope_per_h(sizes, least_s),
        )
    clients = [share for name, share in shares.items() if name != OURS and share is not None]
    return CostFigures(
        round(sum(clients), 4) if clients else None,
        {name: None if share is None else round(share, 4) for name, share in shares.items()},
        memory,
    )


def _group(name: str) -> str:
    return {WRITER: "writer", OURS: OURS}.get(name, "readers")


def _slope_per_h(sizes: list[tuple[int, float]], least_s: float) -> float | None:
    if not sizes:
        return None
    settled_ns = sizes[0][0] + SETTLED_SHARE * (sizes[-1][0] - sizes[0][0])
    kept = [(at_ns, mib) for at_ns, mib in sizes if at_ns >= settled_ns]
    if len(kept) < SAMPLES_MIN or seconds_between(kept[0][0], kept[-1][0]) < least_s:
        return None
    hours = [seconds_between(kept[0][0], at_ns) / 3600 for at_ns, _ in kept]
    return round(float(np.polyfit(hours, [mib for _, mib in kept], 1)[0]), 3) + 0.0  # never -0.0


def own_usage() -> Usage:
    """Return what this program itself has used: processor time of all its threads, resident memory now."""
    spent = resource.getrusage(resource.RUSAGE_SELF)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Usage(spent.ru_utime + spent.ru_stime, pages * os.sysconf("SC_PAGE_SIZE"))
