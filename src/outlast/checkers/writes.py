"""What the checkers of a write load share: which writes were acknowledged, and which of them survived."""

from __future__ import annotations

from typing import Final

import numpy as np

from outlast.checkers.base import Finding, Verdict
from outlast.history.history import JSON, History
from outlast.history.op import I64, NONE, Mask, Outcome
from outlast.units import NS_PER_S, format_lsn

EVIDENCE_MAX: Final = 20
"""Pieces of evidence a finding carries at most; the anomalies' counts are exact."""


def writes_of(history: History, workload: str) -> Mask:
    """Return the mask of ops that write a value of the workload."""
    return history.ops.f_is(workload) & np.not_equal(history.ops.value, NONE)


def acks_of(history: History, workload: str) -> Mask:
    """Return the mask of the workload's acknowledged writes."""
    return writes_of(history, workload) & history.ops.outcome_is(Outcome.OK)


def final_values(history: History, workload: str) -> I64 | None:
    """Return what the final read found of a workload, sorted; None when there was none."""
    if history.final is None or workload not in history.final.values:
        return None
    values = history.final.values[workload]
    return values if bool((values[1:] >= values[:-1]).all()) else np.sort(values)


def found_in(values: I64, wanted: I64) -> Mask:
    """Return which of the wanted values are in values (sorted). O(n log m)."""
    if not len(values):
        return np.zeros(len(wanted), dtype=np.bool_)
    place = np.minimum(np.searchsorted(values, wanted), len(values) - 1)
    return np.equal(values[place], wanted)


def nothing_acknowledged(name: str, limit: JSON = None) -> Finding:
    """Return the finding on a history in which nothing was acknowledged: it proves nothing."""
    return Finding(name, Verdict.INVALID, "nothing was acknowledged, so the run proves nothing", limit=limit)


def no_final_read(name: str, limit: JSON = None) -> Finding:
    """Return the finding on a history without the final read that would tell which writes survived."""
    return Finding(name, Verdict.UNKNOWN, "there is no final read to judge by", limit=limit)


def seconds_in(history: History, at_ns: int) -> float:
    """Return a moment as seconds since the load began."""
    start_ns = history.start_ns or (int(history.ops.invoke_ns[0]) if len(history.ops) else 0)
    return (at_ns - start_ns) / NS_PER_S


def details_of(history: History, index: int) -> dict[str, JSON]:
    """Return who answered an op, where and when, as a finding shows it."""
    ops = history.ops
    return {
        "value": int(ops.value[index]),
        "process": int(ops.process[index]),
        "node": ops.node_name(index),
        "timeline": int(ops.timeline[index]),
        "lsn": format_lsn(int(ops.lsn[index])),
        "at_s": round(seconds_in(history, int(ops.complete_ns[index])), 6),
    }


def served(details: dict[str, JSON]) -> str:
    """Return ``by n1 on timeline 1 at 0/3000148, 5.1 s into the load``."""
    return (
        f"by {details['node'] or 'an unknown node'} on timeline {details['timeline']} at {details['lsn']}, "
        f"{details['at_s']:.3f} s into the load"
    )
