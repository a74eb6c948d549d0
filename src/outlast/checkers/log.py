"""A replicated log: entries lost, stale, duplicated, reordered, moved, and gaps between them.

``append`` ops carry a unique value; ``read`` ops give the log from its beginning, each entry a value or a pair
[offset, value]. All reads are beginnings of one log, and a read holds whatever was acknowledged, or had been read,
before it began. Source: the checks of jepsen.tests.kafka, for one consumer that reads from the beginning.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.values import acked, attempted, each_key, list_of, nothing_to_judge, value_of
from outlast.history.history import History
from outlast.history.op import I64, NEVER, Ops, Outcome
from outlast.history.values import freeze


@dataclass(frozen=True, slots=True)
class Log:
    """Reads of each log are beginnings of one order, which real time allows.

    linearizable: whether a stale entry, which a read missed and a later one shows, is a failure too.
    """

    linearizable: bool = True

    @property
    def name(self) -> str:
        """``log``."""
        return "log"

    def check(self, history: History, deadline: int) -> Finding:
        """Judge history; ``unknown`` when no log was read. The deadline is not needed. O(entries read)."""
        ops = history.ops
        if (nothing := nothing_to_judge(self.name, ops)) is not None:
            return nothing
        answered = [read for read in acked(ops, "read").tolist() if value_of(ops, read) is not None]
        reads = dict(each_key(ops, np.array(answered, dtype=np.int64)))
        if not reads:
            return Finding(self.name, Verdict.UNKNOWN, "the log was never read")
        appends = dict(each_key(ops, attempted(ops, "append")))
        anomalies: Counter[str] = Counter()
        evidence: list[Evidence] = []
        none = np.zeros(0, dtype=np.int64)
        for key in sorted(reads):
            for name, message, involved in _judge(ops, appends.get(key, none), reads[key]):
                anomalies[name] += 1
                if anomalies[name] <= 4:
                    evidence.append(Evidence(f"{name}: {message}", ops=involved))
        guilty = [name for name in anomalies if name != "stale" or self.linearizable]
        listed = ", ".join(f"{count} {name}" for name, count in anomalies.items())
        sound = f"{len(reads)} logs hold all that was acknowledged"
        return Finding(
            self.name,
            Verdict.FAIL if guilty else Verdict.PASS,
            f"{listed}: {evidence[0].message}" if evidence else sound,
            value=anomalies["lost"],
            limit=0,
            anomalies=dict(anomalies),
            evidence=tuple(evidence),
        )


_Violation = tuple[str, str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class _Read:
    """One read of a log. offsets: None where it gives values only."""

    op: int
    offsets: list[int] | None
    values: list[Hashable]


def _judge(ops: Ops, appends: I64, reads: I64) -> Iterator[_Violation]:
    by_value: dict[Hashable, int] = {freeze(value_of(ops, index)): index for index in appends.tolist()}
    answers = [_entries(ops, read, by_value) for read in reads.tolist()]
    for read in answers:
        yield from _within(read)
        for value in read.values:
            if value not in by_value:
                yield "garbage", f"{_shown(value)} was never appended", (read.op,)
            elif ops.invoke_pos[by_value[value]] > ops.complete_pos[read.op]:
                yield (
                    "garbage",
                    f"{_shown(value)} was read before its append began",
                    (read.op, by_value[value]),
                )
    # What is garbage or there twice has been said: from here on each entry counts once.
    sound = [[value for value in dict.fromkeys(read.values) if value in by_value] for read in answers]
    longest = max(range(len(answers)), key=lambda place: len(sound[place]))
    order = {value: place for place, value in enumerate(sound[longest])}
    for read, values in zip(answers, sound, strict=True):
        if (what := _differs(values, sound[longest], order)) is not None:
            yield (*what, (read.op, answers[longest].op))
    yield from _moved(answers)
    yield from _against_time(ops, by_value, order)
    yield from _missing(ops, by_value, answers)


def _within(read: _Read) -> Iterator[_Violation]:
    """Yield what is wrong within one read."""
    if len(set(read.values)) < len(read.values):
        twice = next(value for value, count in Counter(read.values).items() if count > 1)
        yield "duplicated", f"op {read.op} shows {_shown(twice)} more than once", (read.op,)
    for before, after in pairwise(read.offsets or ()):
        if after != before + 1:
            kind = "gap" if after > before else "reordered"
            yield kind, f"op {read.op} goes from offset {before} to {after}", (read.op,)


def _differs(
    values: list[Hashable], longest: list[Hashable], order: dict[Hashable, int]
) -> tuple[str, str] | None:
    """Return how a read is no beginning of the longest one, as (anomaly, message); None when it is one."""
    place = next(
        (at for at, pair in enumerate(zip(values, longest, strict=False)) if pair[0] != pair[1]), None
    )
    if place is None:
        return None
    places = [order[value] for value in values if value in order]
    kind = "gap" if len(places) == len(values) and places == sorted(places) else "reordered"
    return kind, f"a read shows {_shown(values[place])} where the longest one has {_shown(longest[place])}"


def _moved(answers: list[_Read]) -> Iterator[_Violation]:
    """Yield values that stand at different offsets in two reads, and offsets with different values."""
    offset_of: dict[Hashable, tuple[int, int]] = {}
    for read in answers:
        for offset, value in zip(read.offsets or (), read.values, strict=False):
            known, by = offset_of.setdefault(value, (offset, read.op))
            if known != offset:
                yield (
                    "moved",
                    f"{_shown(value)} stands at offset {offset}, and stood at {known}",
                    (by, read.op),
                )
                return


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


def _missing(ops: Ops, by_value: dict[Hashable, int], answers: list[_Read]) -> Iterator[_Violation]:
    """Yield entries that a read misses although they were acknowledged, or read, before it began."""
    known: dict[Hashable, int] = {
        value: int(ops.complete_pos[op])
        for value, op in by_value.items()
        if ops.outcome[op] == int(Outcome.OK)
    }
    seen_last: dict[Hashable, int] = {}
    for read in answers:  # by completion
        end = int(ops.complete_pos[read.op])
        for value in read.values:
            known[value] = min(known.get(value, NEVER), end)
            seen_last[value] = end
    in_time = sorted(known.items(), key=lambda item: item[1])
    times = [time for _, time in in_time]
    missed: dict[Hashable, int] = {}
    for read in answers:
        begin, held = int(ops.invoke_pos[read.op]), set(read.values)
        due = bisect_left(times, begin)
        if due > len(held) or any(value not in held for value, _ in in_time[:due]):
            missed.update((value, read.op) for value, _ in in_time[:due] if value not in held)
    for value, op in missed.items():
        involved = (by_value[value], op) if value in by_value else (op,)
        if seen_last.get(value, -1) < int(ops.invoke_pos[op]):
            yield "lost", f"{_shown(value)} was known and is in no later read", involved
        else:
            yield "stale", f"{_shown(value)} was known, was missed by op {op}, and read again", involved


def _entries(ops: Ops, read: int, by_value: dict[Hashable, int]) -> _Read:
    """Return a read; without offsets when it gives values only, as where one of its pairs was appended so."""
    entries = list_of(ops, read)
    values = [freeze(entry) for entry in entries]
    if (
        entries
        and all(_has_offset(entry) for entry in entries)
        and not any(value in by_value for value in values)
    ):
        return _Read(read, [entry[0] for entry in entries], [freeze(entry[1]) for entry in entries])
    return _Read(read, None, values)


def _has_offset(entry: object) -> bool:
    return isinstance(entry, list) and len(entry) == 2 and type(entry[0]) is int


def _shown(value: Hashable) -> str:
    return "nil" if value is None else str(value)
