"""Was this machine too busy to judge by time? A verdict that our own slowness may have made is none.

It is never an excuse for what no slowness can do: a lost write, two writers, tables that differ.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Final

import numpy as np

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.windows import fault_windows, outside
from outlast.history.history import JSON, FaultRecord, History
from outlast.history.lateness import Lateness
from outlast.history.op import NEVER, Outcome
from outlast.units import NS_PER_S

WANTED_SHARE_MAX: Final = 0.5
"""Of the time, in which some program waited for a core: beyond it every other step of a server came late."""
STOLEN_SHARE_MAX: Final = 0.1
LAG_S_MAX: Final = 1.0
FAULT_LATE_S_MAX: Final = 2.0
UNSENT_SHARE_MAX: Final = 0.25
"""Of the ops, that no client was free to send while others were answered and no fault was under way: the load was not
the one asked for."""
PAD_NS: Final = NS_PER_S
ANSWERED_NS: Final = NS_PER_S // 4
UNSENT: Final = "not sent: every client is busy"

BY_TIME: Final = frozenset(
    {
        "availability",
        "command_outage",
        "experiment",
        "expected_finding",
        "outage",
        "read_errors",
        "recovery",
        "rejoin",
        "replay_lag",
        "success",
        "unplanned_promotions",
        "writable_again",
        "write_errors",
    }
)
"""Findings on times, throughput and refused ops; so are those whose name ends with ``_s``."""
_LATE_ONLY: Final = {"replicas_equal": frozenset({"missing"})}
"""Findings on more than time, and which of their anomalies may be lateness alone."""
_STARVING: Final = "cpu_starve"
"""The fault that takes processor time on purpose: what it makes others wait is the experiment."""


def too_busy(lateness: Lateness | None, faults: tuple[FaultRecord, ...], start_ns: int, end_ns: int) -> str:
    """Return why this machine was too busy from start_ns to end_ns to judge by time; "" when it was not."""
    if lateness is None:
        return ""
    wanted, stolen = lateness.shares(start_ns, end_ns)
    lag_s = lateness.lag_s(start_ns, end_ns)
    starved = any(
        fault.fault == _STARVING and fault.started_ns < end_ns and start_ns < (fault.healed_ns or NEVER)
        for fault in faults
    )
    reasons = []
    if wanted > WANTED_SHARE_MAX and not starved:
        reasons.append(
            f"programs waited for a core in {wanted:.0%} of the time, at most {WANTED_SHARE_MAX:.0%}"
        )
    if stolen > STOLEN_SHARE_MAX:
        reasons.append(f"{stolen:.0%} of its processor time was stolen, at most {STOLEN_SHARE_MAX:.0%}")
    if lag_s > LAG_S_MAX:
        reasons.append(f"the tool itself came {lag_s:.1f} s late, at most {LAG_S_MAX:g} s")
    return f"this machine was too busy ({'; '.join(reasons)})" if reasons else ""


def excused(
    finding: Finding, lateness: Lateness | None, faults: tuple[FaultRecord, ...], start_ns: int
) -> Finding:
    """Return a finding as it is, or ``invalid`` when it does not pass, is on time, and the machine was too busy then.

    start_ns: of the load, from which a finding that names a time counts; any other is on the whole time watched.
    """
    if lateness is None or not lateness.samples or finding.verdict not in (Verdict.FAIL, Verdict.UNKNOWN):
        return finding
    is_by_time = finding.name in BY_TIME or finding.name.endswith("_s")
    late_only = _LATE_ONLY.get(finding.name, frozenset())
    if not is_by_time and not (finding.anomalies and set(finding.anomalies) <= late_only):
        return finding
    since_ns, until_ns = lateness.samples[0][0], lateness.samples[-1][0]
    details = finding.evidence[0].details if finding.evidence else {}
    from_s, until_s = details.get("from_s"), details.get("until_s")
    if isinstance(from_s, float) and isinstance(until_s, float):
        since_ns = start_ns + int(from_s * NS_PER_S) - PAD_NS
        until_ns = start_ns + int(until_s * NS_PER_S) + PAD_NS
    reason = too_busy(lateness, faults, since_ns, until_ns)
    return (
        replace(finding, verdict=Verdict.INVALID, summary=f"{reason}: {finding.summary}")
        if reason
        else finding
    )


def unsent_share(history: History) -> float:
    """Return the share of ops that no client was free to send, among those due in the load, outside faults, and while
    others were acknowledged: in an outage every client waits for the database. O(n log n).
    """
    ops = history.ops
    acks = np.sort(ops.complete_ns[ops.outcome_is(Outcome.OK)])
    near = np.searchsorted(acks, ops.invoke_ns + ANSWERED_NS) - np.searchsorted(
        acks, ops.invoke_ns - ANSWERED_NS
    )
    code = ops.error_names.index(UNSENT) if UNSENT in ops.error_names else -2
    due = outside(ops.invoke_ns, fault_windows(history)) & (ops.invoke_ns >= history.start_ns) & (near > 0)
    count = int(due.sum())
    unsent = due & (ops.error == code) & ops.outcome_is(Outcome.FAIL)
    return int(np.count_nonzero(unsent)) / count if count else 0.0


def figures(
    lateness: Lateness, faults: tuple[FaultRecord, ...] = (), unsent: float | None = None
) -> dict[str, JSON] | None:
    """Return how late the tool was, as reports show it; None where nothing was noted. unsent: see ``unsent_share``."""
    if not lateness.samples:
        return None
    since_ns, until_ns = lateness.samples[0][0], lateness.samples[-1][0]
    wanted, stolen = lateness.shares(since_ns, until_ns)
    return {
        "wanted": round(wanted, 4),
        "stolen": round(stolen, 4),
        "lag_s": round(lateness.lag_s(since_ns, until_ns), 3),
        "fault_late_s": round(lateness.fault_late_s, 3),
        "look_s": round(lateness.look_s, 3),
        "unsent": None if unsent is None else round(unsent, 4),
        "too_busy": too_busy(lateness, faults, since_ns, until_ns) or None,
    }


@dataclass(frozen=True, slots=True)
class AsPlanned:
    """``invalid`` when this machine kept the experiment from being the one that was planned: ops that nobody was free
    to send, a fault that came late."""

    name: ClassVar[str] = "as_planned"

    def check(self, history: History, deadline: int) -> Finding:
        """Judge what the run noted of itself; a pass where it noted nothing. O(ops)."""
        lateness = history.lateness
        if lateness is None or not lateness.samples:
            return Finding(self.name, Verdict.PASS, "how late the tool was is not known")
        reason = too_busy(lateness, history.faults, lateness.samples[0][0], lateness.samples[-1][0])
        unsent = unsent_share(history)
        wrong = []
        if lateness.fault_late_s > FAULT_LATE_S_MAX:
            wrong.append(f"a fault came {lateness.fault_late_s:.1f} s late, at most {FAULT_LATE_S_MAX:g} s")
        if unsent > UNSENT_SHARE_MAX and reason:
            wrong.append(f"{unsent:.0%} of the ops found no client free, at most {UNSENT_SHARE_MAX:.0%}")
        if wrong:
            said = "; ".join([reason or "this machine was too busy", *wrong])
            return Finding(self.name, Verdict.INVALID, said, evidence=(Evidence(said),))
        return Finding(self.name, Verdict.PASS, "faults and ops came at their times")
