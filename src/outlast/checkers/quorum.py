"""Without a majority: nothing may be acknowledged then, and soon after it is back something must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Final

import numpy as np

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.writes import EVIDENCE_MAX, acks_of, details_of, final_values, found_in, served
from outlast.history.history import JSON, History
from outlast.units import NS_PER_S

TAKING: Final[Mapping[str, Mapping[str, JSON]]] = {
    "cascading": {},
    "host_frozen": {},
    "host_power_off": {},
    "net_partition": {"kind": "isolate"},
    "power_loss": {},
    "process_kill": {},
    "process_pause": {},
    "process_stop": {},
    "stop_all_start_all": {},
}
"""Faults that leave each of their targets without the others, and with which parameters."""


def windows_without_majority(history: History) -> list[tuple[int, int]]:
    """Return the (start, end) times, ns, in which faults that bit had taken half of the nodes or more.

    From when the last of them had been injected until the first of them began to be healed. Nodes: all that were
    observed, or that the final read compared.
    """
    nodes = {seen.node for seen in history.observations if seen.source == "node"}
    if history.final is not None:
        nodes |= {content.node for content in history.final.contents} | {*history.final.missing}
    taken = [
        (fault.at_ns, fault.healing_ns or fault.healed_ns or history.end_ns, target)
        for fault in history.faults
        if fault.effective
        and fault.fault in TAKING
        and all(fault.params.get(name, value) == value for name, value in TAKING[fault.fault].items())
        for target in fault.targets
        if target in nodes
    ]
    moments = sorted({moment for start, end, _ in taken for moment in (start, end)})
    windows: list[tuple[int, int]] = []
    for start, end in pairwise(moments):
        gone = {target for since, until, target in taken if since <= start and end <= until}
        if len(nodes) - len(gone) > len(nodes) // 2:
            continue
        if windows and windows[-1][1] == start:
            windows[-1] = (windows[-1][0], end)
        else:
            windows.append((start, end))
    return windows


@dataclass(frozen=True, slots=True)
class NoMajority:
    """Counts acknowledged writes that were sent and answered while no majority was there."""

    workload: str
    limit: int = 0

    name: ClassVar[str] = "accepted_without_majority"

    def check(self, history: History, deadline: int) -> Finding:
        """Return their number as value. O(n · windows). INVALID when there was no such moment."""
        windows = windows_without_majority(history)
        if not windows:
            summary = "no fault took a majority of the nodes, so nothing is proven"
            return Finding(self.name, Verdict.INVALID, summary, limit=self.limit)
        ops = history.ops
        acked = acks_of(history, self.workload)
        inside = np.zeros(len(ops), dtype=np.bool_)
        tried = 0
        for start, end in windows:
            there = ops.invoke_ns >= start
            inside |= acked & there & (ops.complete_ns <= end)
            tried += int(np.count_nonzero(there & (ops.invoke_ns < end)))
        writes = np.flatnonzero(inside)
        seconds = sum(end - start for start, end in windows) / NS_PER_S
        evidence = tuple(
            Evidence(
                f"{details['value']} was acknowledged {served(details)}, without a majority",
                (index,),
                details,
            )
            for index in writes[:EVIDENCE_MAX].tolist()
            for details in (details_of(history, index),)
        )
        return Finding(
            self.name,
            Verdict.INVALID if not tried else Verdict.FAIL if len(writes) > self.limit else Verdict.PASS,
            f"{len(writes)} of {tried} writes tried in {seconds:.1f} s without a majority were acknowledged",
            value=len(writes),
            limit=self.limit,
            evidence=evidence,
        )


@dataclass(frozen=True, slots=True)
class WritableAgain:
    """Holds the time from the return of a majority to the next write that is acknowledged and stays."""

    workload: str
    limit: float

    name: ClassVar[str] = "writable_again"

    def check(self, history: History, deadline: int) -> Finding:
        """Return the longest such time in seconds as value. INVALID when the majority was never lost."""
        windows = windows_without_majority(history)
        values = final_values(history, self.workload)
        if not windows:
            return Finding(
                self.name, Verdict.INVALID, "no fault took a majority of the nodes", limit=self.limit
            )
        ops = history.ops
        stays = acks_of(history, self.workload)
        if values is not None:
            stays &= found_in(values, ops.value)
        acks = np.sort(ops.complete_ns[stays])
        longest = 0.0
        for _, end in windows:
            next_ack = int(np.searchsorted(acks, end))
            if next_ack == len(acks):
                summary = "no write was acknowledged after the majority had been healed"
                return Finding(self.name, Verdict.FAIL, summary, limit=self.limit)
            longest = max(longest, (int(acks[next_ack]) - end) / NS_PER_S)
        verdict = Verdict.PASS if longest <= self.limit else Verdict.FAIL
        summary = f"writable {longest:.3f} s after the healing of a majority began"
        return Finding(self.name, verdict, summary, value=round(longest, 6), limit=self.limit)
