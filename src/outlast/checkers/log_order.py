"""A log's order: each message stands where its acknowledgement said, and the order agrees with real time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.writes import (
    EVIDENCE_MAX,
    acks_of,
    no_final_read,
    nothing_acknowledged,
    seconds_in,
)
from outlast.history.history import FinalRead, History
from outlast.history.op import I64, NEVER

_OFFSETS: Final = "/offsets"


@dataclass(frozen=True, slots=True)
class LogOrder:
    """Compares acknowledged appends with the final read of each partition, in log order.

    Anomalies: ``moved``, a message that stands at another offset than was acknowledged; ``reordered``, one that stands
    before another which had been acknowledged before it was invoked. What is lost is ``lost_writes``'s to say.
    Source: the checks of jepsen.tests.kafka (inconsistent-offsets, nonmonotonic).
    """

    workload: str = "log"

    name: ClassVar[str] = "log_order"

    def check(self, history: History, deadline: int) -> Finding:
        """Judge history. O(n log n). INVALID when nothing was acknowledged, UNKNOWN without a final read."""
        ops = history.ops
        acked = np.flatnonzero(acks_of(history, self.workload))
        if not len(acked):
            return nothing_acknowledged(self.name)
        final = history.final
        if final is None or self.workload not in final.values:
            return no_final_read(self.name)
        place = {int(value): index for index, value in zip(acked.tolist(), ops.value[acked], strict=True)}
        moved: list[Evidence] = []
        reordered: list[Evidence] = []
        counts = {"moved": 0, "reordered": 0}
        partitions = _partitions(final, self.workload)
        for number, (values, offsets) in partitions.items():
            index = np.array([place.get(value, -1) for value in values.tolist()], dtype=np.int64)
            known, at = index[index >= 0], offsets[index >= 0]
            told = ops.lsn[known]
            wrong = np.flatnonzero(told != at)
            counts["moved"] += len(wrong)
            for place_at in wrong[: EVIDENCE_MAX - len(moved)].tolist():
                op = int(known[place_at])
                message = (
                    f"{int(ops.value[op])} was acknowledged at offset {int(told[place_at])} of partition {number} "
                    f"and stands at {int(at[place_at])}"
                )
                moved.append(Evidence(message, (op,)))
            late = _reordered(ops.invoke_ns[known], ops.complete_ns[known])
            counts["reordered"] += len(late)
            for place_at in late[: EVIDENCE_MAX - len(reordered)].tolist():
                op = int(known[place_at])
                sent_s = seconds_in(history, int(ops.invoke_ns[op]))
                message = (
                    f"{int(ops.value[op])} stands at offset {int(at[place_at])} of partition {number}, before one "
                    f"that had been acknowledged when it was sent, {sent_s:.3f} s in"
                )
                reordered.append(Evidence(message, (op,)))
        anomalies = {name: count for name, count in counts.items() if count}
        total = sum(len(values) for values, _ in partitions.values())
        said = f"{total} messages in {len(partitions)} partition{'s' * (len(partitions) != 1)}"
        listed = ", ".join(f"{count} {name}" for name, count in anomalies.items())
        return Finding(
            self.name,
            Verdict.FAIL if anomalies else Verdict.PASS,
            f"{said}: {listed}"
            if anomalies
            else f"{said}, each where it was acknowledged and in an order of time",
            anomalies=anomalies,
            evidence=(*moved, *reordered),
        )


def _partitions(final: FinalRead, workload: str) -> dict[str, tuple[I64, I64]]:
    """Return each partition's values and offsets in log order, by its number."""
    prefix = f"{workload}@"
    return {
        name.removeprefix(prefix): (values, final.values[name + _OFFSETS])
        for name, values in final.values.items()
        if name.startswith(prefix) and not name.endswith(_OFFSETS)
    }


def _reordered(invoke_ns: I64, complete_ns: I64) -> I64:
    """Return the places in a log whose message was sent after a later one's acknowledgement had come."""
    if not len(invoke_ns):
        return np.array([], dtype=np.int64)
    earliest = np.minimum.accumulate(complete_ns[::-1])[::-1]  # of this place and all after it
    after = np.append(earliest[1:], NEVER)
    return np.flatnonzero(invoke_ns > after)
