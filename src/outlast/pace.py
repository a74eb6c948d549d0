"""How patient to be: one factor, from the machine's own pace, under every bound of a wait.

A bound says how long something takes at most on a quiet machine of ordinary speed. On a slow or busy machine the same
work takes longer without anything being wrong, so each bound of the harness is multiplied by one factor. Limits that
judge a database (outage, detection, recovery) are never multiplied, nor are durations that a person asked for.

The factor is measured once in a process, at its first wait, in about 3 ms. ``OUTLAST_PACE`` sets it instead, for this
process and all that it starts. Patroni's acceptance tests do the same with their ``timeout_multiplier``
(patroni/patroni features/environment.py).
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from functools import cache
from pathlib import Path
from typing import Final

from outlast.clock import deadline_ns

VARIABLE: Final = "OUTLAST_PACE"
FACTOR_MAX: Final = 8.0
"""A wait that is longer than this many times its bound waits for something that will not come."""
PROBE_ROUNDS: Final = 3
PROBE_STEPS: Final = 20_000
PROBE_NS: Final = 1_500_000
"""What PROBE_STEPS take, at most, on a core of 2020: 0.6 to 1.2 ms were measured with CPython 3.11 to 3.13."""


@cache
def factor() -> float:
    """Return the number, from 1 to FACTOR_MAX, by which this process multiplies its bounds."""
    with contextlib.suppress(ValueError):
        given = float(os.environ.get(VARIABLE, ""))
        if math.isfinite(given):
            return _clamped(given)
    return _clamped(_slowness() * (1 + _busyness()))


def scaled(timeout_s: float) -> float:
    """Return how long to wait on this machine, in seconds, for what takes at most timeout_s on a quiet one."""
    return timeout_s * factor()


def scaled_deadline_ns(timeout_s: float) -> int:
    """Return the monotonic time, in ns, at which a wait of scaled(timeout_s) that starts now must end."""
    return deadline_ns(scaled(timeout_s))


def describe() -> str:
    """Return the factor in words."""
    found = factor()
    if found == 1:
        return "waits have their usual bounds"
    why = f"by {VARIABLE}" if VARIABLE in os.environ else "because this machine is slow or busy"
    return f"waits are bounded {found:g} times as long as usual, {why}"


def _clamped(raw: float) -> float:
    """Keep a factor within its range, in steps that a person can compare; next to nothing is nothing."""
    return 1.0 if raw < 1.25 else min(FACTOR_MAX, round(raw, 1))


def _slowness() -> float:
    """Return how many times as long as on an ordinary core the same work takes here, in CPU time; at least 1."""
    best = min(_probe() for _ in range(PROBE_ROUNDS))
    return max(1.0, best / PROBE_NS)


def _probe() -> int:
    start = time.thread_time_ns()
    total = 0
    for number in range(PROBE_STEPS):
        total += number & 7
    return time.thread_time_ns() - start


def _busyness() -> float:
    """Return how many tasks there are to each core besides this one, of late or now, whichever is more.

    Source: proc_loadavg(5); its fourth field counts the tasks that can run at this moment, this one among them.
    """
    try:
        minute, _five, _fifteen, tasks, _last = Path("/proc/loadavg").read_text().split()
        now = int(tasks.partition("/")[0]) - 1
    except (OSError, ValueError):
        return 0.0
    return max(float(minute), now) / (os.cpu_count() or 1)
