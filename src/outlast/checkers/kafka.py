"""A queue as Kafka has it: logs by key, each message at an offset, sent and polled.

``send`` and ``poll`` ops, and ``txn`` of both, are lists of ``[send key [offset value]]``, before they are answered
``[send key value]``, and of ``[poll {key [[offset value] …]}]``; ``assign`` and ``subscribe`` change what a process
polls. Messages of a key are unique. Anomalies have Jepsen's names. Source: jepsen.tests.kafka.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar, Final

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.kafka_order import reads_from_the_future
from outlast.checkers.values import nothing_to_judge, value_of
from outlast.errors import HistoryError
from outlast.history.formats.jepsen_events import REBALANCED
from outlast.history.history import History
from outlast.history.op import Ops, Outcome
from outlast.history.values import freeze

FUNCTIONS: Final = frozenset({"send", "poll"})
_OF_TRANSACTIONS: Final = frozenset({"send", "poll", "txn"})
_REBALANCING: Final = frozenset({"poll-skip", "nonmonotonic-poll"})
"""What consumers that subscribe may show: their partitions move between them."""
_SHOWN_EACH: Final = 4

_Message = tuple[Hashable, Hashable]
"""A key and a value."""
_Violation = tuple[str, str, tuple[int, ...]]


@dataclass(slots=True)
class _Act:
    """One op taken apart. sent: (key, offset or None, value); polled: by key, in order, the same."""

    op: int
    process: int
    f: str
    ok: bool
    sent: list[tuple[Hashable, int | None, Hashable]] = field(default_factory=list)
    polled: dict[Hashable, list[tuple[int | None, Hashable]]] = field(default_factory=dict)
    keys: frozenset[Hashable] = frozenset()
    """What an assign or subscribe asks for."""


@dataclass(slots=True)
class _Log:
    """What was seen of one key: the values at each offset, and each value's place among the offsets that are known."""

    at: dict[int, list[Hashable]] = field(default_factory=lambda: defaultdict(list))
    first: dict[Hashable, int] = field(default_factory=dict)
    last: dict[Hashable, int] = field(default_factory=dict)

    def add(self, offset: int | None, value: Hashable) -> None:
        """Note that a value stands at an offset."""
        if offset is not None and value not in self.at[offset]:
            self.at[offset].append(value)

    def settle(self) -> None:
        """Number the offsets densely."""
        for place, offset in enumerate(sorted(self.at)):
            for value in self.at[offset]:
                self.first.setdefault(value, place)
                self.last[value] = place


@dataclass(frozen=True, slots=True)
class KafkaQueue:
    """Every message stands at one offset, is polled in order, and none that was acknowledged is passed over."""

    name: ClassVar[str] = "kafka"

    def check(self, history: History, deadline: int) -> Finding:
        """Judge history. The deadline is not needed. O(n log n) in messages.

        Raises HistoryError, naming the op, for a value that is none of a queue's.
        """
        ops = history.ops
        if (nothing := nothing_to_judge(self.name, ops)) is not None:
            return nothing
        acts = [_act(ops, index) for index in range(len(ops))]
        subscribed = "subscribe" in ops.f_names
        counts: Counter[str] = Counter()
        evidence: list[Evidence] = []
        for name, message, involved in _violations(ops, acts):
            counts[name] += 1
            if counts[name] <= _SHOWN_EACH:
                evidence.append(Evidence(f"{name}: {message}", ops=involved))
        guilty = [name for name in counts if not (subscribed and name in _REBALANCING)]
        listed = ", ".join(f"{count} {name}" for name, count in counts.items())
        sent = sum(len(act.sent) for act in acts if act.ok)
        sound = f"{sent} acknowledged messages, each at one offset and polled in order"
        return Finding(
            self.name,
            Verdict.FAIL if guilty else Verdict.PASS,
            f"{listed}: {evidence[0].message}" if evidence else sound,
            value=counts["lost-write"],
            limit=0,
            anomalies=dict(counts),
            evidence=tuple(evidence),
        )


def _violations(ops: Ops, acts: list[_Act]) -> Iterator[_Violation]:
    by_worth = sorted(acts, key=lambda act: int(ops.outcome[act.op]) == int(Outcome.FAIL), reverse=True)
    writer = {
        (key, value): act for act in by_worth for key, _, value in act.sent
    }  # of a retry, what did not fail
    readers: dict[_Message, list[int]] = defaultdict(list)
    for act in acts:
        for key, pairs in act.polled.items():
            for _, value in pairs:
                readers[key, value].append(act.op)
    logs = _logs(acts, readers)
    yield from _offsets(logs, writer)
    yield from _reads(ops, writer, readers)
    yield from _losses(logs, writer, readers)
    for act in acts:
        if act.ok and ops.error_text(act.op) != REBALANCED:
            yield from _within(act, logs)
    yield from _between(acts, logs)
    yield from reads_from_the_future(
        ops,
        {(writer[message].op, op) for message, each in readers.items() if message in writer for op in each},
    )


def _logs(acts: list[_Act], readers: dict[_Message, list[int]]) -> dict[Hashable, _Log]:
    """Return what is known of each key's log: from polls, and from sends that were acknowledged or were read."""
    logs: dict[Hashable, _Log] = defaultdict(_Log)
    for act in acts:
        if act.ok or any((key, value) in readers for key, _, value in act.sent):
            for key, offset, value in act.sent:
                logs[key].add(offset, value)
        for key, pairs in act.polled.items():
            for offset, value in pairs:
                logs[key].add(offset, value)
    for log in logs.values():
        log.settle()
    return logs


def _offsets(logs: dict[Hashable, _Log], writer: dict[_Message, _Act]) -> Iterator[_Violation]:
    for key, log in logs.items():
        places: dict[Hashable, list[int]] = defaultdict(list)
        for offset, values in log.at.items():
            for value in values:
                places[value].append(offset)
            if len(values) > 1:
                shown = " and ".join(str(value) for value in values)
                involved = [writer[key, value].op for value in values if (key, value) in writer]
                yield "inconsistent-offsets", f"offset {offset} of {key} holds {shown}", tuple(involved)
        for value, offsets in places.items():
            if len(offsets) > 1:
                involved = [writer[key, value].op] if (key, value) in writer else []
                yield "duplicate", f"{value} stands at offsets {offsets} of {key}", tuple(involved)


def _reads(
    ops: Ops, writer: dict[_Message, _Act], readers: dict[_Message, list[int]]
) -> Iterator[_Violation]:
    for (key, value), each in readers.items():
        act = writer.get((key, value))
        if act is None:
            yield "garbage-read", f"{value} of {key} was polled and never sent", (each[0],)
        elif int(ops.outcome[act.op]) == int(Outcome.FAIL):
            yield "G1a", f"{value} of {key} was polled, and its send failed", (act.op, each[0])
        elif act.op in each:
            yield "precommitted-read", f"op {act.op} polled {value} of {key}, which it sent itself", (act.op,)


def _losses(
    logs: dict[Hashable, _Log], writer: dict[_Message, _Act], readers: dict[_Message, list[int]]
) -> Iterator[_Violation]:
    """Yield what was sent and passed over by polls, and what nobody has polled up to the end."""
    bound: dict[Hashable, tuple[int, int]] = {}
    for (key, value), each in readers.items():
        place = logs[key].first.get(value, -1)
        if place > bound.get(key, (-1, -1))[0]:
            bound[key] = (place, each[0])
    happened = {
        act.op
        for act in writer.values()
        if act.ok or any((key, value) in readers for key, _, value in act.sent)
    }
    for (key, value), act in writer.items():
        if act.op not in happened or (key, value) in readers:
            continue
        place, reader = bound.get(key, (-1, -1))
        if logs[key].last.get(value, place + 1) <= place:
            yield (
                "lost-write",
                f"{value} of {key} was sent and never polled, and later ones were",
                (act.op, reader),
            )
        elif act.ok:
            yield "unseen", f"{value} of {key} was acknowledged and nobody has polled it", (act.op,)


def _within(act: _Act, logs: dict[Hashable, _Log]) -> Iterator[_Violation]:
    for key, pairs in act.polled.items():
        for (_, before), (_, after) in pairwise(pairs):
            step = _step(logs[key], before, after)
            if step != 1:
                name = "int-poll-skip" if step > 1 else "int-nonmonotonic-poll"
                yield name, f"op {act.op} polled {before} and then {after} of {key}", (act.op,)
    sent: dict[Hashable, list[Hashable]] = defaultdict(list)
    for key, _, value in act.sent:
        sent[key].append(value)
    for key, values in sent.items():
        for before, after in pairwise(values):
            if _step(logs[key], before, after) < 1:
                message = (
                    f"op {act.op} sent {before} and then {after} to {key}, which stand the other way round"
                )
                yield "int-nonmonotonic-send", message, (act.op,)


def _between(acts: list[_Act], logs: dict[Hashable, _Log]) -> Iterator[_Violation]:
    """Yield where a process polls or sends on a key before or beyond where it was."""
    polls: dict[tuple[int, Hashable], tuple[int, Hashable]] = {}
    sends: dict[tuple[int, Hashable], tuple[int, Hashable]] = {}
    for act in acts:  # by invocation, which is the order of each process
        if not act.ok:
            continue
        if act.f in ("assign", "subscribe"):
            for known in (polls, sends):
                for place in [one for one in known if one[0] == act.process and one[1] not in act.keys]:
                    del known[place]
        for key, pairs in act.polled.items():
            if not pairs:
                continue
            if (last := polls.get((act.process, key))) is not None:
                step = _step(logs[key], last[1], pairs[0][1])
                if step != 1:
                    name = "poll-skip" if step > 1 else "nonmonotonic-poll"
                    message = f"a process polled {pairs[0][1]} of {key} when it had polled {last[1]}"
                    yield name, message, (last[0], act.op)
            polls[act.process, key] = (act.op, pairs[-1][1])
        for key, _, value in act.sent:
            last = sends.get((act.process, key))
            if last is not None and last[0] != act.op and _step(logs[key], last[1], value) < 1:
                message = f"a process sent {value} to {key} after {last[1]}, which stands behind it"
                yield "nonmonotonic-send", message, (last[0], act.op)
            sends[act.process, key] = (act.op, value)


def _step(log: _Log, before: Hashable, after: Hashable) -> int:
    """Return how many places a log goes on from one value to another; 1 where that is not known."""
    if before not in log.last or after not in log.last:
        return 1
    return log.last[after] - log.last[before]


def _act(ops: Ops, index: int) -> _Act:
    f = ops.f_names[int(ops.f[index])]
    ok = int(ops.outcome[index]) == int(Outcome.OK)
    act = _Act(index, int(ops.process[index]), f, ok)
    if f not in _OF_TRANSACTIONS and f not in ("assign", "subscribe"):
        return act  # a crash of a client, or a look at the partitions
    value = value_of(ops, index)
    try:
        if f in _OF_TRANSACTIONS:
            for mop in value or ():
                _micro(act, mop)
        else:
            act.keys = frozenset(freeze(key) for key in value or ())
    except (TypeError, ValueError, KeyError, IndexError, AttributeError):
        shown = json.dumps(value)[:60]
        raise HistoryError(f"op {index} is no {f} of a queue of Kafka: {shown}") from None
    return act


def _micro(act: _Act, mop: list[Any]) -> None:
    name = mop[0].removeprefix(":")
    if name == "send":
        _, key, message = mop
        pair = act.ok and isinstance(message, list) and len(message) == 2
        offset, value = _offset_and_value(message) if pair else (None, message)
        act.sent.append((freeze(key), offset, freeze(value)))
    elif name == "poll":
        for key, pairs in (mop[1] if len(mop) > 1 and mop[1] else {}).items():
            polled = act.polled.setdefault(_map_key(key), [])
            if act.ok:
                polled.extend((offset, freeze(value)) for offset, value in map(_offset_and_value, pairs))
    else:
        raise ValueError(name)


def _offset_and_value(pair: list[Any]) -> tuple[int | None, Any]:
    offset, value = pair
    if offset is not None and type(offset) is not int:
        raise ValueError("an offset is an integer")
    return offset, value


def _map_key(text: str) -> Hashable:
    """Return a key of a map, which JSON can only write as text."""
    try:
        return freeze(json.loads(text))
    except ValueError:
        return text
