"""How a cluster serves between faults: acknowledgements a second, and the share of operations acknowledged.

What happens while a fault lasts is judged by the outage. A fault's window ends once it is healed and an acknowledgement
has come since.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from outlast.checkers.base import Finding, Verdict
from outlast.checkers.windows import Window, fault_windows, outside
from outlast.checkers.writes import acks_of, nothing_acknowledged, writes_of
from outlast.history.history import History
from outlast.units import NS_PER_S

GRACE_S: Final = 1.0
"""For how long after the first acknowledgement what had piled up is still the fault's."""

QUIET_MIN_S: Final = 3.0
"""With less time than this between faults there is nothing to be measured."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """Holds a workload's acknowledgements a second, between faults, to a lower limit."""

    workload: str
    limit: int

    name: ClassVar[str] = "throughput"

    def check(self, history: History, deadline: int) -> Finding:
        """Return the rate as value; UNKNOWN when the faults left too little time. O(ops · faults)."""
        acks = acks_of(history, self.workload)
        if not acks.any():
            return nothing_acknowledged(self.name, self.limit)
        windows = _windows(history, self.workload)
        quiet_s = _quiet_s(history, windows)
        if quiet_s < QUIET_MIN_S:
            return _no_time(self.name, self.limit, quiet_s)
        moments = history.ops.complete_ns[acks]
        counted = outside(moments, windows) & (moments >= history.start_ns) & (moments <= history.end_ns)
        rate = int(counted.sum()) / quiet_s
        said = f"{rate:.1f} acknowledged a second in {quiet_s:.1f} s between faults, at least {self.limit} wanted"
        verdict = Verdict.PASS if rate >= self.limit else Verdict.FAIL
        return Finding(self.name, verdict, said, value=round(rate, 1), limit=self.limit, at_least=True)


@dataclass(frozen=True, slots=True)
class Success:
    """Holds the share of a workload's ops, begun and ended between faults, that were acknowledged to a lower limit."""

    workload: str
    limit: float

    name: ClassVar[str] = "success"

    def check(self, history: History, deadline: int) -> Finding:
        """Return the share as value; ops that were due and could not be sent count against it. O(ops · faults)."""
        acks, ops = acks_of(history, self.workload), history.ops
        if not acks.any():
            return nothing_acknowledged(self.name, self.limit)
        windows = _windows(history, self.workload)
        mine = writes_of(history, self.workload) & outside(ops.invoke_ns, windows)
        for start, end in windows:  # what was under way when a fault began is the fault's
            mine &= ~((ops.invoke_ns < start) & (ops.complete_ns >= start) & (ops.invoke_ns < end))
        asked = int(mine.sum())
        if not asked:
            return _no_time(self.name, self.limit, _quiet_s(history, windows))
        share = int((mine & acks).sum()) / asked
        said = f"{share:.3%} of {asked} ops between faults acknowledged, at least {self.limit:.3%} wanted"
        verdict = Verdict.PASS if share >= self.limit else Verdict.FAIL
        return Finding(self.name, verdict, said, value=round(share, 6), limit=self.limit, at_least=True)


def _no_time(name: str, limit: float, quiet_s: float) -> Finding:
    said = f"the faults left {quiet_s:.1f} s between them, too little to be measured"
    return Finding(name, Verdict.UNKNOWN, said, limit=limit, at_least=True)


def _windows(history: History, workload: str) -> tuple[Window, ...]:
    """Return the windows of faults, each until the first acknowledgement after its healing and GRACE_S more."""
    acked = np.sort(history.ops.complete_ns[acks_of(history, workload)])
    windows = []
    for start, end in fault_windows(history):
        place = int(np.searchsorted(acked, end))
        served_ns = int(acked[place]) if place < len(acked) else history.end_ns
        windows.append((start, max(end, served_ns) + int(GRACE_S * NS_PER_S)))
    return tuple(windows)


def _quiet_s(history: History, windows: tuple[Window, ...]) -> float:
    """Return the seconds of the load that lie in no window."""
    quiet_ns, at_ns = 0, history.start_ns
    for start, end in sorted(windows):
        quiet_ns += max(0, min(start, history.end_ns) - at_ns)
        at_ns = max(at_ns, end)
    return (quiet_ns + max(0, history.end_ns - at_ns)) / NS_PER_S
