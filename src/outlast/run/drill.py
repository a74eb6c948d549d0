"""One experiment, from a healthy cluster to a verdict.

    health ─▶ load ─▶ faults, observed ─▶ heal ─▶ stop ─▶ recovery ─▶ final read ─▶ checks ─▶ store

Whatever happens on the way, the faults are healed, the clients stopped, and what was recorded is stored.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from outlast.clock import now_ns, seconds_between, timestamp
from outlast.clusters import lifecycle
from outlast.clusters.observation import Observer
from outlast.config import ClusterSpec, DrillSpec
from outlast.config.drill import check_targets
from outlast.errors import ConfigError, OutlastError, UnavailableError
from outlast.faults.base import Fault
from outlast.faults.registry import fault
from outlast.history.history import JSON
from outlast.history.store import RECORDINGS
from outlast.notify.notifier import notifying
from outlast.routes.registry import check_route, own_route
from outlast.run.checks import make_checkers
from outlast.run.conclude import About, Outcome, Seen, conclude, recover
from outlast.run.live_feed import LiveFeed, announced
from outlast.run.load import Load
from outlast.run.manual_nemesis import ByHand
from outlast.run.nemesis import Nemesis
from outlast.run.plan import Step, make_plan
from outlast.run.restored_read import check_restorable
from outlast.run.routed_load import load_route
from outlast.systems.base import CAPABILITIES, Cluster, HasServers, OperatedByHand
from outlast.systems.wait import wait_until_ready
from outlast.units import NS_PER_S
from outlast.workloads import WORKLOADS
from outlast.workloads.base import Workload, with_defaults
from outlast.workloads.protocol_client import Routed


def check_words(drill: DrillSpec, spec: ClusterSpec | None) -> tuple[Step, ...]:
    """Return the drill's plan, or say what of it makes no sense on such a cluster: there need not be one yet.

    spec: whose members it may name, None where that is not known. Raises ConfigError for an unknown workload,
    parameter, capability, fault, target or check.
    """
    for name, workload in drill.workload.items():
        if name not in WORKLOADS:
            raise ConfigError(
                f"there is no workload {name}",
                file=f"drill {drill.name}",
                key="workload",
                hint=f"there is: {', '.join(sorted(WORKLOADS))}",
            )
        with_defaults(WORKLOADS[name], workload.params)
    for need in drill.needs:
        if need not in CAPABILITIES:
            raise ConfigError(
                f"there is no capability {need}",
                file=f"drill {drill.name}",
                key="needs",
                hint=f"there is: {', '.join(CAPABILITIES)}",
            )
    if spec is not None:
        check_targets(drill, spec)
    plan = make_plan(drill)
    make_checkers(drill, 0.0, len(plan))
    return plan


def check_drill(drill: DrillSpec, cluster: Cluster) -> tuple[Step, ...]:
    """Return the drill's plan, or say why it can't be run on this cluster before anything is touched.

    Raises what check_words does, and UnavailableError for a fault or capability or route that is not to be had here.
    """
    plan = check_words(drill, cluster.spec)
    for name in drill.workload:
        _check_way(WORKLOADS[name], drill, cluster)
    for need in drill.needs:
        if not isinstance(cluster, CAPABILITIES[need]):
            raise UnavailableError(f"{drill.name} needs {need}, which {cluster.spec.system} lacks")
    check_restorable(drill, cluster)
    for step in plan:
        reason = fault(step.fault).available(cluster)
        if reason is not None:
            raise UnavailableError(f"the fault {step.fault} cannot be injected here: {reason}")
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
    by_hand: ByHand | None = None,
) -> Outcome:
    """Run a drill on a cluster that is up and store it in folder.

    seed: behind every choice. replay: the command that repeats the run, for the report. say: is told of progress.
    injector: finds a fault by name; tests break one on purpose. by_hand: somebody who injects instead of the drill's
    timeline, and ends it, at the latest after its duration; it sees to an operator, too, where there is no manager.

    Raises what check_drill does, and then an empty folder is removed; ClusterError when the cluster is not healthy to
    begin with or the load never gets an ack.
    """
    try:
        check_drill(drill, cluster)
    except OutlastError:
        with contextlib.suppress(OSError):
            folder.rmdir()
        raise
    feed = LiveFeed(
        folder,
        folder / RECORDINGS,
        cluster.lab.name,
        drill.name,
        cluster.spec.system,
        drill.duration_s,
        announced(cluster.lab),
    )
    about: dict[str, JSON] = {"lab": cluster.lab.name, "drill": drill.name, "run": folder.name}
    async with feed.publishing(), notifying(cluster, about, say) as tell:
        outcome = await _run_drill(cluster, drill, seed, folder, replay, say, injector, feed, by_hand)
        feed.phase, feed.verdict = "done", outcome.verdict
        tell("verdict", {"verdict": str(outcome.verdict), "seed": seed, "replay": replay})
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
    by_hand: ByHand | None,
) -> Outcome:
    plan = check_drill(drill, cluster)
    route = drill.route or own_route(cluster)
    about = About(seed, folder, replay, plan, now_ns(), timestamp())
    say("waiting for a healthy cluster")
    await wait_until_ready(cluster, drill.settle_s)
    load = Load(cluster, folder / RECORDINGS, seed)
    observer = Observer(cluster)
    nemesis: Nemesis | ByHand | None = None
    start_ns = end_ns = 0
    complete = False
    acts: list[JSON] = []

    def operator_acts(words: str) -> None:
        acts.append(f"{seconds_between(about.began_ns, now_ns()):.1f} s: {words}")
        say(words)

    if by_hand is not None:
        by_hand.told = operator_acts
    operator = operated(cluster, operator_acts) if by_hand is None else contextlib.nullcontext()
    async with observer.running(), operator:
        try:
            say("starting the load")
            start_ns = await load.start(drill.workloads(), drill.level, route)
            end_ns = start_ns + int(drill.duration_s * NS_PER_S)
            if by_hand is not None:
                by_hand.start(start_ns)
            nemesis = by_hand or Nemesis(cluster, plan, seed, start_ns, say, injector)
            feed.begin(start_ns, nemesis.records)
            say(f"load for {drill.duration_s:g} s")
            await nemesis.run(end_ns)
            complete = True
        finally:
            end_ns = now_ns()
            feed.end(end_ns)
            await asyncio.shield(load.stop())
        say("waiting for every node to be back")
        cluster = lifecycle.reload(cluster)  # a node may have been added, or removed, under load
        rejoin_s, trouble = await recover(cluster, drill.recovery_s, nemesis.records)
    seen = Seen(
        tuple(nemesis.records),
        tuple(observer.observations),
        start_ns,
        end_ns,
        complete,
        rejoin_s,
        trouble,
        tuple(load.routed),
    )
    feed.phase = "judging"
    notes: dict[str, JSON] = {"operator": list(acts)} if isinstance(cluster, OperatedByHand) else {}
    return await conclude(cluster, drill, about, seen, say, lambda _history: ([], notes))


@contextlib.asynccontextmanager
async def operated(cluster: Cluster, say: Callable[[str], None]) -> AsyncIterator[None]:
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


def _check_way(workload: Workload, drill: DrillSpec, cluster: Cluster) -> None:
    """Raise UnavailableError when a workload's clients have no way to this cluster."""
    if isinstance(workload, Routed):
        load_route(cluster, workload)
    elif not isinstance(cluster, HasServers):
        raise UnavailableError(
            f"the workload {workload.name} needs PostgreSQL servers, which {cluster.spec.system} lacks",
            hint="workloads log and kv speak other protocols",
        )
    else:
        check_route(cluster, drill.route or own_route(cluster))
