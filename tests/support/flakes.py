"""Repeat a test and give its rate of failure, with its interval: python tests/support/flakes.py TEST RUNS

Each run is a pytest of its own, so that no run's state is the next one's. ``tests/flakes.toml`` keeps what was counted.
"""

from __future__ import annotations

import math
import subprocess
import sys
from statistics import NormalDist
from time import monotonic

CONFIDENCE = 0.95
LAST_LINES = 30


def wilson(failures: int, runs: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the interval in which the rate of failure lies with that confidence, also when nothing has failed yet.

    Source: Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    rate = failures / runs
    middle = (rate + z * z / (2 * runs)) / (1 + z * z / runs)
    half = z / (1 + z * z / runs) * math.sqrt(rate * (1 - rate) / runs + z * z / (4 * runs * runs))
    return max(0.0, middle - half), min(1.0, middle + half)


def repeat(test: str, runs: int) -> int:
    """Run a test so many times, show how each failure ended, and return how many there were.

    Ends the program when pytest cannot run the test at all: what does not exist never fails.
    """
    failures = 0
    for number in range(1, runs + 1):
        start = monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode not in (0, 1) and done.returncode >= 0:
            sys.exit(f"pytest cannot run {test}:\n{done.stdout}{done.stderr}")
        failed = done.returncode != 0
        failures += failed
        print(
            f"{number:4} of {runs}: {'FAILED' if failed else 'passed'} in {monotonic() - start:.1f} s",
            flush=True,
        )
        if failed:
            print("\n".join(done.stdout.splitlines()[-LAST_LINES:]), flush=True)
    return failures


def main() -> int:
    """Repeat the test that the command line names; 1 when it failed at least once."""
    if len(sys.argv) != 3 or not sys.argv[1] or not sys.argv[2].isdigit() or int(sys.argv[2]) < 1:
        print("usage: make flakes TEST=tests/…::test_name N=50", file=sys.stderr)
        return 64
    test, runs = sys.argv[1], int(sys.argv[2])
    failures = repeat(test, runs)
    low, high = wilson(failures, runs)
    print(f"{test}: {failures} of {runs} failed, {failures / runs:.1%}; 95 %: {low:.1%} to {high:.1%}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
