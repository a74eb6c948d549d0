"""Builds small histories for tests of checkers, op by op."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from outlast.history.history import FaultRecord, FinalRead, History, NodeContent, NodeObservation
from outlast.history.op import NEVER, Ops, Outcome, event_positions
from outlast.units import NS_PER_S


@dataclass
class Row:
    """One append. Times in seconds since the load began; at: invocation; took: until the answer."""

    value: int
    at: float
    took: float = 0.001
    outcome: Outcome = Outcome.OK
    node: str = "n1"
    timeline: int = 1
    lsn: int = 0


def s(seconds: float) -> int:
    """Return a moment in seconds since the load began as monotonic ns."""
    return NS_PER_S + round(seconds * NS_PER_S)


def ops(rows: list[Row]) -> Ops:
    """Return the ops, ordered by invocation."""
    rows = sorted(rows, key=lambda row: row.at)
    nodes = tuple(sorted({row.node for row in rows if row.node}))
    invoke = np.array([s(row.at) for row in rows], dtype=np.int64)
    complete = np.array([NEVER if row.took < 0 else s(row.at + row.took) for row in rows], dtype=np.int64)
    invoke_pos, complete_pos = event_positions(invoke, complete)
    n = len(rows)
    return Ops(
        process=np.arange(n, dtype=np.int32),
        f=np.zeros(n, dtype=np.int16),
        f_names=("append",),
        key=np.full(n, np.iinfo(np.int64).min),
        value=np.array([row.value for row in rows], dtype=np.int64),
        invoke_ns=invoke,
        complete_ns=complete,
        invoke_pos=invoke_pos,
        complete_pos=complete_pos,
        outcome=np.array([int(row.outcome) for row in rows], dtype=np.uint8),
        node=np.array([nodes.index(row.node) if row.node else -1 for row in rows], dtype=np.int16),
        node_names=nodes,
        timeline=np.array([row.timeline for row in rows], dtype=np.int32),
        lsn=np.array([row.lsn for row in rows], dtype=np.int64),
        error=np.full(n, -1, dtype=np.int32),
        error_names=(),
    )


def fault(at: float, name: str = "host_power_off", target: str = "n1") -> FaultRecord:
    """Return a fault that took hold 10 ms after it was started."""
    return FaultRecord(name, (target,), s(at), s(at), s(at + 0.01), None, True, "")


def seen(at: float, node: str, role: str, timeline: int, source: str = "node") -> NodeObservation:
    """Return one observation of a node."""
    return NodeObservation(s(at), node, source, role, timeline, 0)


def content(node: str, lsn: int = 100, table_hash: str = "aa", rows: int = 3) -> NodeContent:
    """Return what a node held in the final read."""
    return NodeContent(node, lsn, {"outlast_append": table_hash}, {"outlast_append": rows})


@dataclass
class Story:
    """A history to be: rows in, a History out. values None: all that was acknowledged, nothing else."""

    rows: list[Row]
    values: list[int] | None = None
    faults: list[FaultRecord] = field(default_factory=list)
    observations: list[NodeObservation] = field(default_factory=list)
    contents: tuple[NodeContent, ...] = (content("n1"), content("n2"), content("n3"))
    missing: tuple[str, ...] = ()
    timeline_starts: tuple[tuple[int, int], ...] = ()
    end: float = 10.0

    def history(self, *, final: bool = True) -> History:
        """Return the history, with or without a final read."""
        kept = self.values
        if kept is None:
            kept = [row.value for row in self.rows if row.outcome == Outcome.OK]
        read = FinalRead(
            primary="n1",
            timeline=1,
            lsn=100,
            at_ns=s(self.end + 1),
            values={"append": np.array(sorted(kept), dtype=np.int64)},
            contents=self.contents,
            missing=self.missing,
            timeline_starts=self.timeline_starts,
        )
        return History(
            ops=ops(self.rows),
            faults=tuple(self.faults),
            observations=tuple(self.observations),
            final=read if final else None,
            start_ns=s(0),
            end_ns=s(self.end),
        )


def steady(first: float, last: float, *, start: int = 0, every: float = 0.1, **given: object) -> list[Row]:
    """Return acknowledged appends at a steady pace in [first, last), numbered from start."""
    count = round((last - first) / every)
    return [Row(start + i, first + i * every, **given) for i in range(count)]  # type: ignore[arg-type]


def refused(first: float, last: float, *, start: int = 900_000, every: float = 0.1) -> list[Row]:
    """Return appends in [first, last) that were not sent: what clients have during an outage."""
    return steady(first, last, start=start, every=every, outcome=Outcome.FAIL)
