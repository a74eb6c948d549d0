"""The end of a run, whatever drove it: recovery, the final read, the checks, the store.

    seen ─▶ recovered ─▶ read back ─▶ judged ─▶ stored

A drill and a soak end alike, so that both are checked and reported again alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from outlast.checkers.base import Finding, Verdict, run_checker, worst
from outlast.clock import now_ns, seconds_between
from outlast.clusters.service_registry import start_member
from outlast.clusters.versions import versions
from outlast.config import DrillSpec, to_document
from outlast.errors import ClusterError
from outlast.history.history import JSON, FaultRecord, FinalRead, History, NodeObservation
from outlast.history.reading import read_ops
from outlast.history.store import RECORDINGS, RunDocument, save_run
from outlast.pace import scaled
from outlast.report.findings import finding_document
from outlast.routes.registry import own_route
from outlast.run.checks import make_checkers
from outlast.run.final_read import final_read
from outlast.run.load import CLIENT_HOST
from outlast.run.plan import Step
from outlast.run.restored_read import restored_read
from outlast.run.routed_load import routed_final_read
from outlast.systems.base import Cluster, HasServers
from outlast.systems.wait import wait_until_ready
from outlast.workloads import WORKLOADS
from outlast.workloads.config import WorkerConfig

CHECK_TIMEOUT_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run that has ended: what is stored of it, and where."""

    history: History
    document: RunDocument
    folder: Path

    @property
    def verdict(self) -> Verdict:
        """The run's verdict."""
        return Verdict(self.document.verdict)


@dataclass(frozen=True, slots=True)
class About:
    """What a run was asked to be. began_ns: monotonic, started: wall time of its beginning. Else see RunDocument."""

    seed: int
    folder: Path
    replay: str
    plan: tuple[Step, ...]
    began_ns: int
    started: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What was done to a cluster and seen of it until the load had stopped and it was given time to recover.

    rejoin_s, trouble: as ``recover`` returns them. routed: the loads over routes of the system's own.
    """

    faults: tuple[FaultRecord, ...]
    observations: tuple[NodeObservation, ...]
    start_ns: int
    end_ns: int
    complete: bool
    rejoin_s: float | None
    trouble: str
    routed: tuple[WorkerConfig, ...] = ()


More = Callable[[History], tuple[list[Finding], dict[str, JSON]]]
"""From a run's history to findings and notes beyond those of its drill."""


async def conclude(
    cluster: Cluster,
    drill: DrillSpec,
    about: About,
    seen: Seen,
    say: Callable[[str], None],
    more: More | None = None,
) -> Outcome:
    """Read everything back, judge the history, and store the run in about.folder."""
    say("reading everything back")
    final, trouble = await _read(cluster, drill, seen, about.folder)
    restored = await restored_read(cluster, drill, seen.faults, say)
    say("judging the history")
    ops = await asyncio.to_thread(read_ops, about.folder / RECORDINGS)
    history = History(
        ops,
        seen.faults,
        seen.observations,
        final,
        seen.start_ns,
        seen.end_ns,
        seen.complete,
        restored,
    )
    shape = to_document(cluster.spec)
    model = cluster.model
    checkers = make_checkers(drill, model.outage_s, len(about.plan), _priorities(shape), model.relink_s)
    findings = [
        await asyncio.to_thread(run_checker, checker, history, scaled(CHECK_TIMEOUT_S))
        for checker in checkers
    ]
    if trouble:
        findings.append(Finding("recovery", Verdict.FAIL, trouble))
    notes: dict[str, JSON] = {
        "title": drill.title,
        "sync": cluster.spec.sync,
        "route": drill.route or own_route(cluster),
        "duration_s": round(seconds_between(about.began_ns, now_ns()), 3),
        "rejoin_s": seen.rejoin_s,
        "model_s": model.outage_s,
        "model": model.reason,
        "relink_s": model.relink_s,
    }
    if more is not None:
        added, noted = more(history)
        findings += added
        notes |= noted
    document = RunDocument(
        name=drill.name,
        system=cluster.spec.system,
        profile=cluster.spec.profile,
        seed=about.seed,
        replay=about.replay,
        started=about.started,
        verdict=worst(finding.verdict for finding in findings),
        cluster=shape,
        drill=to_document(drill),
        versions=await versions(cluster),
        plan=tuple(step.to_document() for step in about.plan),
        findings=tuple(finding_document(finding) for finding in findings),
        notes=notes,
    )
    await asyncio.to_thread(save_run, about.folder, history, document)
    return Outcome(history, document, about.folder)


def judge_again(history: History, document: RunDocument, drill: DrillSpec) -> RunDocument:
    """Return the document of a stored run with its findings made anew from its history."""
    model_s = document.notes.get("model_s")
    relink_s = float(str(document.notes.get("relink_s", 0.0)))  # runs of older versions have none
    priorities = _priorities(document.cluster)
    checkers = make_checkers(drill, float(str(model_s)), len(document.plan), priorities, relink_s)
    findings = [run_checker(checker, history, scaled(CHECK_TIMEOUT_S)) for checker in checkers]
    # What only the live cluster could tell is kept as it was found.
    made = {finding.name for finding in findings}
    kept = [finding for finding in document.findings if finding["name"] not in made]
    verdict = worst(
        [finding.verdict for finding in findings] + [Verdict(str(one["verdict"])) for one in kept]
    )
    return replace(
        document, verdict=verdict, findings=(*(finding_document(finding) for finding in findings), *kept)
    )


def _priorities(cluster: Mapping[str, JSON]) -> dict[str, int]:
    """Return the priorities that a cluster's document gives its nodes; read-only nodes are never promoted."""
    nodes = cluster.get("nodes")
    found = {}
    for node in nodes if isinstance(nodes, list) else []:
        if isinstance(node, dict) and isinstance(node.get("priority"), int) and node["role"] != "read-only":
            found[str(node["name"])] = int(str(node["priority"]))
    return found


async def recover(
    cluster: Cluster, timeout_s: float, faults: Sequence[FaultRecord]
) -> tuple[float | None, str]:
    """Wait until the cluster is whole; returns the seconds since the last healing, and what is missing.

    First every host starts what belongs on it and does not run, as a machine does that boots: a watchdog may have
    reset one, and nothing else restarts what a fault has killed, even by way of another.
    """
    healed = [record.healed_ns for record in faults if record.healed_ns is not None]
    try:
        for member in cluster.spec.members():
            host = cluster.lab.hosts.get(member.name)
            if host is not None and host.is_on:
                await start_member(cluster, member.name)
        await wait_until_ready(cluster, timeout_s)
    except ClusterError as error:
        return None, error.message
    return (round(seconds_between(max(healed), now_ns()), 3) if healed else None), ""


async def _read(cluster: Cluster, drill: DrillSpec, seen: Seen, folder: Path) -> tuple[FinalRead | None, str]:
    trouble = seen.trouble
    try:
        if not isinstance(cluster, HasServers):
            host = cluster.lab.hosts[CLIENT_HOST]
            return await routed_final_read(cluster, seen.routed, host, folder), trouble
        return await final_read(cluster, [WORKLOADS[name] for name in drill.workload]), trouble
    except ClusterError as error:
        return None, trouble or error.message
