"""``bench soak``: what a soak costs, and whether its programs grow with its length.

One soak of three nodes at twenty times its pace: writes, validations and failovers come twenty times as often, so that
five minutes stand for 100, and every figure of growth is given per 10,000 batches of writes: a day has 17 of them.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any

import numpy as np

from benchmarks.case import Case
from outlast.clusters import lifecycle
from outlast.config import load_cluster
from outlast.errors import HarnessError
from outlast.history.op import Outcome
from outlast.history.soak_rows import BATCH_ROWS, INSERT
from outlast.hosts.state import new_run_folder
from outlast.soak.diary import Diary
from outlast.soak.director import Director
from outlast.soak.plan import SoakTimes

PACE = 20.0
BATCHES = 10_000
MIB_KIB = 1024


def cases(seconds: float = 300.0) -> list[Case]:
    """Return growth per 10,000 batches and peak, MiB, and the clients' share of a core at that pace, %."""
    return asyncio.run(_measure(seconds))


async def _measure(seconds: float) -> list[Case]:
    times = SoakTimes(seconds, 300 / PACE, 60 / PACE, PACE)
    spec = load_cluster("patroni", ["profile=fast", "ports={}"])
    with tempfile.TemporaryDirectory() as logs:
        name = lifecycle.free_name("bench")
        async with lifecycle.temporary(spec, name, lambda _words: None, keep=False) as up:
            with Diary(Path(logs), len(spec.nodes), lambda _words: None) as diary:
                folder = new_run_folder("bench-soak")
                director = Director(
                    up.cluster,
                    times,
                    diary,
                    lambda _words: None,
                    seed=1,
                    folder=folder,
                    replay="outlast bench soak",
                )
                outcome = await director.run()
    ops = outcome.history.ops
    batches = int(np.sum(ops.f_is(INSERT) & ops.outcome_is(Outcome.OK))) / BATCH_ROWS
    if not batches:
        raise HarnessError("no write was acknowledged, so nothing can be said of its cost")
    soak: Any = outcome.document.notes["soak"]
    cost = soak["cost"]
    hours = seconds / 3600
    found = [Case("batches written", batches, "batches")]
    for group in ("tool", "writer", "readers"):
        slope = cost["memory"][group]["slope_mib_per_h"]
        if slope is None:
            raise HarnessError(f"too short to say how the {group} grows")
        found.append(Case(f"growth of {group}", slope * hours / batches * BATCHES, "MiB per 10,000 batches"))
    found.append(
        Case(f"writer and readers at {PACE:g} times the pace", 100 * cost["cpu_share"], "% of a core")
    )
    peak_mib = getrusage(RUSAGE_SELF).ru_maxrss / MIB_KIB
    return [*found, Case("peak of this program, judging included", peak_mib, "MiB")]
