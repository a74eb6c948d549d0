"""The end of a run, whatever drove it: recovery, the final read, the checks, the store.

    record ─▶ recovered ─▶ read back ─▶ judged ─▶ stored

A drill and a soak end alike, so that both are checked and reported again alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from outlast.checkers.base import Checker, Finding, Verdict, run_checker, worst
from outlast.checkers.quoted import quoted
from outlast.checkers.rejoin import whole_again_s
from outlast.checkers.too_busy import AsPlanned, excused
from outlast.clock import now_ns, seconds_between, timestamp
from outlast.clusters.service_registry import start_member
from outlast.clusters.versions import versions
from outlast.clusters.wholeness import wait_until_whole
from outlast.config import DrillSpec, stored_cluster, to_document
from outlast.errors import ClusterError
from outlast.history.history import JSON, FaultRecord, FinalRead, History, NodeObservation
from outlast.history.lateness import Lateness
from outlast.history.reading import read_ops
from outlast.history.store import RECORDINGS, RunDocument, save_run
from outlast.pace import scaled
from outlast.report.findings import finding_document
from outlast.report.run_report import RunReport, run_report
from outlast.run.checks import Terms, make_checkers
from outlast.run.final_read import final_reader
from outlast.run.node_logs import store_logs
from outlast.run.prepare import PreparedDrill, prepared_again, priorities
from outlast.run.request import RunRequest
from outlast.run.restored_final_read import restored_final_read
from outlast.run.said import what_was_said
from outlast.systems.base import Cluster
from outlast.workloads.config import WorkerConfig

CHECK_TIMEOUT_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class RunResult:
    """A run that has ended: what is stored of it, and where."""

    history: History
    document: RunDocument
    folder: Path

    @property
    def verdict(self) -> Verdict:
        """The run's verdict."""
        return Verdict(self.document.verdict)

    def report(self) -> RunReport:
        """Return the run as reports show it. O(ops)."""
        return run_report(self.history, self.document, self.folder)


@dataclass(frozen=True, slots=True)
class RunStart:
    """Where and when a run began. began_ns: monotonic; started: wall time."""

    folder: Path
    began_ns: int
    started: str

    @classmethod
    def now(cls, folder: Path) -> RunStart:
        """Return the start of a run that begins now and is stored in folder."""
        return cls(folder, now_ns(), timestamp())


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What was done to a cluster and seen of it until the load had stopped and it was given time to recover.

    start_ns, end_ns: of the load, monotonic. complete: whether it ran as long as it should. rejoin_s, trouble: as
    ``recover`` returns them. routed: the loads over routes of the system's own. lateness: of the tool itself.
    """

    faults: tuple[FaultRecord, ...]
    observations: tuple[NodeObservation, ...]
    start_ns: int
    end_ns: int
    complete: bool
    rejoin_s: float | None
    trouble: str
    routed: tuple[WorkerConfig, ...] = ()
    lateness: Lateness | None = None


More = Callable[[History], tuple[list[Finding], dict[str, JSON]]]
"""From a run's history to findings and notes beyond those of its drill."""


async def conclude(
    cluster: Cluster,
    prepared: PreparedDrill,
    request: RunRequest,
    start: RunStart,
    record: RunRecord,
    more: More | None = None,
) -> RunResult:
    """Read everything back, judge the history, and store the run in start.folder."""
    drill, say = prepared.drill, request.say
    prepared = prepared_again(prepared, cluster)
    say("reading everything back")
    final, trouble = await _read(cluster, drill, record, start.folder)
    restored = await restored_final_read(cluster, drill, record.faults, say)
    await asyncio.to_thread(store_logs, cluster, start.folder)
    said = await asyncio.to_thread(what_was_said, cluster, record.start_ns, record.end_ns)
    say("judging the history")
    history = History(
        await asyncio.to_thread(read_ops, start.folder / RECORDINGS),
        record.faults,
        record.observations,
        final,
        record.start_ns,
        record.end_ns,
        record.complete,
        restored,
        record.lateness,
        said=said,
    )
    model = cluster.model
    document = RunDocument(
        name=drill.name,
        system=cluster.spec.system,
        profile=cluster.spec.profile,
        seed=request.seed,
        replay=request.replay,
        started=start.started,
        cluster=to_document(cluster.spec),
        drill=to_document(drill),
        versions=await versions(cluster),
        plan=tuple(step.to_document() for step in prepared.plan),
        notes={
            "title": drill.title,
            "sync": cluster.spec.sync,
            "route": prepared.route,
            "duration_s": None,
            "rejoin_s": _rejoin_s(history, record),
            "model_s": model.outage_s,
            "model": model.reason,
            "relink_s": model.relink_s,
        },
    )
    findings = [Finding("recovery", Verdict.FAIL, trouble)] if trouble else []
    return await judge_and_store(
        history, document, prepared.checkers, start, lambda told: (findings, {}), more
    )


async def judge_and_store(
    history: History, document: RunDocument, checkers: Sequence[Checker], start: RunStart, *more: More | None
) -> RunResult:
    """Run the checkers on a history and store both in start.folder. document: without its findings and verdict."""
    findings = [
        await asyncio.to_thread(run_checker, checker, history, scaled(CHECK_TIMEOUT_S))
        for checker in checkers
    ]
    notes = {**document.notes, "duration_s": round(seconds_between(start.began_ns, now_ns()), 3)}
    for add in filter(None, more):
        added, noted = add(history)
        findings += added
        notes |= noted
    findings = _in_context(findings, history)
    document = replace(
        document,
        verdict=worst(finding.verdict for finding in findings),
        findings=tuple(finding_document(finding) for finding in findings),
        notes=notes,
    )
    await asyncio.to_thread(save_run, start.folder, history, document)
    return RunResult(history, document, start.folder)


def _in_context(findings: Sequence[Finding], history: History) -> list[Finding]:
    """Return the findings with the cluster's own reasons, those invalid that our own slowness may have made, and what
    else it has spoilt."""
    planned = run_checker(AsPlanned(), history, CHECK_TIMEOUT_S)
    judged = [
        quoted(excused(each, history.lateness, history.faults, history.start_ns), history)
        for each in findings
    ]
    return judged if planned.verdict is Verdict.PASS else [*judged, planned]


def judge_again(history: History, document: RunDocument, drill: DrillSpec) -> RunDocument:
    """Return the document of a stored run with its findings made anew from its history."""
    model_s = float(str(document.notes.get("model_s")))
    relink_s = float(str(document.notes.get("relink_s", 0.0)))  # runs of older versions have none
    ranks: Mapping[str, int] = {}
    if drill.checks.get("by_priority", False):
        ranks = priorities(stored_cluster(document.cluster, f"the cluster of {document.name}"))
    terms = Terms(drill, model_s, len(document.plan), ranks, relink_s)
    findings = _in_context(
        [run_checker(checker, history, scaled(CHECK_TIMEOUT_S)) for checker in make_checkers(terms)], history
    )
    # What only the live cluster could tell is kept as it was found.
    made = {finding.name for finding in findings}
    kept = [finding for finding in document.findings if finding["name"] not in made]
    verdict = worst(
        [finding.verdict for finding in findings] + [Verdict(str(finding["verdict"])) for finding in kept]
    )
    return replace(
        document, verdict=verdict, findings=(*(finding_document(finding) for finding in findings), *kept)
    )


def _rejoin_s(history: History, record: RunRecord) -> float | None:
    """Return the seconds from the last healing to a whole cluster: as they were observed from the healing on, else as
    they were when the load had ended, which is no earlier."""
    observed = whole_again_s(history)
    if record.rejoin_s is None or observed is None:
        return record.rejoin_s
    return round(min(observed, record.rejoin_s), 3)


async def recover(
    cluster: Cluster, timeout_s: float, faults: Sequence[FaultRecord]
) -> tuple[float | None, str]:
    """Wait until the cluster is whole; returns the seconds from the last healing to its end, and what is missing.

    First every host starts what belongs on it and does not run, as a machine does that boots: a watchdog may have
    reset one, and nothing else restarts what a fault has killed, even by way of another.
    """
    healed = [record.healed_ns for record in faults if record.healed_ns is not None]
    try:
        for member in cluster.spec.members():
            host = cluster.lab.hosts.get(member.name)
            if host is not None and host.is_on:
                await start_member(cluster, member.name)
        await wait_until_whole(cluster, timeout_s)
    except ClusterError as error:
        return None, error.message
    return (round(seconds_between(max(healed), now_ns()), 3) if healed else None), ""


async def _read(
    cluster: Cluster, drill: DrillSpec, record: RunRecord, folder: Path
) -> tuple[FinalRead | None, str]:
    """Return the final read, and what is wrong with the cluster: "" when nothing is."""
    try:
        final = await final_reader(cluster, drill, record.routed, folder).read()
    except ClusterError as error:
        return None, record.trouble or error.message
    seen = {seen.node for seen in record.observations if seen.source == "node"}
    removed = seen - {node.name for node in cluster.spec.nodes}
    return replace(final, removed=tuple(sorted(removed))), record.trouble
