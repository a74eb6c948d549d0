"""What happened to operations over time, in buckets: throughput by fate and latency percentiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from outlast.checkers.writes import acks_of, final_values, found_in
from outlast.history.history import History
from outlast.history.op import NEVER, Mask, Outcome
from outlast.units import NS_PER_S

F64 = npt.NDArray[np.float64]

WIDTHS_S: Final = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0),
    *(300.0, 600.0, 1800.0, 3600.0),
)
QUANTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}


@dataclass(frozen=True, slots=True)
class OpTimes:
    """A history's ops as the page needs them, (n) each: seconds since the load began, and fate.

    end_s: completion, or invocation for one that never completed. latency_s: NaN for those. lost: acknowledged
    and missing from the final read.
    """

    start_s: F64
    end_s: F64
    latency_s: F64
    outcome: npt.NDArray[np.uint8]
    lost: Mask


def op_times(history: History) -> OpTimes:
    """Return the times and fates of all ops. O(n log n)."""
    ops = history.ops
    origin = history.start_ns or (int(ops.invoke_ns[0]) if len(ops) else 0)
    done = ops.complete_ns != NEVER
    start_s = (ops.invoke_ns - origin) / NS_PER_S
    end_s = np.where(done, (np.where(done, ops.complete_ns, 0) - origin) / NS_PER_S, start_s)
    latency_s = np.where(done, end_s - start_s, np.nan)
    return OpTimes(start_s, end_s, latency_s, ops.outcome, lost_writes(history))


def lost_writes(history: History) -> Mask:
    """Return which acknowledged writes, of all workloads in the final read, it misses. O(n log n)."""
    lost = np.zeros(len(history.ops), dtype=np.bool_)
    for workload in history.final.values if history.final is not None else ():
        values = final_values(history, workload)
        if values is not None and workload in history.ops.f_names:
            lost |= acks_of(history, workload) & ~found_in(values, history.ops.value)
    return lost


@dataclass(frozen=True, slots=True)
class Series:
    """k buckets, each width_s seconds from start_s on. Rates per second by fate; latencies in ms, NaN where none."""

    start_s: float
    width_s: float
    kept: F64
    lost: F64
    refused: F64
    unknown: F64
    latency_ms: dict[str, F64]

    def __len__(self) -> int:
        return len(self.kept)


def bucket_width_s(seconds: float, buckets_max: int) -> float:
    """Return the smallest round width that cuts a time into at most buckets_max."""
    return next((width for width in WIDTHS_S if width * buckets_max >= seconds), WIDTHS_S[-1])


def series(times: OpTimes, start_s: float, end_s: float, width_s: float) -> Series:
    """Return the ops that ended in [start_s, end_s) by bucket. O(n log n), one sort."""
    count = max(1, int(np.ceil((end_s - start_s) / width_s)))
    inside = (times.end_s >= start_s) & (times.end_s < start_s + count * width_s)
    bucket = ((times.end_s[inside] - start_s) / width_s).astype(np.int64).clip(0, count - 1)
    outcome, lost = times.outcome[inside], times.lost[inside]

    def rate(chosen: Mask) -> F64:
        return np.bincount(bucket[chosen], minlength=count) / width_s

    acked = outcome == int(Outcome.OK)
    return Series(
        start_s,
        width_s,
        kept=rate(acked & ~lost),
        lost=rate(lost),
        refused=rate(outcome == int(Outcome.FAIL)),
        unknown=rate((outcome == int(Outcome.INFO)) | (outcome == int(Outcome.LOCAL))),
        latency_ms=_latencies(bucket[acked], times.latency_s[inside][acked] * 1000, count),
    )


def _latencies(bucket: npt.NDArray[np.int64], latency_ms: F64, count: int) -> dict[str, F64]:
    """Return the quantiles of each bucket: one sort of bucket and latency together."""
    if not len(latency_ms):
        return {name: np.full(count, np.nan) for name in QUANTILES}
    step = float(latency_ms.max()) * 2 + 1
    ordered = np.sort(bucket * step + latency_ms)
    sizes = np.bincount(bucket, minlength=count)
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    there = sizes > 0
    found = {}
    for name, share in QUANTILES.items():
        values = np.full(count, np.nan)
        place = first[there] + np.ceil(share * sizes[there] - 1e-9).astype(np.int64).clip(1) - 1
        values[there] = ordered[place] - np.flatnonzero(there) * step
        found[name] = values
    return found
