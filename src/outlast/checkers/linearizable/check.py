"""The linearizability checker: is there one order of all acknowledged ops, within their times, that a single
copy of the object could have run?

Objects are searched in turn, a slice each, so that one hard key cannot keep a cheap illegal one from being found.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, replace

import numpy as np

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.linearizable.explain import explain
from outlast.checkers.linearizable.models import MODELS, Model
from outlast.checkers.linearizable.prepare import (
    ObjectHistory,
    UnknownFunctionError,
    object_histories,
)
from outlast.gc_pause import pause_gc
from outlast.history.history import History
from outlast.history.op import Ops, Outcome

_SLICE_STEPS = 20_000
"""Configurations between two looks at the clock and the memory: about 60 ms."""


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
            objects = object_histories(model, ops)
        except UnknownFunctionError as error:
            return Finding(self.name, Verdict.UNKNOWN, str(error))
        acked = int(np.count_nonzero(ops.outcome == int(Outcome.OK)))
        outcome = _search(objects, deadline, self.memory_bytes_max)
        steps = sum(each.search.steps for each in objects)
        scope = f"{acked} acknowledged ops on {len(objects)} object{'s' * (len(objects) != 1)}"
        if outcome is None:
            return Finding(self.name, Verdict.PASS, _passed(ops, scope, steps))
        culprit, reason = outcome
        if reason is not None:
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
        evidence = explain(culprit, ops, deadline)
        return Finding(
            self.name,
            Verdict.FAIL,
            evidence.message,
            anomalies={"not-linearizable": 1},
            evidence=(evidence,),
        )


def _passed(ops: Ops, scope: str, steps: int) -> str:
    if not len(ops):
        return "no client operations: nothing to judge"
    return f"linearizable: {scope}, {steps} configurations searched"


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
            if sum(each.search.memory_bytes for each in waiting) > memory_bytes_max:
                return current, f"the memory limit of {memory_bytes_max >> 20} MiB was reached"
        else:
            current.search.seen.clear()
            current.search.seen_using.clear()
            current.search.stack.clear()
        if time.monotonic_ns() > deadline and waiting:
            return waiting[-1], "the deadline passed"
    return None
