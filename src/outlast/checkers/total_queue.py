"""What goes in must come out: elements of a queue lost, unexpected, duplicated. Source: Jepsen checker.clj,
total-queue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.linearizable.models import freeze
from outlast.checkers.values import acked, attempted, list_of, nothing_to_judge, value_of
from outlast.history.history import History
from outlast.history.op import Ops, Outcome


@dataclass(frozen=True, slots=True)
class TotalQueue:
    """``enqueue`` and ``dequeue`` balance; lost elements are judged only once the queue was drained: by a
    ``drain``, or when the last dequeue found it empty."""

    @property
    def name(self) -> str:
        """``total_queue``."""
        return "total_queue"

    def check(self, history: History, deadline: int) -> Finding:
        """Judge history. The deadline is not needed. O(n)."""
        ops = history.ops
        if (nothing := nothing_to_judge(self.name, ops)) is not None:
            return nothing
        tried = Counter(freeze(value_of(ops, index)) for index in attempted(ops, "enqueue").tolist())
        acknowledged = Counter(freeze(value_of(ops, index)) for index in acked(ops, "enqueue").tolist())
        out: Counter[Hashable] = Counter()
        for index in acked(ops, "dequeue").tolist():
            if (value := value_of(ops, index)) is not None:
                out[freeze(value)] += 1
        for index in acked(ops, "drain").tolist():
            out.update(freeze(value) for value in list_of(ops, index))
        # A dequeue whose answer never came may have taken any one element.
        unsure = int(np.count_nonzero(ops.f_is("dequeue") & ops.outcome_is(Outcome.INFO)))
        unexpected = [value for value in out if value not in tried]
        duplicated = list((out - tried - Counter({value: out[value] for value in unexpected})).elements())
        missing = list((acknowledged - out).elements()) if _drained(ops) else []
        lost = missing if len(missing) > unsure else []
        kinds = (
            ("lost", lost, "was acknowledged and never came out"),
            ("unexpected", unexpected, "came out and never went in"),
            ("duplicated", duplicated, "came out more often than it went in"),
        )
        anomalies = {name: len(members) for name, members, _ in kinds if members}
        evidence = tuple(Evidence(f"{name}: {v} {why}") for name, members, why in kinds for v in members[:8])
        listed = ", ".join(f"{count} {name}" for name, count in anomalies.items())
        return Finding(
            self.name,
            Verdict.FAIL if anomalies else Verdict.PASS,
            f"{sum(acknowledged.values())} in, {sum(out.values())} out: {listed or 'they balance'}",
            value=len(lost),
            limit=0,
            anomalies=anomalies,
            evidence=evidence,
        )


def _drained(ops: Ops) -> bool:
    if len(acked(ops, "drain")):
        return True
    dequeues = np.flatnonzero(ops.f_is("dequeue"))
    enqueues = np.flatnonzero(ops.f_is("enqueue"))
    if not len(dequeues) or (
        len(enqueues) and ops.invoke_pos[enqueues].max() > ops.invoke_pos[dequeues].max()
    ):
        return False
    last = int(dequeues[np.argmax(ops.invoke_pos[dequeues])])
    outcome = ops.outcome[last]
    return outcome == int(Outcome.FAIL) or (outcome == int(Outcome.OK) and value_of(ops, last) is None)
