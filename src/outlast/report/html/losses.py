"""Which acknowledged writes are gone, in groups that a person can take in: by whom, on which timeline, why, where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from outlast.checkers.lost_cause import CAUSES, LostCause
from outlast.checkers.writes import details_of, final_values, found_in, seconds_in, writes_of
from outlast.history.history import JSON, History
from outlast.history.op import I64, NEVER, Outcome
from outlast.units import format_lsn


@dataclass(frozen=True, slots=True)
class LossGroup:
    """Lost writes that share a story. node: who acknowledged them, "" unknown. ops: their numbers, in order of ack.

    first_s, last_s: when the first and last were acknowledged. branched_at: the LSN at which the survivors left that
    timeline, "" when unknown. why, where: clauses. local: whether the server had warned that they were local only.
    """

    workload: str
    node: str
    timeline: int
    ops: tuple[int, ...]
    first_s: float
    last_s: float
    first_lsn: str
    last_lsn: str
    branched_at: str
    cause: str
    why: str
    where: str
    local: bool
    of_acked: int
    """How many writes that node acknowledged on that timeline from the first of these on."""


def loss_groups(history: History) -> tuple[LossGroup, ...]:
    """Return the losses of all workloads, the largest group first. O(n log n)."""
    found: list[LossGroup] = []
    final = history.final
    for workload in final.values if final is not None else ():
        values = final_values(history, workload)
        if values is None or workload not in history.ops.f_names:
            continue
        gone = writes_of(history, workload) & ~found_in(values, history.ops.value)
        cause = LostCause(history, workload)
        for outcome in (Outcome.OK, Outcome.LOCAL):
            lost = np.flatnonzero(gone & history.ops.outcome_is(outcome))
            found += _groups(history, workload, lost, cause, local=outcome == Outcome.LOCAL)
    return tuple(sorted(found, key=lambda group: -len(group.ops)))


def _groups(history: History, workload: str, lost: I64, cause: LostCause, *, local: bool) -> list[LossGroup]:
    ops = history.ops
    by_story: dict[tuple[int, int, str], list[int]] = {}
    for index in lost[np.argsort(ops.complete_ns[lost], kind="stable")].tolist():
        by_story.setdefault((int(ops.node[index]), int(ops.timeline[index]), cause.of(index)), []).append(
            index
        )
    found = []
    for (node, timeline, why), indices in by_story.items():
        first, last = indices[0], indices[-1]
        branched = next((at for one in indices if (at := cause.branched_before(one)) is not None), None)
        done = ops.complete_ns != NEVER
        mine = (ops.node == node) & (ops.timeline == timeline) & ops.outcome_is(Outcome.OK) & done
        found.append(
            LossGroup(
                workload=workload,
                node=ops.node_name(first) or "",
                timeline=timeline,
                ops=tuple(indices),
                first_s=seconds_in(history, int(ops.complete_ns[first])),
                last_s=seconds_in(history, int(ops.complete_ns[last])),
                first_lsn=format_lsn(min(int(ops.lsn[one]) for one in indices)),
                last_lsn=format_lsn(max(int(ops.lsn[one]) for one in indices)),
                branched_at="" if branched is None else format_lsn(branched[1]),
                cause=why,
                why=CAUSES[why],
                where=cause.where(first),
                local=local,
                of_acked=int((mine & (ops.complete_ns >= ops.complete_ns[first])).sum()),
            )
        )
    return found


def loss_rows(history: History, group: LossGroup, most: int) -> list[dict[str, JSON]]:
    """Return the first most of a group's writes: value, client, LSN and moment of each."""
    return [{"op": index, **details_of(history, index)} for index in group.ops[:most]]
