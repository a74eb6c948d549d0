"""One drill, from a healthy cluster to a verdict.

    health ─▶ load ─▶ faults, observed ─▶ heal ─▶ stop ─▶ recovery ─▶ final read ─▶ checks ─▶ store

Whatever happens on the way, the faults are healed, the clients stopped, and what was recorded is stored.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final

from outlast.checkers.base import Checker
from outlast.checkers.outage import Outage
from outlast.checkers.rejoin import follows_again
from outlast.checkers.too_busy import excused
from outlast.clock import now_ns, seconds_between
from outlast.clusters import lifecycle
from outlast.clusters.observation import Observer
from outlast.config import to_document
from outlast.errors import ClusterError, ConfigError, HistoryError, UnavailableError
from outlast.faults.base import Fault
from outlast.faults.registry import fault
from outlast.history.history import JSON, FaultRecord
from outlast.history.store import RECORDINGS
from outlast.notify.notifier import notifying
from outlast.run.conclude import RunRecord, RunResult, RunStart, conclude, recover
from outlast.run.live_feed import LiveFeed, announced
from outlast.run.load import Load
from outlast.run.manual_nemesis import ManualNemesis
from outlast.run.nemesis import Nemesis
from outlast.run.operator import operator
from outlast.run.own_watch import OwnWatch
from outlast.run.prepare import PreparedDrill
from outlast.run.request import RunRequest
from outlast.run.unjudged import Unjudged, error_finding, store_unjudged
from outlast.systems.base import Cluster, OperatedByHand
from outlast.systems.wait import wait_for, wait_until_ready
from outlast.units import NS_PER_S


async def run_drill(
    cluster: Cluster,
    prepared: PreparedDrill,
    request: RunRequest,
    *,
    injector: Callable[[str], Fault] = fault,
    nemesis: ManualNemesis | None = None,
) -> RunResult:
    """Run a drill on a cluster that is up, and store it in a new folder of the request's.

    injector: finds a fault by name; tests break one on purpose. nemesis: somebody who injects instead of the drill's
    timeline, and ends it, at the latest after its duration; it sees to an operator, too, where there is no manager.

    Raises ClusterError when the cluster is not healthy to begin with or the load never gets an acknowledgement; what
    was recorded until then is stored, as it is before any error but that of a drill which cannot run here.
    """
    drill, folder = prepared.drill, request.new_folder(prepared.drill.name)
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
    async with feed.publishing(), notifying(cluster, about, request.say) as tell:
        run = _DrillRun(cluster, prepared, request, RunStart.now(folder), feed)
        try:
            result = await run.run(nemesis, injector)
        except (UnavailableError, ConfigError):
            raise
        except Exception as error:
            with contextlib.suppress(
                HistoryError
            ):  # what ended the drill matters more than that it can't be stored
                await run.store_error(error)
                request.say(f"what was recorded until then: {folder}")
            raise
        feed.phase, feed.verdict = "done", result.verdict
        tell("verdict", {"verdict": str(result.verdict), "seed": request.seed, "replay": request.replay})
    return result


STEP_DOWN_NS: Final = NS_PER_S
OUTLAST_S: Final = 2.0
"""How much longer than the longest outage that is allowed a load waits for the end of one."""
ACK_POLL_S: Final = 0.05
SEEN_TIMEOUT_S: Final = 3.0


async def outlast_outage(
    load: Load, checkers: Sequence[Checker], faults: Sequence[FaultRecord], usual_s: float
) -> None:
    """Have a load go on until its writes are acknowledged again, or for longer than any outage may last.

    An acknowledgement counts that comes a while after the last healing: an old primary that is healed may still give
    one before it steps down. usual_s: what the system promises, for an outage that is measured without a limit. Where
    none is measured there is nothing to wait for.
    """
    limits = [usual_s if one.limit is None else one.limit for one in checkers if isinstance(one, Outage)]
    healed = [fault.healed_ns for fault in faults if fault.healed_ns is not None]
    if not limits or not healed:
        return
    wanted_ns = max(healed) + STEP_DOWN_NS
    acks = load.last_acks()
    # An outage that is longer than it may be needs no end. The limit is the database's: no pace makes it longer.
    until_ns = min(acks.values(), default=0) + int((max(limits) + OUTLAST_S) * NS_PER_S)
    while any(at_ns < wanted_ns for at_ns in acks.values()) and now_ns() < until_ns:
        await asyncio.sleep(ACK_POLL_S)
        acks = load.last_acks()


async def _seen_whole(observer: Observer, faults: Sequence[FaultRecord]) -> None:
    """Wait, not for long, until the observations show what was found: that every node follows."""
    healed = [fault.healed_ns for fault in faults if fault.healed_ns is not None]
    if not healed:
        return

    async def unseen() -> str:
        seen = observer.observations
        nodes = {one.node for one in seen if one.source == "node" and one.role}
        return ", ".join(node for node in nodes if follows_again(seen, node, max(healed)) is None)

    with contextlib.suppress(ClusterError):
        await wait_for(unseen, SEEN_TIMEOUT_S, "nodes to be seen following")


class _DrillRun:
    """One drill under way. acts: what an operator did, where a system has no manager."""

    def __init__(
        self, cluster: Cluster, prepared: PreparedDrill, request: RunRequest, start: RunStart, feed: LiveFeed
    ) -> None:
        self._cluster = cluster
        self._prepared = prepared
        self._request = request
        self._start = start
        self._feed = feed
        self._acts: list[JSON] = []
        self._observer = Observer(cluster)
        self._watch = OwnWatch()
        self._nemesis: Nemesis | ManualNemesis | None = None
        self._start_ns = 0

    async def store_error(self, error: Exception) -> None:
        """Store what there is of a run that ended with an error. Raises HistoryError when it cannot be written."""
        cluster, drill, request = self._cluster, self._prepared.drill, self._request
        what = Unjudged(
            *(drill.name, drill.title, cluster.spec, request.seed, request.replay),
            self._start.began_ns,
            self._start.started,
            cluster,
            to_document(drill),
            tuple(self._nemesis.records) if self._nemesis is not None else (),
            tuple(self._observer.observations),
            self._start_ns or self._start.began_ns,
            now_ns(),
            self._watch.lateness(),
        )
        finding = excused(error_finding(error), what.lateness, what.faults, what.start_ns)
        await store_unjudged(self._start.folder, what, [finding])

    async def run(self, manual: ManualNemesis | None, injector: Callable[[str], Fault]) -> RunResult:
        """Run it to its end."""
        cluster, prepared, say = self._cluster, self._prepared, self._request.say
        drill = prepared.drill
        say("waiting for a healthy cluster")
        async with self._watch.running():
            await wait_until_ready(cluster, drill.settle_s)
        load = Load(cluster, self._start.folder / RECORDINGS, self._request.seed)
        observer = self._observer
        nemesis: Nemesis | ManualNemesis
        if manual is not None:
            manual.operator_acted = self._note_act
            nemesis = manual
        else:
            nemesis = Nemesis(cluster, prepared.plan, self._request.seed, say, injector)
        self._nemesis = nemesis
        start_ns = end_ns = 0
        complete = False
        attended = operator(cluster, self._note_act) if manual is None else contextlib.nullcontext()
        async with self._watch.running(), observer.running(), attended:
            try:
                say("starting the load")
                start_ns = await load.start(drill.workloads(), drill.level, prepared.route)
                self._start_ns = start_ns
                end_ns = start_ns + int(drill.duration_s * NS_PER_S)
                nemesis.begin(start_ns)
                self._feed.begin(start_ns, nemesis.records)
                say(f"load for {drill.duration_s:g} s")
                await nemesis.run(end_ns)
                await outlast_outage(load, prepared.checkers, nemesis.records, cluster.model.outage_s)
                complete = True
            finally:
                end_ns = now_ns()
                self._feed.end(end_ns)
                await asyncio.shield(load.stop())
            say("waiting for every node to be back")
            cluster = lifecycle.reload(cluster)  # a node may have been added, or removed, under load
            observer.look_closely()
            rejoin_s, trouble = await recover(cluster, drill.recovery_s, nemesis.records)
            if not trouble:
                await _seen_whole(observer, nemesis.records)
        record = RunRecord(
            tuple(nemesis.records),
            tuple(observer.observations),
            start_ns,
            end_ns,
            complete,
            rejoin_s,
            trouble,
            tuple(load.routed),
            self._watch.lateness(nemesis.late_s, observer.look_s),
        )
        self._feed.phase = "judging"
        return await conclude(
            cluster, prepared, self._request, self._start, record, lambda _history: ([], self._notes())
        )

    def _note_act(self, act: str) -> None:
        """Note what an operator does, and tell of it."""
        self._acts.append(f"{seconds_between(self._start.began_ns, now_ns()):.1f} s: {act}")
        self._request.say(act)

    def _notes(self) -> dict[str, JSON]:
        return {"operator": list(self._acts)} if isinstance(self._cluster, OperatedByHand) else {}
