"""Whole clusters under seeded faults: every invariant at every step, and nothing acked is lost.

RAFTLOG_SIM_SECONDS lengthens it: that many seconds of this machine's time, over as many seeds as fit.
A failure names its seed; `python -m raftlog.sim --seed N` replays it.
"""

from __future__ import annotations

import os
import time

import pytest

from raftlog.sim.simulation import HARSH, FaultProfile, Simulation

BUDGET_S = float(os.environ.get("RAFTLOG_SIM_SECONDS", "4"))


@pytest.mark.timeout(BUDGET_S * 3 + 120)
@pytest.mark.parametrize("weather", [FaultProfile(), HARSH], ids=["weather", "storm"])
def test_no_fault_breaks_an_invariant(weather: FaultProfile) -> None:
    end = time.monotonic() + BUDGET_S / 2
    seed, acked, faults = 0, 0, 0
    while seed < 2 or time.monotonic() < end:
        seed += 1
        world = Simulation(seed, voters=3 + 2 * (seed % 2), weather=weather)
        world.run(8)
        world.settle()
        acked += len(world.acked)
        faults += world.counts["crash"] + world.counts["partition"]
    assert acked > 0
    assert faults > 0


def test_a_seed_replays_step_for_step() -> None:
    worlds = [Simulation(11), Simulation(11), Simulation(12)]
    for world in worlds:
        world.run(6)
    first, again, other = worlds
    assert first.counts == again.counts
    assert first.acked == again.acked
    assert first.truth.digests == again.truth.digests
    assert first.acked != other.acked


def test_reads_and_snapshots_do_happen() -> None:
    world = Simulation(4, voters=5)
    world.run(12)
    assert world.counts["reads"] > 50
    assert world.counts["snapshots_sent"] > 0
    assert world.counts["change_membership"] > 0
