"""A set that is added to and read whole: elements lost, stale, unexpected, read twice.

Each element has a time from which it is *known*: its add was acknowledged, or a read that saw it returned.
It is missed by a read that began after that, unless a remove of it may have taken effect by then. An element is
lost when no read that could be later than the one that missed it saw it again; stale when one did.
Source: Jepsen checker.clj, set-full.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field

import numpy as np

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.values import acked, any_of, each_key, list_of, nothing_to_judge, value_of
from outlast.clock import now_ns
from outlast.history.history import History
from outlast.history.op import I64, NEVER, Ops, Outcome
from outlast.history.values import freeze

_SHOWN = 8
_WHY = {
    "lost": "was known to be in the set, and no later read saw it",
    "stale": "was known to be in the set, and a later read missed it",
    "unexpected": "was read and nobody had added it",
    "duplicated": "was read twice in one read",
}


@dataclass(frozen=True, slots=True)
class SetFull:
    """linearizable: whether a stale element is a failure too, not only a lost one."""

    linearizable: bool = True

    @property
    def name(self) -> str:
        """``set_full``."""
        return "set_full"

    def check(self, history: History, deadline: int) -> Finding:
        """Judge history, set by set; ``unknown`` when the deadline (monotonic ns) passes or nothing was read.

        O(reads · elements), in numpy.
        """
        ops = history.ops
        if (nothing := nothing_to_judge(self.name, ops)) is not None:
            return nothing
        answers = acked(ops, "read").tolist()
        reads = np.array([read for read in answers if value_of(ops, read) is not None], dtype=np.int64)
        if not len(reads):
            return Finding(self.name, Verdict.UNKNOWN, "the set was never read")
        changes = dict(each_key(ops, np.flatnonzero(any_of(ops, ("add", "remove")))))
        none = np.zeros(0, dtype=np.int64)
        wrong: dict[str, list[tuple[Hashable, int]]] = {name: [] for name in _WHY}
        elements = 0
        for key, members in each_key(ops, reads):
            one_set = _Set.of(ops, changes.get(key, none))
            for read in members.tolist():
                if now_ns() > deadline:
                    return Finding(self.name, Verdict.UNKNOWN, f"the deadline passed at read {read}")
                one_set.see(ops, read)
            elements += len(one_set.codes)
            for name, cases in one_set.wrong().items():
                wrong[name] += cases.items()
        return self._finding(elements, len(reads), wrong)

    def _finding(self, elements: int, reads: int, wrong: dict[str, list[tuple[Hashable, int]]]) -> Finding:
        anomalies = {name: len(cases) for name, cases in wrong.items() if cases}
        evidence = tuple(
            Evidence(f"{name}: {'nil' if element is None else element} {_WHY[name]}", ops=(read,))
            for name, cases in wrong.items()
            for element, read in cases[:_SHOWN]
        )
        guilty = [name for name in anomalies if name != "stale" or self.linearizable]
        listed = ", ".join(f"{count} {name}" for name, count in anomalies.items())
        said = f"{elements} elements, {reads} reads: {listed or 'every known element was read'}"
        verdict = Verdict.FAIL if guilty else Verdict.PASS
        value = len(wrong["lost"])
        return Finding(self.name, verdict, said, value=value, limit=0, anomalies=anomalies, evidence=evidence)


@dataclass(slots=True)
class _Set:
    """One set. codes: its elements. begun, known, removed: by code, when the first add was invoked, when it was
    known to be there, when the first remove was invoked. present: the latest end of a read that saw it. absent:
    the latest beginning of a read that missed it once known; by: that read."""

    codes: dict[Hashable, int]
    begun: I64
    known: I64
    removed: I64
    present: I64
    absent: I64
    by: I64
    unexpected: dict[Hashable, int] = field(default_factory=dict)
    twice: dict[Hashable, int] = field(default_factory=dict)

    @classmethod
    def of(cls, ops: Ops, changes: I64) -> _Set:
        codes: dict[Hashable, int] = {}
        times: list[list[int]] = []  # begun, known, removed
        for op in changes.tolist():
            if ops.outcome[op] == int(Outcome.FAIL):
                continue
            code = codes.setdefault(freeze(value_of(ops, op)), len(codes))
            if code == len(times):
                times.append([NEVER, NEVER, NEVER])
            begin = int(ops.invoke_pos[op])
            if ops.f_names[int(ops.f[op])] == "remove":
                times[code][2] = min(times[code][2], begin)
                continue
            times[code][0] = min(times[code][0], begin)
            if ops.outcome[op] == int(Outcome.OK):
                times[code][1] = min(times[code][1], int(ops.complete_pos[op]))
        begun, known, removed = np.array(times, dtype=np.int64).reshape(-1, 3).T
        never = np.full(len(codes), -1, dtype=np.int64)
        return cls(codes, begun.copy(), known.copy(), removed.copy(), never, never.copy(), never.copy())

    def see(self, ops: Ops, read: int) -> None:
        """Take a read into account; reads come by their completion."""
        begin, end = int(ops.invoke_pos[read]), int(ops.complete_pos[read])
        elements = [freeze(element) for element in list_of(ops, read)]
        if len(set(elements)) < len(elements):
            self.twice.update((each, read) for each, count in Counter(elements).items() if count > 1)
        seen = np.zeros(len(self.codes), dtype=np.bool_)
        for element in elements:
            code = self.codes.get(element)
            if code is None or self.begun[code] > end:
                self.unexpected.setdefault(element, read)
            else:
                seen[code] = True
        # A read that missed an element began after one that saw it returned: that one was taken before it.
        missed = ~seen & (self.known < begin) & (self.removed > end) & (self.absent < begin)
        self.absent[missed], self.by[missed] = begin, read
        self.known[seen] = np.minimum(self.known[seen], end)
        self.present[seen] = end

    def wrong(self) -> dict[str, dict[Hashable, int]]:
        """Return by anomaly the elements that have it, each with a read that shows it."""
        names = list(self.codes)
        missed = self.absent >= 0
        lost, stale = (
            {names[code]: int(self.by[code]) for code in np.flatnonzero(mask).tolist()}
            for mask in (missed & (self.present < self.absent), missed & (self.present > self.absent))
        )
        return {"lost": lost, "stale": stale, "unexpected": self.unexpected, "duplicated": self.twice}
