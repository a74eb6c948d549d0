"""``bench monitoring``: what watching six nodes costs, looked at and scraped once a second: processor, memory, time.

All of it is counted: the hosts of exporter, Prometheus and Alertmanager, and what the exporters' queries cost the
servers.
"""

from __future__ import annotations

import asyncio
import os
import time
import urllib.request
from pathlib import Path

from benchmarks.case import Case
from benchmarks.idle import SETTLE_S
from outlast.clock import now_ns, seconds_between
from outlast.clusters import lifecycle
from outlast.clusters.residue import take_census
from outlast.config import load_cluster
from outlast.config.cluster import MONITORING_KINDS
from outlast.monitoring.exporter_service import ROLE
from outlast.monitoring.services import with_monitoring

NODES = "six-node"
ANSWERS = 30
SERVERS = "servers' part"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cases(seconds: float = 20.0) -> list[Case]:
    """Return processor time over some seconds, memory, and how long the exporter takes to answer."""
    return asyncio.run(_measure(seconds))


async def _measure(seconds: float) -> list[Case]:
    spec = with_monitoring(load_cluster(NODES, ["ports={}"]))
    # By as much of the name as a process keeps: 15 letters, proc_pid_comm(5).
    watching = {f"host:{one.name}"[:15] for one in spec.services if one.kind in MONITORING_KINDS}
    name = lifecycle.free_name("bench")
    async with lifecycle.temporary(spec, name, lambda _words: None, keep=False) as up:
        folder = lifecycle.lab_folder(name)
        port = up.cluster.lab.published["exporter"].port
        await asyncio.sleep(SETTLE_S)
        start, before = now_ns(), _ticks(folder, watching)
        await asyncio.sleep(seconds)
        after, took_s = _ticks(folder, watching), seconds_between(start, now_ns())
        # A backend that came or went meanwhile is not counted.
        used = {
            kind: sum(after[kind][pid] - before[kind].get(pid, 0) for pid in after[kind]) for kind in after
        }
        percent = {kind: 100 * ticks / TICKS_PER_S / took_s for kind, ticks in used.items()}
        memory = {kind: sum(_mib(pid, kind) for pid in after[kind]) for kind in after}
        answers = sorted([await asyncio.to_thread(_answer_ms, port) for _ in range(ANSWERS)])
        return [
            Case("cpu of all monitoring", sum(percent.values()), "% of a core"),
            *(Case(f"cpu of {kind}", value, "% of a core") for kind, value in sorted(percent.items())),
            Case("memory of all that watches", sum(memory.values()) - memory[SERVERS], "MiB"),
            *(Case(f"memory of {kind}", value, "MiB") for kind, value in sorted(memory.items())),
            Case("exporter's answer, median", answers[ANSWERS // 2], "ms"),
            Case("exporter's answer, slowest", answers[-1], "ms"),
        ]


def _ticks(folder: Path, watching: set[str]) -> dict[str, dict[int, int]]:
    """Return the processor time of each process that watches, by host or as the servers' part, in clock ticks."""
    pids = [pid for pid, _ticks in take_census(folder).processes]
    homes = {_net(pid): _name(pid) for pid in pids if _name(pid).startswith("host:")}
    found: dict[str, dict[int, int]] = {}
    for pid in pids:
        home = homes.get(_net(pid), "")
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        kind = (
            home.removeprefix("host:")
            if home in watching
            else "servers' part"
            if ROLE.encode() in words[:200]
            else ""
        )
        if kind:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            found.setdefault(kind, {})[pid] = sum(map(int, fields[11:15]))
    return found


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def _net(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/net").readlink())


def _mib(pid: int, kind: str) -> float:
    """Return a process' share of memory (PSS); of a server's backend what is its own: the rest is the server's."""
    field = "Private_" if kind == SERVERS else "Pss:"
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def _answer_ms(port: int) -> float:
    start = time.perf_counter()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        answer.read()
    return 1000 * (time.perf_counter() - start)
