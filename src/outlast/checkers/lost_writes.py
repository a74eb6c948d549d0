"""Lost writes: what was acknowledged and is gone, and what is there and should not be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.lost_cause import CAUSES, LostCause
from outlast.checkers.values import list_of
from outlast.checkers.writes import (
    EVIDENCE_MAX,
    acks_of,
    details_of,
    final_values,
    found_in,
    no_final_read,
    nothing_acknowledged,
    seconds_in,
    served,
    writes_of,
)
from outlast.history.history import JSON, History
from outlast.history.op import I64, Mask, Outcome
from outlast.history.soak_rows import INSERT, NOT_OURS, row_name
from outlast.units import format_lsn


@dataclass(frozen=True, slots=True)
class LostWrites:
    """Compares a workload of unique values with the final read.

    Anomalies: ``lost``, acknowledged and missing, held to the limit; ``local_lost``, reported as committed
    locally with a warning and missing, which is told but fails only above local_limit when that is given.
    Always a failure: ``failed_but_present``, certainly refused and yet there; ``phantom``, written by nobody;
    ``duplicate``, a value more often than it was tried.

    A value that was tried several times has as many rows as tries were acknowledged, at least, and as did not certainly
    fail, at most. What was acknowledged after the final read had begun is not judged.

    Source: Jepsen checker.clj, set.
    """

    workload: str = "append"
    limit: int = 0
    local_limit: int | None = None

    name: ClassVar[str] = "lost_writes"

    def check(self, history: History, deadline: int) -> Finding:
        """Return the number of lost acknowledged writes as value. O(n log n) time, O(n) memory.

        INVALID when nothing was acknowledged, UNKNOWN without a final read.
        """
        values = final_values(history, self.workload)
        acked = acks_of(history, self.workload)
        acks = int(acked.sum())
        if acks == 0:
            return nothing_acknowledged(self.name, self.limit)
        if values is None:
            return no_final_read(self.name, self.limit)
        ops = history.ops
        writes = writes_of(history, self.workload)
        failed_ops = ops.outcome_is(Outcome.FAIL)
        present = found_in(values, ops.value)
        lost = _lost(history, acked, values)
        local_lost = np.flatnonzero(writes & ops.outcome_is(Outcome.LOCAL) & ~present)
        # One value may be tried several times: each try that did not certainly fail may have left a row.
        tried = np.sort(ops.value[writes & ~failed_ops])
        refused = np.flatnonzero(writes & failed_ops & present & ~found_in(tried, ops.value))
        phantoms = values[~found_in(np.sort(ops.value[writes]), values)]
        duplicates = _beyond(values, tried)

        counts = {
            "lost": len(lost),
            "local_lost": len(local_lost),
            "failed_but_present": len(refused),
            "phantom": len(phantoms),
            "duplicate": len(duplicates),
        }
        cause = LostCause(history, self.workload)
        evidence = [
            *_evidence(history, lost, cause, "was acknowledged {} and is gone"),
            *_evidence(history, refused, None, "was refused, certainly not done, and is there"),
            *_value_evidence(self.workload, phantoms, "is there and nobody wrote it"),
            *_value_evidence(self.workload, duplicates, "is there more than once"),
            *_evidence(
                history,
                local_lost,
                cause,
                "was reported as committed locally, with a warning, {} and is gone",
            ),
        ]
        failed = (
            len(lost) > self.limit
            or (self.local_limit is not None and len(local_lost) > self.local_limit)
            or any(counts[name] for name in ("failed_but_present", "phantom", "duplicate"))
        )
        return Finding(
            self.name,
            Verdict.FAIL if failed else Verdict.PASS,
            _summary(history, lost, acks, counts, cause),
            value=len(lost),
            limit=self.limit,
            anomalies={name: count for name, count in counts.items() if count},
            evidence=tuple(evidence[: 2 * EVIDENCE_MAX]),
        )


def _counted(values: I64, wanted: I64) -> I64:
    """Return how often each of the wanted values is in values (sorted)."""
    return np.searchsorted(values, wanted, side="right") - np.searchsorted(values, wanted, side="left")


def _lost(history: History, acked: Mask, values: I64) -> I64:
    """Return the acks, of those told before the final read, that have no row: of a value with fewer rows than acks the
    later ones."""
    ops, final = history.ops, history.final
    assert final is not None
    acks = np.flatnonzero(acked & ((ops.complete_ns <= final.at_ns) | (final.at_ns == 0)))
    acks = acks[np.lexsort((acks, ops.value[acks]))]
    told = ops.value[acks]
    place = np.arange(len(acks)) - np.searchsorted(told, told)  # among the acks of its value
    return np.sort(acks[place >= _counted(values, told)])


def _beyond(values: I64, tried: I64) -> I64:
    """Return the values, of those there several times, that are there more often than they were tried."""
    place = np.arange(len(values)) - np.searchsorted(values, values)
    return values[(place > 0) & (place >= _counted(tried, values))]


def _summary(history: History, lost: I64, acks: int, counts: dict[str, int], cause: LostCause) -> str:
    if len(lost):
        acked_ns = history.ops.complete_ns[lost]
        first_s, last_s = seconds_in(history, int(acked_ns.min())), seconds_in(history, int(acked_ns.max()))
        said = f"{len(lost)} of {acks} acknowledged writes are lost, acked {first_s:.3f} to {last_s:.3f} s in"
        said += f"; cause: {cause.counted(lost.tolist())}"
    else:
        said = f"all {acks} acknowledged writes are there"
    phrases = {
        "local_lost": "lost after a warning that they were committed locally only",
        "failed_but_present": "refused and yet there",
        "phantom": "written by nobody",
        "duplicate": "there more than once",
    }
    return "; ".join([said, *(f"{counts[name]} {text}" for name, text in phrases.items() if counts[name])])


def _evidence(history: History, indices: I64, cause: LostCause | None, what: str) -> list[Evidence]:
    """Return evidence on some ops; a place in what is filled with who served the op. cause: of lost ones."""
    evidence = []
    for index in indices[:EVIDENCE_MAX].tolist():
        details = details_of(history, index)
        message = f"{_row(history, index, details)} {what.format(served(details))}"
        if cause is not None:
            details["cause"] = cause.of(index)
            branch = cause.branched_before(index)
            if branch is not None:
                details["branched_at"] = format_lsn(branch[1])
                message += f": timeline {branch[0]} had branched off at {format_lsn(branch[1])}, before it"
            details["where"] = cause.where(index)
            message += f"; {CAUSES[str(details['cause'])]}; {details['where']}"
        evidence.append(Evidence(message, (index,), details))
    return evidence


def _row(history: History, index: int, details: dict[str, JSON]) -> str:
    """Return what a write's row is called in its table, and note its id in details where that is not its value."""
    ops = history.ops
    if ops.f_names[int(ops.f[index])] != INSERT:
        return str(details["value"])
    told = list_of(ops, index)
    name = row_name(int(ops.value[index]))
    if not told:
        return f"row {name}"
    details["row"] = int(told[0])
    return f"row {details['row']} ({name})"


def _value_evidence(workload: str, values: I64, what: str) -> list[Evidence]:
    """Return evidence on values of the final read."""
    evidence = []
    for value in values[:EVIDENCE_MAX].tolist():
        if value == NOT_OURS:
            evidence.append(Evidence(f"a row that holds no value of {workload} {what}", (), {"value": None}))
        else:
            name = row_name(value) if workload == INSERT else str(value)
            evidence.append(Evidence(f"{name} {what}", (), {"value": value}))
    return evidence
