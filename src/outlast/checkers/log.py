"""A replicated log: entries lost, duplicated, reordered, and gaps between offsets.

``append`` ops carry a unique value; ``read`` ops give entries in log order, each a value or a pair
[offset, value]. Source: the checks of jepsen.tests.kafka, for one consumer that reads from the beginning.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.linearizable.models import freeze
from outlast.checkers.values import acked, attempted, each_key, list_of, nothing_to_judge, value_of
from outlast.history.history import History
from outlast.history.op import I64, NEVER, Ops, Outcome


@dataclass(frozen=True, slots=True)
class Log:
    """The longest read of each log holds every acknowledged entry once, in an order that real time allows."""

    @property
    def name(self) -> str:
        """``log``."""
        return "log"

    def check(self, history: History, deadline: int) -> Finding:
        """Judge history; ``unknown`` when no log was read. The deadline is not needed. O(n log n)."""
        ops = history.ops
        if (nothing := nothing_to_judge(self.name, ops)) is not None:
            return nothing
        reads = dict(each_key(ops, acked(ops, "read")))
        if not reads:
            return Finding(self.name, Verdict.UNKNOWN, "the log was never read")
        appends = dict(each_key(ops, attempted(ops, "append")))
        anomalies: dict[str, int] = {}
        evidence: list[Evidence] = []
        none = np.zeros(0, dtype=np.int64)
        for key in sorted({*reads, *appends}):
            for name, message, involved in _judge(ops, appends.get(key, none), reads.get(key, none)):
                anomalies[name] = anomalies.get(name, 0) + 1
                if anomalies[name] <= 4:
                    evidence.append(Evidence(f"{name}: {message}", ops=involved))
        listed = ", ".join(f"{count} {name}" for name, count in anomalies.items())
        return Finding(
            self.name,
            Verdict.FAIL if anomalies else Verdict.PASS,
            f"{listed}: {evidence[0].message}"
            if anomalies
            else f"{len(reads)} logs hold all that was acknowledged",
            value=anomalies.get("lost", 0),
            limit=0,
            anomalies=anomalies,
            evidence=tuple(evidence),
        )


_Violation = tuple[str, str, tuple[int, ...]]


def _judge(ops: Ops, appends: I64, reads: I64) -> Iterator[_Violation]:
    by_value: dict[Hashable, int] = {freeze(value_of(ops, index)): index for index in appends.tolist()}
    contents = {read: _entries(ops, read) for read in reads.tolist()}
    for read, (offsets, values) in contents.items():
        yield from _within(read, offsets, values)
        yield from (
            ("garbage", f"{_shown(v)} was never appended", (read,)) for v in values if v not in by_value
        )
    longest = max(contents, key=lambda read: len(contents[read][1]), default=-1)
    order = {value: place for place, value in enumerate(contents[longest][1])} if longest >= 0 else {}
    for read, (_, values) in contents.items():
        places = [order[value] for value in values if value in order]
        if places != sorted(places):
            yield "reordered", f"op {read} shows entries in another order than op {longest}", (read, longest)
    yield from _against_time(ops, by_value, order)
    last = int(ops.invoke_pos[reads].max()) if len(reads) else -1
    seen = {value for _, values in contents.values() for value in values}
    for value, index in by_value.items():
        known = ops.outcome[index] == int(Outcome.OK) and ops.complete_pos[index] < last
        if (known or value in seen) and value not in order:
            yield "lost", f"{_shown(value)} was acknowledged and is in no later read", (index,)


def _within(read: int, offsets: list[int] | None, values: list[Hashable]) -> Iterator[_Violation]:
    """Yield what is wrong within one read."""
    if len(set(values)) < len(values):
        twice = next(value for value in values if values.count(value) > 1)
        yield "duplicated", f"op {read} shows {_shown(twice)} more than once", (read,)
    if offsets is None:
        return
    for before, after in pairwise(offsets):
        if after != before + 1:
            kind = "gap" if after > before else "reordered"
            yield kind, f"op {read} goes from offset {before} to {after}", (read,)


def _against_time(
    ops: Ops, by_value: dict[Hashable, int], order: dict[Hashable, int]
) -> Iterator[_Violation]:
    """Yield entries that stand before one whose append had been acknowledged before theirs was invoked."""
    placed = sorted(
        ((place, by_value[value]) for value, place in order.items() if value in by_value), reverse=True
    )
    earliest, by = NEVER, -1
    for _, index in placed:
        if ops.invoke_pos[index] > earliest:
            yield (
                "reordered",
                f"op {index} stands before op {by}, which was acknowledged before it was invoked",
                (index, by),
            )
        elif ops.outcome[index] == int(Outcome.OK) and ops.complete_pos[index] < earliest:
            earliest, by = int(ops.complete_pos[index]), index


def _entries(ops: Ops, read: int) -> tuple[list[int] | None, list[Hashable]]:
    """Return (offsets, values) of a read; no offsets when it gives values only."""
    entries = list_of(ops, read)
    if entries and all(_has_offset(entry) for entry in entries):
        return [entry[0] for entry in entries], [freeze(entry[1]) for entry in entries]
    return None, [freeze(entry) for entry in entries]


def _has_offset(entry: object) -> bool:
    return isinstance(entry, list) and len(entry) == 2 and type(entry[0]) is int


def _shown(value: Hashable) -> str:
    return json.dumps(value)
