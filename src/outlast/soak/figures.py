"""Figures and criteria of a soak, from its history and from what its director counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.checkers.outage import longest_gap
from outlast.checkers.values import acked
from outlast.checkers.windows import fault_windows, outside
from outlast.checkers.writes import seconds_in
from outlast.history.history import JSON, FaultRecord, History
from outlast.history.op import Outcome
from outlast.history.soak_rows import INSERT
from outlast.soak.cost import CostFigures
from outlast.soak.plan import SoakTimes
from outlast.soak.validation import Validation
from outlast.units import NS_PER_S
from outlast.workloads import read_load

EVIDENCE_MAX: Final = 20

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Counted:
    """What the director counted. readers_ns: when the read load ran, 0 when it never did. ended: "" or why early.

    validations: (seconds since the start, what was seen). healthy: nodes healthy at the end. ran_s: of the load.
    """

    times: SoakTimes
    nodes: int
    validations: Sequence[tuple[float, Validation]]
    healthy: int
    readers_ns: int
    ran_s: float
    ended: str


@dataclass(frozen=True, slots=True)
class FailoverFigures:
    """One failover. at_s: from the start of the load. source, to: nodes. done: whether it was.

    promoted_s: until the new primary led. outage_s: the longest time without an ack that survived, from its start to
    the next one's. catch_up_s: until every node had replayed what the new primary had written. None: never so.
    """

    at_s: float
    source: JSON
    to: JSON
    done: bool
    promoted_s: float
    outage_s: float | None
    catch_up_s: float | None
    evidence: str

    def to_document(self) -> dict[str, JSON]:
        """Return it as it is stored and printed."""
        return {
            "at_s": self.at_s,
            "from": self.source,
            "to": self.to,
            "done": self.done,
            "promoted_s": self.promoted_s,
            "outage_s": self.outage_s,
            "catch_up_s": self.catch_up_s,
            "evidence": self.evidence,
        }


@dataclass(frozen=True, slots=True)
class WriterLatency:
    """The writer's inserts apart from failovers: percentiles in ms, None without one, and how many there were."""

    p50_ms: float | None
    p99_ms: float | None
    samples: int


@dataclass(frozen=True, slots=True)
class SoakFigures:
    """What a soak has measured and no criterion holds. reads: by node. files: by kind. ended: why early, or None.

    without_reads, with_reads: the writer's latency before and after the read load had begun.
    """

    times: SoakTimes
    ended: str | None
    failovers: tuple[FailoverFigures, ...]
    validations: tuple[tuple[float, Validation], ...]
    without_reads: WriterLatency
    with_reads: WriterLatency
    reads: Mapping[str, int]
    cost: CostFigures
    files: Mapping[str, str]

    def to_document(self) -> dict[str, JSON]:
        """Return it as it is stored and printed."""
        writer: dict[str, JSON] = {}
        for name, latency in (("without_reads", self.without_reads), ("with_reads", self.with_reads)):
            writer[f"p50_ms_{name}"] = latency.p50_ms
            writer[f"p99_ms_{name}"] = latency.p99_ms
            writer[f"samples_{name}"] = latency.samples
        return {
            "duration_s": self.times.duration_s,
            "failover_interval_s": self.times.failover_interval_s,
            "validation_interval_s": self.times.validation_interval_s,
            "ended": self.ended,
            "failovers": [failover.to_document() for failover in self.failovers],
            "validations": [validation_document(at_s, look) for at_s, look in self.validations],
            "writer": writer,
            "reads": dict(self.reads),
            "cost": self.cost.to_document(),
            "files": dict(self.files),
        }


def failover_figures(history: History) -> tuple[FailoverFigures, ...]:
    """Return the figures of each failover, in order. O(failovers × ops)."""
    figures = []
    ends = [fault.started_ns for fault in history.faults[1:]] + [history.end_ns]
    for fault, end_ns in zip(history.faults, ends, strict=False):  # without faults there is one end too many
        part = replace(history, faults=(fault,), end_ns=max(end_ns, fault.started_ns + 1))
        gap = longest_gap(part, INSERT) if len(acked(history.ops, INSERT)) else None
        caught_up_ns = fault.healed_ns
        figures.append(
            FailoverFigures(
                at_s=round(seconds_in(history, fault.started_ns), 3),
                source=fault.params.get("from"),
                to=fault.params.get("to"),
                done=fault.effective is True,
                promoted_s=round((fault.at_ns - fault.started_ns) / NS_PER_S, 3),
                outage_s=None if gap is None else round(gap.seconds, 3),
                catch_up_s=None
                if caught_up_ns is None
                else round((caught_up_ns - fault.started_ns) / NS_PER_S, 3),
                evidence=fault.evidence,
            )
        )
    return tuple(figures)


def reads_by_node(history: History) -> dict[str, int]:
    """Return how many reads each node answered."""
    ops = history.ops
    nodes = ops.node[ops.f_is(read_load.FUNCTION) & ops.outcome_is(Outcome.OK)]
    return {
        name: int((nodes == code).sum()) for code, name in enumerate(ops.node_names) if (nodes == code).any()
    }


def writer_latencies(history: History, readers_ns: int) -> tuple[WriterLatency, WriterLatency]:
    """Return the writer's latency without and with the read load. readers_ns: when that began, 0 when it never did."""
    ops = history.ops
    calm = acked(ops, INSERT)
    calm = calm[outside(ops.invoke_ns[calm], fault_windows(history))]
    took_ms = (ops.complete_ns[calm] - ops.invoke_ns[calm]) / 1e6
    with_reads = ops.invoke_ns[calm] >= (readers_ns or np.iinfo(np.int64).max)

    def latency(chosen: FloatArray) -> WriterLatency:
        if not len(chosen):
            return WriterLatency(None, None, 0)
        middle, high = np.percentile(chosen, (50, 99)).tolist()
        return WriterLatency(round(middle, 3), round(high, 3), len(chosen))

    return latency(took_ms[~with_reads]), latency(took_ms[with_reads])


def criteria(counted: Counted, faults: Sequence[FaultRecord]) -> list[Finding]:
    """Return the criteria that the history alone can't tell."""
    looks = counted.validations
    planned = len(counted.times.validations())
    due = len(counted.times.failovers())
    done = sum(1 for fault in faults if fault.effective)
    unequal = [(at_s, look) for at_s, look in looks if not look.ok]
    fewest = min([look.healthy for _, look in looks] + [counted.healthy])
    evidence = [Evidence(f"at {at_s:.0f} s: {words}") for at_s, look in unequal for words in look.wrong]
    return [
        _least(
            "run_time_s",
            round(counted.ran_s, 3),
            counted.times.duration_s,
            f"{counted.ran_s:.1f} s of {counted.times.duration_s:g} s"
            + (f"; {counted.ended}" if counted.ended else ""),
        ),
        _least(
            "nodes_healthy",
            fewest,
            counted.nodes,
            f"never fewer than {fewest} of {counted.nodes} nodes healthy",
        ),
        _least(
            "failovers",
            done,
            due,
            f"{done} of {due} planned failovers done",
            tuple(Evidence(f"{one.params.get('to')}: {one.evidence}") for one in faults if not one.effective),
        ),
        _least("validations", len(looks), planned, f"{len(looks)} of {planned} validations ran"),
        Finding(
            "validations_unequal",
            Verdict.FAIL if unequal else Verdict.PASS,
            f"{len(unequal)} of {len(looks)} validations found nodes that differ"
            + (f": {evidence[0].message}" if evidence else ""),
            value=len(unequal),
            limit=0,
            evidence=tuple(evidence[:EVIDENCE_MAX]),
        ),
    ]


def _least(name: str, value: float, limit: float, words: str, evidence: tuple[Evidence, ...] = ()) -> Finding:
    verdict = Verdict.PASS if value >= limit else Verdict.FAIL
    return Finding(
        name, verdict, words, value=value, limit=limit, evidence=evidence[:EVIDENCE_MAX], at_least=True
    )


def validation_document(at_s: float, look: Validation) -> dict[str, JSON]:
    """Return one validation as it is stored and printed."""
    return {
        "at_s": round(at_s, 3),
        "primary": look.primary,
        "healthy": look.healthy,
        "equal": look.ok,
        "took_s": round(look.took_s, 3),
        "wrong": list(look.wrong),
        "nodes": [
            {"name": name, "total": None, "inserts": None, "updates": None, "deletes": None}
            if counts is None
            else {
                "name": name,
                "total": counts.total,
                "inserts": counts.inserts,
                "updates": counts.updates,
                "deletes": counts.deletes,
            }
            for name, counts in look.nodes.items()
        ],
    }
