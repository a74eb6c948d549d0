"""``bench faults``, second part: what a load costs while no fault is active, because faults are to be had at all.

Two labs that are alike, each with one server and eight clients at full speed, in turns. In the one every fault of the
network has been injected and healed, and all that makes faults is there; in the other no fault ever was, and the
process that makes them is killed, so that nothing but the kernel's own bridge and cables is left. How far such turns
differ by themselves is told beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.case import Case
from outlast.clock import now_ns, seconds_between
from outlast.clusters import lifecycle
from outlast.clusters.residue import take_census
from outlast.config import ClientsSpec, WorkloadSpec, load_cluster
from outlast.errors import ConfigError
from outlast.faults import journal
from outlast.faults.base import with_defaults
from outlast.faults.net_fault import NetFault
from outlast.faults.registry import faults
from outlast.history.op import Outcome
from outlast.history.reading import read_ops
from outlast.hosts.state import runs_folder
from outlast.run.load import Load
from outlast.systems.base import Cluster
from outlast.systems.wait import wait_until_ready

LOAD = WorkloadSpec(name="append", clients=ClientsSpec(follow=8))
WIRES = "lab-wires"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
WHOLE_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Turn:
    """What a load came to: acks a second, and processor time of all of the lab, in microseconds an ack."""

    acks_per_s: float
    cpu_us: float


async def cost_while_idle(rounds: int = 16, seconds: float = 2.0) -> list[Case]:
    """Return the load's pace and price with and without what makes faults. Two labs; under two minutes.

    The pace of a shared machine differs from turn to turn; the processor time that an operation takes does so less.
    """
    async with _lab("with") as there, _lab("without") as bare:
        await _turn(there, seconds)  # warms both up, and makes the clients' hosts
        await _turn(bare, seconds)
        for kind in faults():
            if isinstance(kind, NetFault) and kind.available(there) is None:
                await _once(kind, there)
        _kill_wires(bare)
        ours: list[Turn] = []
        theirs: list[Turn] = []
        for number in range(rounds):
            turns = [(there, ours), (bare, theirs)]
            for cluster, results in turns if number % 2 == 0 else reversed(turns):
                results.append(await _turn(cluster, seconds))
    bare_name, again = "a lab without what makes faults", "the lab without, every other turn"
    found = []
    for words, unit, of in (("", "ops/s", _pace), (": processor", "us/op", _price)):
        mine, other = [of(turn) for turn in ours], [of(turn) for turn in theirs]
        median = statistics.median
        found.append(Case(f"append, no fault active{words}", median(mine), unit, median(other), bare_name))
        # Of each four turns the outer and the inner two, so that a slow drift is no difference.
        outer, inner = other[::4] + other[3::4], other[1::4] + other[2::4]
        found.append(Case(f"the lab without, by itself{words}", median(outer), unit, median(inner), again))
    return found


def _pace(turn: Turn) -> float:
    return turn.acks_per_s


def _price(turn: Turn) -> float:
    return turn.cpu_us


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
    await wait_until_ready(cluster, WHOLE_TIMEOUT_S)


def _kill_wires(cluster: Cluster) -> None:
    """Kill the process that makes faults of the network."""
    pids = [pid for pid, _ticks in take_census(cluster.lab.folder).processes if _name(pid) == WIRES]
    if len(pids) != 1:
        raise RuntimeError(f"{len(pids)} processes are called {WIRES}")
    os.kill(pids[0], signal.SIGKILL)


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


async def _turn(cluster: Cluster, seconds: float) -> Turn:
    """Run the load for a while."""
    folder = runs_folder() / f"{cluster.lab.name}-load"
    load = Load(cluster, folder / "ops", seed=1)
    await load.start((LOAD,))
    start, before = now_ns(), _ticks(cluster)
    await asyncio.sleep(seconds)
    end, after = now_ns(), _ticks(cluster)
    await load.stop()
    ops = read_ops(folder / "ops")
    shutil.rmtree(folder)
    acked = int((ops.outcome_is(Outcome.OK) & (ops.complete_ns >= start) & (ops.complete_ns < end)).sum())
    ticks = sum(used - before[pid] for pid, used in after.items() if pid in before)
    return Turn(acked / seconds_between(start, end), 1e6 * ticks / TICKS_PER_S / acked)


def _ticks(cluster: Cluster) -> dict[int, int]:
    """Return the processor time of each process of a lab, in clock ticks."""
    found = {}
    for pid, _started in take_census(cluster.lab.folder).processes:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            found[pid] = int(fields[11]) + int(fields[12])
    return found
