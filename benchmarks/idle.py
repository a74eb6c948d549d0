"""``bench idle``: what a three-node lab costs while nobody uses it: processor time and memory."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from benchmarks.case import Case
from outlast.clock import now_ns, seconds_between
from outlast.clusters import lifecycle
from outlast.clusters.residue import take_census
from outlast.config import load_cluster

SETTLE_S = 5.0


def cases(seconds: float = 20.0) -> list[Case]:
    """Return CPU, % of one core over some seconds, and proportional memory (PSS), MiB."""
    return asyncio.run(_measure(seconds))


async def _measure(seconds: float) -> list[Case]:
    name = lifecycle.free_name("bench")
    async with lifecycle.temporary(load_cluster("patroni"), name, lambda _words: None, keep=False):
        folder = lifecycle.lab_folder(name)
        await asyncio.sleep(SETTLE_S)  # what the bring-up left to do is not idleness
        start, before_s = now_ns(), cpu_seconds(folder)
        await asyncio.sleep(seconds)
        used_s = cpu_seconds(folder) - before_s
        took_s = seconds_between(start, now_ns())
        return [
            Case("cpu of patroni-3", 100 * used_s / took_s, "% of a core"),
            Case("memory of patroni-3", pss_mib(folder), "MiB"),
        ]


def cpu_seconds(folder: Path) -> float:
    """Return the processor time of all that a lab runs and of what of it has ended (proc_pid_stat(5), 14 to 17)."""
    ticks = 0
    for pid in _pids(folder):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def pss_mib(folder: Path) -> float:
    """Return the memory of all that a lab runs; a page that several share counts for each by its share."""
    kib = 0
    for pid in _pids(folder):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        kib += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kib / 1024


def _pids(folder: Path) -> list[int]:
    return [pid for pid, _ticks in take_census(folder).processes]
