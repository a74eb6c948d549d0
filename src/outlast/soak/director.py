"""Runs a soak on a cluster that is up: everything at its time, told line by line, and a verdict however it ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from outlast.checkers.base import Finding
from outlast.clock import now_ns, seconds_between, seconds_until
from outlast.clusters.observation import Observer
from outlast.config import DrillSpec, WorkloadSpec
from outlast.errors import ClusterError, OutlastError
from outlast.history.history import JSON, FaultRecord, History
from outlast.history.store import RECORDINGS
from outlast.pace import scaled
from outlast.run.conclude import RunRecord, RunResult, RunStart, conclude, recover
from outlast.run.live_feed import LiveFeed, announced
from outlast.run.load import Load
from outlast.run.operator import operator
from outlast.run.prepare import plan_drill, prepare_drill
from outlast.run.request import RunRequest
from outlast.soak import figures
from outlast.soak.cost import Meter
from outlast.soak.diary import RULE, TITLE, Diary, node_line, progress_line
from outlast.soak.plan import NAME, SoakTimes, promotable, rotation, soak_drill
from outlast.soak.rotation import Rotation
from outlast.soak.summary import close
from outlast.soak.validation import Validation, Validator
from outlast.systems.base import Cluster, HasCandidates
from outlast.systems.wait import wait_until_ready
from outlast.units import NS_PER_S

PREPARE_S: Final = 15.0
"""How long before its turn a node that may not lead is made eligible: a manager's slowest round and a little."""

TICK_S: Final = 1.0
OBSERVATIONS_A_NODE: Final = 3600
"""How many observations of a state that does not change are kept, so that memory does not grow with the duration."""

OVERRUN_MAX_S: Final = 60.0
"""What was due within the duration and had to wait for a slow recovery is still done, until so long after it."""

EARLY_RECOVERY_S: Final = 15.0
SETTLE_S: Final = 120.0
PUT_BACK_S: Final = 30.0

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Due:
    """Something that is due. kind: prepare, readers, failover, validation; in this order at the same time."""

    at_s: float
    kind: str
    target: str = ""


_ORDER: Final = ("prepare", "readers", "failover", "validation")


class Director:
    """One soak. progress: is shown the line that changes; the diary gets all others."""

    def __init__(
        self,
        cluster: Cluster,
        times: SoakTimes,
        diary: Diary,
        progress: Progress,
        request: RunRequest,
    ) -> None:
        self._cluster = cluster
        self._times = times
        self._diary = diary
        self._progress = progress
        self._request = replace(
            request, say=lambda _text: None
        )  # what is said goes to the diary, in its own words
        self._rotation = Rotation(cluster, diary.line, diary.promoted)
        self._validator = Validator(cluster)
        self._observer = Observer(cluster, max(1.0, times.duration_s / OBSERVATIONS_A_NODE))
        self._folder = request.new_folder(NAME)
        self._load = Load(cluster, self._folder / RECORDINGS, request.seed)
        self._faults: list[FaultRecord] = []
        self._looks: list[tuple[float, Validation]] = []
        self._start_ns = 0
        self._readers_ns = 0
        self._meter = Meter()
        self._figures: figures.SoakFigures | None = None

    async def run(self) -> RunResult:
        """Run it to its end, or to where it was stopped, and store it; the verdict then is ``fail``.

        Raises ConfigError and UnavailableError, before anything is touched, when it can't be run here; ClusterError
        when the cluster is not healthy to begin with.
        """
        cluster = self._cluster
        feed = LiveFeed(
            self._folder,
            self._folder / RECORDINGS,
            cluster.lab.name,
            NAME,
            cluster.spec.system,
            self._times.duration_s,
            announced(cluster.lab),
        )
        async with feed.publishing():
            result = await self._run(feed)
            feed.phase, feed.verdict = "done", result.verdict
        assert self._figures is not None, "a run that is stored was measured"
        close(self._diary, result, cluster, self._figures)
        return result

    async def _run(self, feed: LiveFeed) -> RunResult:
        cluster, say = self._cluster, self._diary.line
        await wait_until_ready(cluster, SETTLE_S)
        primary = (await cluster.view()).primary or cluster.spec.primary().name
        nodes = promotable(cluster.spec, isinstance(cluster, HasCandidates))
        targets = rotation(nodes, primary, len(self._times.failovers()))
        drill = soak_drill(self._times, targets, self._request.drill_overrides)
        prepared = prepare_drill(plan_drill(drill, cluster.spec), cluster)
        start = RunStart.now(self._folder)
        self._open(primary, targets)
        ended = ""
        async with self._observer.running(), operator(cluster, self._diary.line):
            try:
                await self._drive(drill, targets, feed)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                assert task is not None
                task.uncancel()
                ended = "ended early: interrupted"
            except OutlastError as error:
                ended = f"ended early: {error.message}"
            if ended:
                say(ended, "WARNING")
            end_ns = now_ns()
            feed.end(end_ns)
            await self._stop()
            rejoin_s, trouble = await recover(
                cluster, EARLY_RECOVERY_S if ended else drill.recovery_s, self._faults
            )
        if not ended and not trouble:
            await self._last_look()
        ran_s = seconds_between(self._start_ns, end_ns) if self._start_ns else 0.0
        counted = figures.Counted(
            self._times,
            len(cluster.spec.nodes),
            self._looks,
            await self._healthy(),
            self._readers_ns,
            ran_s,
            ended,
        )
        record = RunRecord(
            tuple(self._faults),
            tuple(self._observer.observations),
            self._start_ns or end_ns,
            end_ns,
            not ended,
            rejoin_s,
            trouble,
        )
        return await conclude(
            cluster, prepared, self._request, start, record, lambda history: self._more(history, counted)
        )

    # what happens

    async def _drive(self, drill: DrillSpec, targets: Sequence[str], feed: LiveFeed) -> None:
        say = self._diary.line
        say("Starting write workload...")
        writer, reader = drill.workloads()
        self._start_ns = await self._load.start((writer,))
        feed.begin(self._start_ns, self._faults)
        say("✓ Write workload started")
        for due in self._schedule(targets):
            await self._wait(due.at_s)
            if self._elapsed_s() >= self._times.duration_s + OVERRUN_MAX_S:
                break  # what did not come to its time is missing in the count
            await self._do(due, reader)
        await self._wait(self._times.duration_s)

    def _schedule(self, targets: Sequence[str]) -> list[_Due]:
        times = self._times
        due = [_Due(times.readers_s(), "readers")]
        due += [_Due(at_s, "validation") for at_s in times.validations()]
        before = 0.0
        for at_s, target in zip(times.failovers(), targets, strict=True):
            due.append(_Due(at_s, "failover", target))
            due.append(_Due(max(at_s - PREPARE_S, (before + at_s) / 2), "prepare", target))
            before = at_s
        return sorted(due, key=lambda one: (one.at_s, _ORDER.index(one.kind)))

    async def _do(self, due: _Due, reader: WorkloadSpec) -> None:
        if due.kind == "prepare":
            with contextlib.suppress(ClusterError):  # tried again, and told, when its turn comes
                await self._rotation.prepare(due.target)
        elif due.kind == "readers":
            await self._load.start((reader,))
            self._readers_ns = now_ns()
            self._diary.line("✓ Read load started")
        elif due.kind == "failover":
            await self._failover(due)
        else:
            await self._validate()

    async def _failover(self, due: _Due) -> None:
        planned_ns = self._start_ns + int(due.at_s * NS_PER_S)
        record = await self._rotation.turn(due.target, planned_ns)
        self._faults.append(record)
        if record.effective:
            if record.healed_ns is not None:
                took_s = seconds_between(record.started_ns, record.healed_ns)
                self._diary.line(f"All nodes follow {due.target} after {took_s:.1f} s", "FAILOVER")
            else:
                self._diary.line(record.evidence, "WARNING")
        else:
            self._diary.line(f"⚠ {due.target} was not promoted: {record.evidence}", "WARNING")
        with contextlib.suppress(ClusterError):  # tried again at the end
            await self._rotation.put_back(but=(due.target,))

    async def _validate(self) -> None:
        at_s = self._elapsed_s()
        await self._meter.look(self._load)
        self._report(at_s, await self._validator.look())

    async def _last_look(self) -> None:
        """Look once more when nothing is written any more, and tell only of nodes that differ or cannot be read.

        The final read finds that too; the rows of a damaged page it cannot name.
        """
        at_s = self._elapsed_s()
        try:
            look = await self._validator.look()
        finally:
            await self._validator.close()
        if not look.ok:
            self._report(at_s, look)

    def _report(self, at_s: float, look: Validation) -> None:
        """Keep what was seen, and tell it."""
        self._looks.append((at_s, look))
        say, left = self._diary.line, max(0.0, self._times.duration_s - at_s)
        say(f"--- VALIDATION REPORT (Elapsed: {at_s:.0f}s / Remaining: {left:.0f}s) ---", "REPORT")
        say(f"Current Primary: {look.primary or 'UNKNOWN'}", "REPORT")
        for name, counts in look.nodes.items():
            shown = (counts.total, counts.inserts, counts.updates, counts.deletes) if counts else None
            self._diary.node(node_line(name, shown))
        for words in look.wrong:
            say(f"⚠ {words}", "WARNING")
        say("--- END REPORT ---", "REPORT")
        totals = [counts.total if counts else None for counts in look.nodes.values()]
        total = next(
            (counts.total for name, counts in look.nodes.items() if counts and name == look.primary), None
        )
        taken = sum(1 for fault in self._faults if fault.effective)
        self._diary.counts(at_s, taken, total, totals, look.healthy, "SYNC" if look.ok else "LAG")

    async def _wait(self, at_s: float) -> None:
        """Wait until so many seconds after the start; the line that changes goes on changing."""
        deadline = self._start_ns + int(at_s * NS_PER_S)
        while (left_s := seconds_until(deadline)) > 0:
            self._tick()
            await asyncio.sleep(min(TICK_S, left_s))
        self._tick()

    def _tick(self) -> None:
        nodes = len(self._cluster.spec.nodes)
        self._progress(
            progress_line(self._elapsed_s(), self._times.duration_s, self._observer.answering(), nodes)
        )

    def _elapsed_s(self) -> float:
        return seconds_between(self._start_ns, now_ns())

    async def _stop(self) -> None:
        """Stop the clients and put back what was borrowed, to the end even when asked to stop again."""
        if self._load.running:
            await self._meter.look(self._load)
            await asyncio.shield(self._load.stop())
        await self._validator.close()
        try:
            async with asyncio.timeout(scaled(PUT_BACK_S)):
                await self._rotation.put_back()
        except (ClusterError, TimeoutError) as error:
            left = ", ".join(self._rotation.borrowed)
            self._diary.line(f"⚠ {left} may still be promoted: {error}", "WARNING")

    async def _healthy(self) -> int:
        view = await self._cluster.view()
        return sum(1 for node in self._cluster.spec.nodes if view.node(node.name).healthy)

    # what is said

    def _open(self, primary: str, targets: Sequence[str]) -> None:
        times, say = self._times, self._diary.line
        for words in (RULE, f"{TITLE} Failover Soak", RULE):
            say(words)
        say(f"Lab: {self._cluster.lab.name}")
        say(f"Test Duration: {times.duration_s:g} seconds")
        say(f"Failover Interval: {times.failover_interval_s:g} seconds")
        say(f"Validation Interval: {times.validation_interval_s:g} seconds")
        say(f"Current Primary: {primary}; rotation: {' '.join(targets) or 'none'}")
        say(f"repeat: {self._request.replay}")
        left_out = [
            node.name
            for node in self._cluster.spec.nodes
            if node.name not in promotable(self._cluster.spec, isinstance(self._cluster, HasCandidates))
        ]
        if left_out:
            say(f"{', '.join(left_out)} may not be promoted here, so the rotation leaves them out", "WARNING")

    def _more(self, history: History, counted: figures.Counted) -> tuple[list[Finding], dict[str, JSON]]:
        """Return the criteria and figures that are a soak's own."""
        without_reads, with_reads = figures.writer_latencies(history, counted.readers_ns)
        self._figures = figures.SoakFigures(
            times=self._times,
            ended=counted.ended or None,
            failovers=figures.failover_figures(history),
            validations=tuple(counted.validations),
            without_reads=without_reads,
            with_reads=with_reads,
            reads=figures.reads_by_node(history),
            cost=self._meter.figures(self._start_ns, self._times.pace),
            files={kind: str(path) for kind, path in self._diary.files.items()},
        )
        return figures.criteria(counted, history.faults), {"soak": self._figures.to_document()}
