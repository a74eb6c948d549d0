"""Restorable: what backup and archive bring back is what was acknowledged by then, and nothing of later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.writes import (
    EVIDENCE_MAX,
    acks_of,
    details_of,
    found_in,
    nothing_acknowledged,
    seconds_in,
    served,
    writes_of,
)
from outlast.history.history import History, RestoredRead
from outlast.history.op import I64, Outcome
from outlast.units import format_lsn


@dataclass(frozen=True, slots=True)
class Restorable:
    """Compares a workload of unique values with a server that was restored from the backups.

    Restored to an instant, the server must hold every write that was acknowledged before it and none that was sent
    after it: what was open then may be there or not. Restored to the archive's end, every acknowledged write.

    Anomalies: ``lost``, acknowledged before the instant and missing; ``later``, sent after it and there;
    ``failed_but_present``, certainly refused and there; ``phantom``, written by nobody; ``duplicate``.

    A commit's time is taken before its record is written, so records may lie in the WAL a little out of their order in
    time. That is harmless here: recovery to an instant stops at the first commit that is later, and whatever lies
    behind it was acknowledged after the instant too. Source: PostgreSQL manual, recovery_target_time.
    """

    workload: str = "append"

    name: ClassVar[str] = "restorable"

    def check(self, history: History, deadline: int) -> Finding:
        """Return the number of lost writes as value. O(n log n) time, O(n) memory.

        UNKNOWN when nothing was restored or read, INVALID when nothing had been acknowledged by then.
        """
        read = history.restored
        if read is None:
            return Finding(self.name, Verdict.UNKNOWN, "nothing was restored", limit=0)
        if read.trouble:
            return Finding(self.name, Verdict.FAIL, f"the backup cannot be restored: {read.trouble}", limit=0)
        if self.workload not in read.values:
            return Finding(self.name, Verdict.UNKNOWN, "the restored server was not read", limit=0)
        ops = history.ops
        values = np.sort(read.values[self.workload])
        acked, writes = acks_of(history, self.workload), writes_of(history, self.workload)
        later = np.zeros(len(ops), dtype=np.bool_)
        if read.before_ns is not None and read.after_ns is not None:
            acked &= ops.complete_ns <= read.before_ns
            later = writes & (ops.invoke_ns >= read.after_ns)
        acks = int(acked.sum())
        if acks == 0:
            return nothing_acknowledged(self.name, 0)
        present = found_in(values, ops.value)
        lost = np.flatnonzero(acked & ~present)
        wrong = np.flatnonzero(later & present)
        refused = np.flatnonzero(writes & ops.outcome_is(Outcome.FAIL) & present)
        counts = {
            "lost": len(lost),
            "later": len(wrong),
            "failed_but_present": len(refused),
            "phantom": int((~found_in(np.sort(ops.value[writes]), values)).sum()),
            "duplicate": int((values[1:] == values[:-1]).sum()),
        }
        evidence = [
            Evidence(_where(read), (), {"backup": read.backup, "target": read.target, "took_s": read.took_s}),
            *_evidence(history, lost, "was acknowledged {} and is not in what was restored"),
            *_evidence(history, wrong, "was sent after the instant and is there; it was acknowledged {}"),
            *_evidence(history, refused, "was refused and is there; it was answered {}"),
        ]
        return Finding(
            self.name,
            Verdict.FAIL if any(counts.values()) else Verdict.PASS,
            _summary(history, read, acks, int(later.sum()), counts),
            value=len(lost),
            limit=0,
            anomalies={name: count for name, count in counts.items() if count},
            evidence=tuple(evidence[: 2 * EVIDENCE_MAX]),
        )


def _where(read: RestoredRead) -> str:
    return (
        f"{read.backup} and the archive to {read.target}: timeline {read.timeline} from {format_lsn(read.lsn)}, "
        f"writable after {read.took_s:.1f} s"
    )


def _summary(history: History, read: RestoredRead, acks: int, later: int, counts: dict[str, int]) -> str:
    if read.before_ns is None:
        by, after = "", ""
    else:
        by = f" by {seconds_in(history, read.before_ns):.3f} s"
        after = f", {counts['later']} of {later} of later"
    there = f"{acks - counts['lost']} of {acks} writes acknowledged{by} are there{after}"
    phrases = {
        "failed_but_present": "refused and yet there",
        "phantom": "written by nobody",
        "duplicate": "there more than once",
    }
    odd = [f"{counts[name]} {text}" for name, text in phrases.items() if counts[name]]
    return "; ".join([f"restored in {read.took_s:.1f} s: {there}", *odd])


def _evidence(history: History, indices: I64, what: str) -> list[Evidence]:
    evidence = []
    for index in indices[:EVIDENCE_MAX].tolist():
        details = details_of(history, index)
        evidence.append(Evidence(f"{details['value']} {what.format(served(details))}", (index,), details))
    return evidence
