"""Time, as measured and as printed.

Everything that is compared is CLOCK_MONOTONIC in nanoseconds: one clock for all processes of a machine,
untouched by clock faults. Wall time is only printed.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from outlast.units import NS_PER_S

now_ns = time.monotonic_ns
"""Nanoseconds of CLOCK_MONOTONIC, the same in every process of the machine."""


def deadline_ns(timeout_s: float) -> int:
    """Return the monotonic time, in ns, at which a wait of timeout_s seconds that starts now must end."""
    return now_ns() + int(timeout_s * NS_PER_S)


def seconds_until(deadline: int) -> float:
    """Return the seconds left until a monotonic deadline in ns, 0.0 once it has passed."""
    return max(0.0, (deadline - now_ns()) / NS_PER_S)


def seconds_between(start_ns: int, end_ns: int) -> float:
    """Return the seconds from start_ns to end_ns."""
    return (end_ns - start_ns) / NS_PER_S


def timestamp() -> str:
    """Return wall time in UTC, sortable and usable in a file name, for example ``20260102T030405Z``."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")


def wall_ms() -> int:
    """Return wall time as milliseconds since 1970, as a browser counts them."""
    return time.time_ns() // 1_000_000
