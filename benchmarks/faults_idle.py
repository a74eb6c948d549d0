"""``bench faults``, second part: what a load costs while no fault is active, because faults are to be had at all.

Two labs that are alike, each with one server and eight clients at full speed, in turns. In the one every fault of the
network has been injected and healed, and all that makes faults is there; in the other no fault ever was, and the
process that makes them is killed, so that nothing but the kernel's own bridge and cables is left. How far such turns
differ by themselves is told beside it: the lab without, its even turns by its odd ones.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.case import Case
from holdfast.clock import seconds_between
from holdfast.cluster import lifecycle
from holdfast.cluster.residue import take_census
from holdfast.errors import ConfigError
from holdfast.faults import journal
from holdfast.faults.base import with_defaults
from holdfast.faults.net import NetFault
from holdfast.faults.registry import faults
from holdfast.history.op import Outcome
from holdfast.history.reading import read_ops
from holdfast.hosts.state import runs_folder
from holdfast.run.load import Load
from holdfast.spec import ClientsSpec, WorkloadSpec, load_cluster
from holdfast.systems.base import Cluster
from holdfast.systems.wait import until_whole
from holdfast.units import NS_PER_S

LOAD = WorkloadSpec(name="append", clients=ClientsSpec(follow=8))
WIRES = "lab-wires"
WHOLE_TIMEOUT_S = 60.0


async def cost_while_idle(rounds: int = 10, seconds: float = 3.0) -> list[Case]:
    """Return the load's pace with and without what makes faults. Two labs; a little over a minute."""
    async with _lab("with") as there, _lab("without") as bare:
        await _acks_per_s(there, seconds)  # warms both up, and makes the clients' hosts
        await _acks_per_s(bare, seconds)
        for kind in faults():
            if isinstance(kind, NetFault) and kind.available(there) is None:
                await _once(kind, there)
        _kill_wires(bare)
        ours: list[float] = []
        theirs: list[float] = []
        for number in range(rounds):
            turns = [(there, ours), (bare, theirs)]
            for cluster, results in turns if number % 2 == 0 else reversed(turns):
                results.append(await _acks_per_s(cluster, seconds))
    median = statistics.median
    return [
        Case(
            "append, no fault active",
            median(ours),
            "ops/s",
            median(theirs),
            "a lab without what makes faults",
        ),
        Case("the same lab by itself", median(theirs[::2]), "ops/s", median(theirs[1::2]), "its other turns"),
    ]


@asynccontextmanager
async def _lab(label: str) -> AsyncIterator[Cluster]:
    spec = load_cluster("streaming", ["nodes=1", "sync=off", "fsync=off"])
    name = lifecycle.free_name(f"bench-{label}")
    async with lifecycle.temporary(spec, name, lambda _words: None, keep=False) as up:
        yield up.cluster


async def _once(kind: NetFault, cluster: Cluster) -> None:
    """Inject a fault and heal it, unless it needs more members than there are."""
    node = (cluster.spec.nodes[0].name,)
    try:
        await journal.inject(kind, cluster, node, with_defaults(kind, {}), random.Random(1))
    except ConfigError:
        return
    healed, failed = await journal.heal_all(cluster)
    if failed or len(healed) != 1:
        raise RuntimeError(f"{kind.name} was not healed: {failed}")
    await until_whole(cluster, WHOLE_TIMEOUT_S)


def _kill_wires(cluster: Cluster) -> None:
    """Kill the process that makes faults of the network."""
    pids = [pid for pid, _ticks in take_census(cluster.lab.folder).processes if _name(pid) == WIRES]
    if len(pids) != 1:
        raise RuntimeError(f"{len(pids)} processes are called {WIRES}")
    os.kill(pids[0], signal.SIGKILL)


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


async def _acks_per_s(cluster: Cluster, seconds: float) -> float:
    """Run the load for a while and return how much was acknowledged a second."""
    folder = runs_folder() / f"{cluster.lab.name}-load"
    load = Load(cluster, folder / "ops", seed=1)
    start = await load.start((LOAD,))
    await asyncio.sleep(seconds)
    await load.stop()
    ops = read_ops(folder / "ops")
    shutil.rmtree(folder)
    end = start + int(seconds * NS_PER_S)
    acked = ops.outcome_is(Outcome.OK) & (ops.complete_ns >= start) & (ops.complete_ns < end)
    return float(acked.sum()) / seconds_between(start, end)
