"""Runs the simulator by hand:  python -m raftlog.sim [--seed N] [--seeds N] [--seconds S]

Each seed is one cluster; the first violation is printed with the command that replays it.
"""

from __future__ import annotations

import argparse
import sys

from raftlog.sim.invariants import Violation
from raftlog.sim.simulation import Simulation


def main(arguments: list[str]) -> int:
    """Run one simulation a seed; return 1 at the first violation."""
    parser = argparse.ArgumentParser(prog="python -m raftlog.sim", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds, one after the other")
    parser.add_argument("--seconds", type=float, default=30.0, help="simulated seconds of faults for each")
    options = parser.parse_args(arguments)
    for seed in range(options.seed, options.seed + options.seeds):
        simulation = Simulation(seed, voters=3 + 2 * (seed % 2))
        try:
            simulation.run(options.seconds)
            simulation.settle()
        except Violation as violation:
            print(violation)
            print(f"replay: python -m raftlog.sim --seed {seed} --seconds {options.seconds}")
            return 1
        print(
            f"seed {seed}: "
            + ", ".join(f"{count} {name}" for name, count in sorted(simulation.counts.items()))
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
