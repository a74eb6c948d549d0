"""The store of what ended before it could be judged, so that nothing which failed leaves no trace.

A load that was never acknowledged, a check in code that found something, an error of our own: each is a run document
with what was found, beside whatever was recorded until then and the logs of every node.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from outlast.checkers.base import Finding, Verdict, worst
from outlast.clock import now_ns, seconds_between
from outlast.config import ClusterSpec, to_document
from outlast.errors import ClusterError, HistoryError, OutlastError
from outlast.history.history import JSON, FaultRecord, History, NodeObservation
from outlast.history.lateness import Lateness
from outlast.history.op import Ops
from outlast.history.reading import read_ops, recordings
from outlast.history.sketch import sketch
from outlast.history.store import RECORDINGS, RunDocument, save_run
from outlast.report.findings import finding_document
from outlast.run.node_logs import store_logs
from outlast.systems.base import Cluster


@dataclass(frozen=True, slots=True)
class Unjudged:
    """What was under way. cluster: None when there was none. drill: its document; {} for a check in code.

    began_ns: monotonic. start_ns, end_ns: of the load, 0 when it never began. lateness: of the tool meanwhile.
    """

    name: str
    title: str
    spec: ClusterSpec
    seed: int
    replay: str
    began_ns: int
    started: str
    cluster: Cluster | None = None
    drill: Mapping[str, JSON] = field(default_factory=dict)
    faults: tuple[FaultRecord, ...] = ()
    observations: tuple[NodeObservation, ...] = ()
    start_ns: int = 0
    end_ns: int = 0
    lateness: Lateness | None = None


def error_finding(error: Exception) -> Finding:
    """Return the finding on what ended an experiment.

    ``fail`` where the cluster did not do what it must; ``invalid`` where the tool or its lab failed, which proves
    nothing of the cluster.
    """
    if isinstance(error, ClusterError):
        return Finding("experiment", Verdict.FAIL, error.message)
    if isinstance(error, OutlastError):
        return Finding("experiment", Verdict.INVALID, f"the tool or its lab failed: {error.message}")
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}, {place.name}, line {place.lineno}"
    return Finding("experiment", Verdict.INVALID, f"our own fault: {type(error).__name__}: {error} ({where})")


async def store_unjudged(folder: Path, what: Unjudged, findings: Sequence[Finding]) -> RunDocument:
    """Store what was under way in folder, with its findings. Raises HistoryError when it cannot be written."""
    document = RunDocument(
        name=what.name,
        system=what.spec.system,
        profile=what.spec.profile,
        seed=what.seed,
        replay=what.replay,
        started=what.started,
        verdict=worst(finding.verdict for finding in findings),
        cluster=to_document(what.spec),
        drill=what.drill,
        findings=tuple(finding_document(finding) for finding in findings),
        notes={
            "title": what.title,
            "sync": what.spec.sync,
            "duration_s": round(seconds_between(what.began_ns, now_ns()), 3),
        },
    )
    if what.cluster is not None:
        await asyncio.to_thread(store_logs, what.cluster, folder)
    history = History(
        await asyncio.to_thread(_recorded, folder / RECORDINGS),
        what.faults,
        what.observations,
        None,
        what.start_ns,
        what.end_ns,
        complete=False,
        lateness=what.lateness,
    )
    await asyncio.to_thread(save_run, folder, history, document)
    return document


def _recorded(folder: Path) -> Ops:
    """Return what was recorded; nothing where there is none, or none that can be read."""
    try:
        return read_ops(folder) if folder.is_dir() and recordings(folder) else sketch("")
    except HistoryError:
        return sketch("")
