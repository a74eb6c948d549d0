"""A set that is added to and read whole: elements lost, stale, unexpected, read twice.

Each element has a time from which it is *known*: its add was acknowledged, or a read that saw it returned.
An element is lost when, of the reads invoked after that, the last ones miss it; stale when some miss it and
a later one sees it. Source: Jepsen checker.clj, set-full.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.linearizable.models import freeze
from outlast.checkers.values import acked, attempted, list_of, nothing_to_judge, value_of
from outlast.clock import now_ns
from outlast.history.history import History
from outlast.history.op import NEVER, Outcome

_SHOWN = 8


@dataclass(frozen=True, slots=True)
class SetFull:
    """linearizable: whether a stale element is a failure too, not only a lost one."""

    linearizable: bool = True

    @property
    def name(self) -> str:
        """``set_full``."""
        return "set_full"

    def check(self, history: History, deadline: int) -> Finding:
        """Judge history; ``unknown`` when the deadline (monotonic ns) passes or nothing was ever read.

        O(reads · elements), in numpy.
        """
        ops = history.ops
        if (nothing := nothing_to_judge(self.name, ops)) is not None:
            return nothing
        reads = acked(ops, "read")
        if not len(reads):
            return Finding(self.name, Verdict.UNKNOWN, "the set was never read")
        adds = attempted(ops, "add").tolist()
        codes: dict[Hashable, int] = {}
        for index in adds:
            codes.setdefault(freeze(value_of(ops, index)), len(codes))
        known = np.full(len(codes), NEVER, dtype=np.int64)
        ok = ops.outcome_is(Outcome.OK)
        for index in adds:
            if ok[index]:
                code = codes[freeze(value_of(ops, index))]
                known[code] = min(known[code], ops.complete_pos[index])
        present = np.full(len(codes), -1, dtype=np.int64)
        absent = np.full(len(codes), -1, dtype=np.int64)
        unexpected: dict[Hashable, int] = {}
        twice: dict[Hashable, int] = {}
        for read in reads.tolist():
            if now_ns() > deadline:
                return Finding(self.name, Verdict.UNKNOWN, f"the deadline passed at read {read}")
            elements = [freeze(element) for element in list_of(ops, read)]
            if len(set(elements)) < len(elements):
                twice.update((each, read) for each, count in Counter(elements).items() if count > 1)
            seen = np.zeros(len(codes), dtype=np.bool_)
            for element in elements:
                if element in codes:
                    seen[codes[element]] = True
                else:
                    unexpected.setdefault(element, read)
            invoked = ops.invoke_pos[read]
            known[seen] = np.minimum(known[seen], ops.complete_pos[read])
            present[seen] = np.maximum(present[seen], invoked)
            absent[~seen] = np.maximum(absent[~seen], invoked)
        missed = (known < NEVER) & (absent > known)
        names = list(codes)
        lost = {names[code]: -1 for code in np.flatnonzero(missed & (present < absent)).tolist()}
        stale = {names[code]: -1 for code in np.flatnonzero(missed & (present > absent)).tolist()}
        return self._finding(len(codes), len(reads), lost, stale, unexpected, twice)

    def _finding(
        self,
        elements: int,
        reads: int,
        lost: dict[Hashable, int],
        stale: dict[Hashable, int],
        unexpected: dict[Hashable, int],
        twice: dict[Hashable, int],
    ) -> Finding:
        kinds = (
            ("lost", lost, "was known to be in the set, and no later read saw it"),
            ("stale", stale, "was known to be in the set, and a later read missed it"),
            ("unexpected", unexpected, "was read and nobody added it"),
            ("duplicated", twice, "was read twice in one read"),
        )
        anomalies = {name: len(members) for name, members, _ in kinds if members}
        evidence = tuple(
            Evidence(f"{name}: {element} {why}", ops=(read,) if read >= 0 else ())
            for name, members, why in kinds
            for element, read in list(members.items())[:_SHOWN]
        )
        guilty = [name for name in anomalies if name != "stale" or self.linearizable]
        listed = ", ".join(f"{count} {name}" for name, count in anomalies.items())
        said = f"{elements} elements, {reads} reads: {listed or 'every known element was read'}"
        verdict = Verdict.FAIL if guilty else Verdict.PASS
        return Finding(
            self.name, verdict, said, value=len(lost), limit=0, anomalies=anomalies, evidence=evidence
        )
