"""The linearizability checker: is there one order of all acknowledged ops, within their times, that a single
copy of the object could have run?

What a test without search can decide, it decides. The objects that are left are searched in turn, a slice each, so
that one hard key cannot keep a cheap illegal one from being found.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, replace

import numpy as np

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.linearizable.explain import explain
from outlast.checkers.linearizable.intervals import Decision
from outlast.checkers.linearizable.models import MODELS, Model
from outlast.checkers.linearizable.polynomial import decide
from outlast.checkers.linearizable.prepare import (
    ObjectHistory,
    UnknownFunctionError,
    object_histories,
    refuse_unknown_functions,
)
from outlast.gc_pause import pause_gc
from outlast.history.history import JSON, History
from outlast.history.op import NONE, Ops, Outcome

_SLICE_STEPS = 20_000
"""Configurations between two looks at the clock and the memory: about 60 ms."""


_EXPLAINED_OPS = 20_000
"""Objects up to this size are searched, for the explanation of what a test found."""

_EXPLAIN_STEPS = 5_000
"""Configurations, beside two an op, that such a search may take."""


@dataclass(frozen=True, slots=True)
class Linearizable:
    """Judges a history against a sequential model.

    model: one of ``MODELS``. memory_bytes_max: what the caches of all searches may hold. initial: the first
    state, frozen, None for the model's own. spec: a model that is none of them, in place of the name.
    """

    model: str = "register"
    memory_bytes_max: int = 1 << 30
    initial: Hashable = None
    spec: Model | None = None

    @property
    def name(self) -> str:
        """``linearizable``."""
        return "linearizable"

    def check(self, history: History, deadline: int) -> Finding:
        """Judge history; ``unknown``, with what was searched, when the deadline (monotonic ns) or memory ends.

        Raises HistoryError for values that the model cannot take. Exponential in the number of ops open at
        once at worst, about 2 µs an op on healthy histories. Sources: see search.py.
        """
        with pause_gc():
            return self._check(history.ops, deadline)

    def _check(self, ops: Ops, deadline: int) -> Finding:
        try:
            model = self.spec or MODELS[self.model]
            if self.initial is not None:
                model = replace(model, initial=self.initial)
            refuse_unknown_functions(model, ops)
            decision = decide(model, ops)
            if decision is not None and decision.violation is not None:
                return self._failed(_violated(model, ops, decision, deadline))
            left = None if decision is None else ~decision.decided
            objects = object_histories(model, ops, left) if left is None or left.any() else []
        except UnknownFunctionError as error:
            return Finding(self.name, Verdict.UNKNOWN, str(error))
        outcome = _search(objects, deadline, self.memory_bytes_max)
        steps = sum(each.search.steps for each in objects)
        if outcome is None:
            return Finding(self.name, Verdict.PASS, _passed(ops, decision, objects))
        culprit, reason = outcome
        if reason is None:
            return self._failed(explain(culprit, ops, deadline))
        low = max((frame.low for frame in culprit.search.stack[-1:]), default=0)
        unfinished = f"object {culprit.key}" if culprit.key is not None else "the object"
        return Finding(
            self.name,
            Verdict.UNKNOWN,
            f"{reason} after {steps} configurations: {unfinished} has {len(culprit.ops)} ops, "
            f"the search stood at {low}; no violation found so far",
            evidence=(
                Evidence(
                    f"{reason} before the search ended",
                    details={"configurations": steps, "object": culprit.key, "linearized": low},
                ),
            ),
        )

    def _failed(self, evidence: Evidence) -> Finding:
        anomalies = {"not-linearizable": 1}
        return Finding(self.name, Verdict.FAIL, evidence.message, anomalies=anomalies, evidence=(evidence,))


def _passed(ops: Ops, decision: Decision | None, objects: list[ObjectHistory]) -> str:
    if not len(ops):
        return "no client operations: nothing to judge"
    acked = ops.outcome_is(Outcome.OK)
    count = len(objects)
    how = []
    if decision is not None and decision.decided.any():
        count += len(np.unique(ops.key[decision.decided]))
        how.append(f"by {decision.test}")
    if objects or not how:
        how.append(f"{sum(each.search.steps for each in objects)} configurations searched")
    plural = "s" * (count != 1)
    return f"linearizable: {np.count_nonzero(acked)} acknowledged ops on {count} object{plural}, {', '.join(how)}"


def _violated(model: Model, ops: Ops, decision: Decision, deadline: int) -> Evidence:
    """Return the evidence for what a test found: told as the search tells it where a short one finds it too."""
    found = decision.violation
    assert found is not None
    code = int(ops.key[found.op])
    key = None if code == NONE else ops.key_name(code)
    where = f"{model.name} {key}: " if key is not None else ""
    details: dict[str, JSON] = {"object": key, "test": decision.test}
    of_key = ops.key == code
    if np.count_nonzero(of_key) <= _EXPLAINED_OPS:
        (culprit,) = object_histories(model, ops, of_key)
        if culprit.search.run(2 * len(culprit.ops) + _EXPLAIN_STEPS) is False:
            searched = explain(culprit, ops, deadline)
            return replace(
                searched,
                message=f"{searched.message}; {found.message}",
                details={**details, **searched.details},
            )
    return Evidence(f"{where}{found.message}", ops=(found.op, *found.others), details=details)


def _search(
    objects: list[ObjectHistory], deadline: int, memory_bytes_max: int
) -> tuple[ObjectHistory, str | None] | None:
    """Search all objects; None when all are linearizable, else the culprit and why it is undecided, if it is."""
    waiting = deque(objects)
    while waiting:
        current = waiting.popleft()
        verdict = current.search.run(_SLICE_STEPS)
        if verdict is False:
            return current, None
        if verdict is None:
            waiting.append(current)
            states = current.automaton.memory_bytes  # one for all objects
            if states + sum(each.search.memory_bytes for each in waiting) > memory_bytes_max:
                return current, f"the memory limit of {memory_bytes_max >> 20} MiB was reached"
        else:
            current.search.seen.clear()
            current.search.seen_using.clear()
            current.search.stack.clear()
        if time.monotonic_ns() > deadline and waiting:
            return waiting[-1], "the deadline passed"
    return None
