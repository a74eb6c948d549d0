"""Two of elle-cli's models: what was written later is not visible without what was written before it.

``comments``: ``write v``, each value once, and ``read`` of the set of all. ``sequential``: ``read [k [v …]]``, the
values of one client's subkeys from the last written to the first; nil where nothing was. Sources: elle-cli,
comments.clj and sequential.clj, after Jepsen's tests of CockroachDB.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.values import acked, attempted, each_key, list_of, nothing_to_judge, value_of
from outlast.errors import HistoryError
from outlast.history.history import History
from outlast.history.op import NONE, Ops
from outlast.history.values import freeze

_EVIDENCE_MAX = 8


@dataclass(frozen=True, slots=True)
class Comments:
    """A read that shows a write shows every write that had been acknowledged before that one began."""

    name: ClassVar[str] = "comments"

    def check(self, history: History, deadline: int) -> Finding:
        """Judge history, key by key. The deadline is not needed. O(values read, and n log n)."""
        ops = history.ops
        if (nothing := nothing_to_judge(self.name, ops)) is not None:
            return nothing
        writes = dict(each_key(ops, attempted(ops, "write")))
        done = set(acked(ops, "write").tolist())
        evidence: list[Evidence] = []
        count = 0
        for key, reads in each_key(ops, acked(ops, "read")):
            by_value: dict[Hashable, int] = {
                freeze(value_of(ops, index)): index for index in writes.get(key, reads[:0]).tolist()
            }
            in_time = sorted(
                (int(ops.complete_pos[index]), value) for value, index in by_value.items() if index in done
            )
            times = [time for time, _ in in_time]
            for read in reads.tolist():
                count += 1
                seen = {freeze(value) for value in list_of(ops, read)}
                shown = [by_value[value] for value in seen if value in by_value]
                latest = max(shown, key=lambda index: int(ops.invoke_pos[index]), default=None)
                if latest is None:
                    continue
                due = in_time[: bisect_left(times, int(ops.invoke_pos[latest]))]
                missing = [value for _, value in due if value not in seen]
                if missing:
                    message = (
                        f"op {read} shows op {latest} and not {missing[0]}, acknowledged before that began"
                    )
                    evidence.append(Evidence(message, (by_value[missing[0]], latest, read)))
        return _finding(self.name, "missing-write", evidence, f"{count} reads, none without an earlier write")


@dataclass(frozen=True, slots=True)
class Sequential:
    """A read of subkeys from the last to the first finds no gap: none is missing after one that was there."""

    name: ClassVar[str] = "sequential"

    def check(self, history: History, deadline: int) -> Finding:
        """Judge history. The deadline is not needed. O(values read). Raises HistoryError for other reads."""
        ops = history.ops
        if (nothing := nothing_to_judge(self.name, ops)) is not None:
            return nothing
        evidence: list[Evidence] = []
        reads = acked(ops, "read").tolist()
        for read in reads:
            values = _subkeys(ops, read)
            there = next((place for place, value in enumerate(values) if value is not None), len(values))
            if None in values[there:]:
                message = f"op {read} found {values[there]}, and nothing where an earlier write had been"
                evidence.append(Evidence(message, (read,)))
        return _finding(self.name, "trailing-nil", evidence, f"{len(reads)} reads, none with a gap")


def _subkeys(ops: Ops, read: int) -> list[object]:
    value = value_of(ops, read)
    if int(ops.key[read]) == NONE and isinstance(value, list) and len(value) == 2:
        value = value[1]
    if not isinstance(value, list):
        raise HistoryError(f"op {read} is no read of [key [values]]: {str(value)[:60]}")
    return value


def _finding(name: str, anomaly: str, evidence: list[Evidence], sound: str) -> Finding:
    return Finding(
        name,
        Verdict.FAIL if evidence else Verdict.PASS,
        evidence[0].message if evidence else sound,
        value=len(evidence),
        limit=0,
        anomalies={anomaly: len(evidence)} if evidence else {},
        evidence=tuple(evidence[:_EVIDENCE_MAX]),
    )
