"""Whole clusters under seeded faults: every invariant at every step, and nothing acked is lost.

RAFTLOG_SIM_SECONDS lengthens it: that many seconds of this machine's time, over as many seeds as fit.
A failure names its seed; `python -m raftlog.sim --seed N` replays it.
"""

from __future__ import annotations

import os
import time

import pytest

from raftlog.sim.environment import HARSH, FaultProfile
from raftlog.sim.simulation import Simulation

BUDGET_S = float(os.environ.get("RAFTLOG_SIM_SECONDS", "4"))


@pytest.mark.timeout(BUDGET_S * 3 + 120)
@pytest.mark.parametrize("profile", [FaultProfile(), HARSH], ids=["usual", "harsh"])
def test_no_fault_breaks_an_invariant(profile: FaultProfile) -> None:
    end = time.monotonic() + BUDGET_S / 2
    seed, acked, faults = 0, 0, 0
    while seed < 2 or time.monotonic() < end:
        seed += 1
        simulation = Simulation(seed, voters=3 + 2 * (seed % 2), profile=profile)
        simulation.run(8)
        simulation.settle()
        acked += len(simulation.acked)
        faults += simulation.counts["crash"] + simulation.counts["partition"]
    assert acked > 0
    assert faults > 0


def test_a_seed_replays_step_for_step() -> None:
    simulations = [Simulation(11), Simulation(11), Simulation(12)]
    for simulation in simulations:
        simulation.run(6)
    first, again, other = simulations
    assert first.counts == again.counts
    assert first.acked == again.acked
    assert first.invariants.digests == again.invariants.digests
    assert first.acked != other.acked


def test_reads_and_snapshots_do_happen() -> None:
    simulation = Simulation(4, voters=5)
    simulation.run(12)
    assert simulation.counts["reads"] > 50
    assert simulation.counts["snapshots_sent"] > 0
    assert simulation.counts["change_membership"] > 0
