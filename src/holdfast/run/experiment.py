"""One experiment, from a healthy cluster to a verdict.

    health ─▶ load ─▶ faults, observed ─▶ heal ─▶ stop ─▶ recovery ─▶ final read ─▶ checks ─▶ store

Whatever happens on the way, the faults are healed, the clients stopped, and what was recorded is stored.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import holdfast
from holdfast.checkers.base import Finding, Verdict, run_checker, worst
from holdfast.clock import now_ns, seconds_between, timestamp
from holdfast.cluster import lifecycle
from holdfast.cluster.observe import Observer
from holdfast.cluster.services import start_member
from holdfast.errors import ClusterError, ConfigError, UnavailableError
from holdfast.faults.base import Fault
from holdfast.faults.registry import fault
from holdfast.history.history import JSON, FinalRead, History
from holdfast.history.reading import read_ops
from holdfast.history.store import RECORDINGS, RunDocument, save_run
from holdfast.report.findings import finding_document
from holdfast.routes.registry import check_route
from holdfast.run.checks import make_checkers
from holdfast.run.final import final_read
from holdfast.run.live import LiveFeed, announced
from holdfast.run.load import Load
from holdfast.run.nemesis import Nemesis
from holdfast.run.plan import Step, make_plan
from holdfast.spec import DrillSpec, to_document
from holdfast.spec.drill import check_targets
from holdfast.systems.base import CAPABILITIES, Cluster, HasServers, OperatedByHand
from holdfast.systems.wait import until_whole
from holdfast.units import NS_PER_S
from holdfast.workloads import WORKLOADS
from holdfast.workloads.base import with_defaults

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


def check_drill(drill: DrillSpec, cluster: Cluster) -> tuple[Step, ...]:
    """Return the drill's plan, or say why it can't be run on this cluster before anything is touched.

    Raises ConfigError for an unknown workload, fault, target or check, UnavailableError for a fault or
    capability or route that is not to be had here.
    """
    for name, workload in drill.workload.items():
        if name not in WORKLOADS:
            raise ConfigError(
                f"there is no workload {name}", hint=f"there is: {', '.join(sorted(WORKLOADS))}"
            )
        with_defaults(WORKLOADS[name], workload.params)
    for need in drill.needs:
        if need not in CAPABILITIES:
            raise ConfigError(f"there is no capability {need}", hint=f"there is: {', '.join(CAPABILITIES)}")
        if not isinstance(cluster, CAPABILITIES[need]):
            raise UnavailableError(f"{drill.name} needs {need}, which {cluster.spec.system} lacks")
    check_route(cluster, drill.route)
    if drill.workload and not isinstance(cluster, HasServers):
        raise UnavailableError(
            f"{drill.name} writes to PostgreSQL ({', '.join(drill.workload)}), which {cluster.spec.system} has not"
        )
    check_targets(drill, cluster.spec)
    plan = make_plan(drill)
    for step in plan:
        reason = fault(step.fault).available(cluster)
        if reason is not None:
            raise UnavailableError(f"the fault {step.fault} cannot be injected here: {reason}")
    make_checkers(drill, cluster.model.outage_s, len(plan))
    return plan


async def run_drill(
    cluster: Cluster,
    drill: DrillSpec,
    *,
    seed: int,
    folder: Path,
    replay: str,
    say: Callable[[str], None],
    injector: Callable[[str], Fault] = fault,
) -> Outcome:
    """Run a drill on a cluster that is up and store it in folder.

    seed: behind every choice. replay: the command that repeats the run, for the report. say: is told of progress.
    injector: finds a fault by name; tests break one on purpose.

    Raises ClusterError when the cluster is not healthy to begin with or the load never gets an ack.
    """
    feed = LiveFeed(
        folder,
        folder / RECORDINGS,
        cluster.lab.name,
        drill.name,
        cluster.spec.system,
        drill.duration_s,
        announced(cluster.lab),
    )
    async with feed.publishing():
        outcome = await _run_drill(cluster, drill, seed, folder, replay, say, injector, feed)
        feed.phase, feed.verdict = "done", outcome.verdict
    return outcome


async def _run_drill(
    cluster: Cluster,
    drill: DrillSpec,
    seed: int,
    folder: Path,
    replay: str,
    say: Callable[[str], None],
    injector: Callable[[str], Fault],
    feed: LiveFeed,
) -> Outcome:
    plan = check_drill(drill, cluster)
    began = now_ns()
    started = timestamp()
    say("waiting for a healthy cluster")
    await until_whole(cluster, drill.settle_s)
    load = Load(cluster, folder / RECORDINGS, seed)
    observer = Observer(cluster)
    nemesis: Nemesis | None = None
    start_ns = end_ns = 0
    complete = False
    acts: list[JSON] = []

    def operator_acts(words: str) -> None:
        acts.append(f"{seconds_between(began, now_ns()):.1f} s: {words}")
        say(words)

    async with observer.running(), _operated(cluster, operator_acts):
        try:
            say("starting the load")
            start_ns = await load.start(drill.workloads(), drill.level, drill.route)
            end_ns = start_ns + int(drill.duration_s * NS_PER_S)
            nemesis = Nemesis(cluster, plan, seed, start_ns, say, injector)
            feed.begin(start_ns, nemesis.records)
            say(f"load for {drill.duration_s:g} s")
            await nemesis.run(end_ns)
            complete = True
        finally:
            end_ns = now_ns()
            feed.end(end_ns)
            await asyncio.shield(load.stop())
        say("waiting for every node to be back")
        cluster = lifecycle.as_it_is_now(cluster)  # a node may have been added, or removed, under load
        rejoin_s, trouble = await _recover(cluster, drill.recovery_s, nemesis)
    say("reading everything back")
    final, trouble = await _read(cluster, drill, trouble)
    say("judging the history")
    feed.phase = "judging"
    ops = await asyncio.to_thread(read_ops, folder / RECORDINGS)
    history = History(
        ops,
        tuple(nemesis.records),
        tuple(observer.observations),
        final,
        start_ns,
        end_ns,
        complete,
    )
    shape = to_document(cluster.spec)
    checkers = make_checkers(drill, cluster.model.outage_s, len(plan), _priorities(shape))
    findings = [
        await asyncio.to_thread(run_checker, checker, history, CHECK_TIMEOUT_S) for checker in checkers
    ]
    if trouble:
        findings.append(Finding("recovery", Verdict.FAIL, trouble))
    notes: dict[str, JSON] = {
        "title": drill.title,
        "sync": cluster.spec.sync,
        "route": drill.route,
        "duration_s": round(seconds_between(began, now_ns()), 3),
        "rejoin_s": rejoin_s,
        "model_s": cluster.model.outage_s,
        "model": cluster.model.reason,
    }
    if isinstance(cluster, OperatedByHand):
        notes["operator"] = acts
    document = RunDocument(
        name=drill.name,
        system=cluster.spec.system,
        profile=cluster.spec.profile,
        seed=seed,
        replay=replay,
        started=started,
        verdict=worst(finding.verdict for finding in findings),
        cluster=shape,
        drill=to_document(drill),
        versions={"holdfast": holdfast.__version__},
        plan=tuple(step.to_document() for step in plan),
        findings=tuple(finding_document(finding) for finding in findings),
        notes=notes,
    )
    await asyncio.to_thread(save_run, folder, history, document)
    return Outcome(history, document, folder)


def judge_again(history: History, document: RunDocument, drill: DrillSpec) -> RunDocument:
    """Return the document of a stored run with its findings made anew from its history."""
    model_s = document.notes.get("model_s")
    checkers = make_checkers(drill, float(str(model_s)), len(document.plan), _priorities(document.cluster))
    findings = [run_checker(checker, history, CHECK_TIMEOUT_S) for checker in checkers]
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


@contextlib.asynccontextmanager
async def _operated(cluster: Cluster, say: Callable[[str], None]) -> AsyncIterator[None]:
    """Have somebody in charge of a system without a manager, for the length of a with block."""
    if not isinstance(cluster, OperatedByHand):
        yield
        return
    watch = asyncio.create_task(cluster.operate(say))
    try:
        yield
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


async def _recover(cluster: Cluster, timeout_s: float, nemesis: Nemesis) -> tuple[float | None, str]:
    """Wait until the cluster is whole; returns the seconds since the last healing, and what is missing.

    First every host starts what belongs on it and does not run, as a machine does that boots: a watchdog may have
    reset one, and nothing else restarts what a fault has killed, even by way of another.
    """
    healed = [record.healed_ns for record in nemesis.records if record.healed_ns is not None]
    try:
        for member in cluster.spec.members():
            host = cluster.lab.hosts.get(member.name)
            if host is not None and host.is_on:
                await start_member(cluster, member.name)
        await until_whole(cluster, timeout_s)
    except ClusterError as error:
        return None, error.message
    return (round(seconds_between(max(healed), now_ns()), 3) if healed else None), ""


async def _read(cluster: Cluster, drill: DrillSpec, trouble: str) -> tuple[FinalRead | None, str]:
    try:
        return await final_read(cluster, [WORKLOADS[name] for name in drill.workload]), trouble
    except ClusterError as error:
        return None, trouble or error.message
