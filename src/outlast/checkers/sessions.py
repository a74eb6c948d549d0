"""What one client may count on, also when it reads from replicas: monotonic reads, and its own writes.

Values of a key are versions: each write of a key carries a greater integer than the writes before it. A
session is one process. Source: Terry et al., "Session Guarantees for Weakly Consistent Replicated Data"
(PDIS 1994).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.values import any_of, nothing_to_judge, place_of
from outlast.errors import HistoryError
from outlast.history.history import History
from outlast.history.op import I64, NONE, Ops, Outcome


@dataclass(frozen=True, slots=True)
class SessionGuarantees:
    """No session reads an older version of a key than it has read (monotonic reads) or written (its own
    writes) before."""

    @property
    def name(self) -> str:
        """``session_guarantees``."""
        return "session_guarantees"

    def check(self, history: History, deadline: int) -> Finding:
        """Judge ``read`` and ``write`` ops. The deadline is not needed. O(n log n).

        Raises HistoryError for a version that is no integer.
        """
        ops = history.ops
        if (nothing := nothing_to_judge(self.name, ops)) is not None:
            return nothing
        told = ops.outcome_is(Outcome.OK) & any_of(ops, ("read", "write"))
        chosen = np.flatnonzero(told)
        chosen = chosen[np.lexsort((ops.invoke_pos[chosen], ops.key[chosen], ops.process[chosen]))]
        _refuse_other_versions(ops, chosen)
        newest: dict[str, tuple[int, int]] = {}
        session: tuple[int, int] | None = None
        cases: dict[str, list[Evidence]] = {"non-monotonic-read": [], "missed-own-write": []}
        counts = dict.fromkeys(cases, 0)
        is_read = ops.f_is("read")
        for index in chosen.tolist():
            here = (int(ops.process[index]), int(ops.key[index]))
            if here != session:
                session, newest = here, {}
            value = int(ops.value[index])
            version = -1 if value == NONE else value
            kind = "non-monotonic-read" if is_read[index] else "missed-own-write"
            if is_read[index]:
                for name, (known, by) in newest.items():
                    if version < known:
                        counts[name] += 1
                        cases[name].append(_case(history, name, index, by))
            if version >= newest.get(kind, (-1, 0))[0]:
                newest[kind] = (version, index)
        anomalies = {name: count for name, count in counts.items() if count}
        evidence = tuple(each for members in cases.values() for each in members[:4])
        listed = ", ".join(f"{count} {name}" for name, count in anomalies.items())
        return Finding(
            self.name,
            Verdict.FAIL if anomalies else Verdict.PASS,
            f"{listed}: {evidence[0].message}"
            if anomalies
            else f"{len(chosen)} ops keep what sessions may expect",
            value=sum(anomalies.values()),
            limit=0,
            anomalies=anomalies,
            evidence=evidence,
        )


def _refuse_other_versions(ops: Ops, chosen: I64) -> None:
    """Raise HistoryError for a version that is no integer: it has no order."""
    texts = ops.payload or ()
    for index in chosen.tolist() if texts else ():
        text = texts[index]
        if text is not None:
            raise HistoryError(
                f"op {index} has the value {text[:60]}: versions are integers that grow with each write"
            )


def _case(history: History, name: str, read: int, before: int) -> Evidence:
    ops = history.ops
    did = "read" if name == "non-monotonic-read" else "written"
    place = place_of(ops, read)
    shown = "nothing" if int(ops.value[read]) == NONE else str(int(ops.value[read]))
    return Evidence(
        f"process {ops.process_name(read)} had {did} {int(ops.value[before])} and then read {shown}"
        + (f" at {place}" if place else ""),
        ops=(before, read),
    )
