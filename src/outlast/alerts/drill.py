"""Drills the alerts: makes each one's cause happen and asks when Alertmanager's receiver heard of it, and of what else.

    quiet under load ─▶ for each cause: inject ─▶ wait for its alerts ─▶ heal ─▶ whole, and no alert left

An alert that does not come, comes late, or comes without its cause fails the drill.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from outlast.alerts.cases import CASES, AlertCase, AlertStage
from outlast.checkers.base import Verdict, worst
from outlast.clock import deadline_ns, now_ns, seconds_between
from outlast.clusters.service_registry import start_member
from outlast.config import ClientsSpec, WorkloadSpec
from outlast.errors import ClusterError, UnavailableError
from outlast.history.history import JSON
from outlast.history.store import RECORDINGS
from outlast.monitoring.exporter.alert_log import ALERTS_FILE, AlertEvent, AlertLog
from outlast.monitoring.services import watcher
from outlast.notify.notifier import notifying
from outlast.run.live_feed import LiveFeed, announced
from outlast.run.load import CLIENT_HOST, Load
from outlast.run.request import RunRequest
from outlast.systems.base import Cluster, HasServers
from outlast.systems.wait import wait_for, wait_until_ready

LIMIT_S: Final = 15.0
QUIET_S: Final = 20.0
CALM_TIMEOUT_S: Final = 120.0
WHOLE_TIMEOUT_S: Final = 120.0
POLL_S: Final = 0.1
QUIET: Final = "quiet"


@dataclass(frozen=True, slots=True)
class Episode:
    """A stretch of the drill. due_ns: when its cause was there, 0 in the quiet one; end_ns: when all was calm again."""

    cause: str
    expected: tuple[str, ...]
    allowed: tuple[str, ...]
    start_ns: int
    due_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class AlertRow:
    """What came of one alert. delay_s: from its cause to the receiver; None when it did not fire. false_alarms: times
    that it fired without cause. skipped: why its cause can't be made here, "" when it was."""

    alert: str
    cause: str
    expected: bool
    fired: bool
    delay_s: float | None
    false_alarms: int
    skipped: str = ""

    @property
    def is_good(self) -> bool:
        """Whether the alert did what it is for, in time, and nothing else."""
        in_time = self.delay_s is not None and self.delay_s <= LIMIT_S
        return self.false_alarms == 0 and (in_time or not self.expected)


@dataclass(frozen=True, slots=True)
class AlertReport:
    """What a drill of alerts found."""

    system: str
    profile: str
    seed: int
    quiet_s: float
    duration_s: float
    rows: tuple[AlertRow, ...]
    false_alarms: tuple[tuple[AlertEvent, Episode], ...] = field(default=())

    @property
    def verdict(self) -> Verdict:
        """Pass when every alert was good; invalid when none could be tried."""
        tried = [Verdict.PASS if row.is_good else Verdict.FAIL for row in self.rows if not row.skipped]
        return worst(tried) if tried else Verdict.INVALID

    def to_document(self) -> dict[str, JSON]:
        """Return it as ``--json`` prints it."""
        return {
            "drill": "alerts",
            "system": self.system,
            "profile": self.profile,
            "verdict": str(self.verdict),
            "seed": self.seed,
            "quiet_s": self.quiet_s,
            "duration_s": self.duration_s,
            "limit_s": LIMIT_S,
            "alerts": [
                {
                    "alert": row.alert,
                    "cause": row.cause,
                    "expected": row.expected,
                    "fired": row.fired,
                    "delay_s": row.delay_s,
                    "false_alarms": row.false_alarms,
                    "skipped": row.skipped or None,
                }
                for row in self.rows
            ],
            "false_alarms": [
                {
                    "alert": event.name,
                    "during": episode.cause,
                    "at_s": round(seconds_between(episode.start_ns, event.at_ns), 3),
                    "labels": dict(event.labels),
                }
                for event, episode in self.false_alarms
            ],
        }


def judge(
    events: Sequence[AlertEvent], episodes: Sequence[Episode], skipped: Sequence[tuple[AlertCase, str]]
) -> tuple[tuple[AlertRow, ...], tuple[tuple[AlertEvent, Episode], ...]]:
    """Return what came of each alert, and what fired without cause. Pure; O(events × episodes)."""
    false = [
        (event, episode)
        for episode in episodes
        for event in events
        if event.is_firing
        and episode.start_ns <= event.at_ns < episode.end_ns
        and event.name not in (*episode.expected, *episode.allowed)
    ]
    counts = {name: sum(event.name == name for event, _ in false) for name in {one.name for one, _ in false}}
    rows = []
    for episode in episodes:
        for name in episode.expected:
            heard = [one for one in events if episode.start_ns <= one.at_ns < episode.end_ns]
            fired = [one.at_ns for one in heard if one.is_firing and one.name == name]
            delay_s = max(0.0, round(seconds_between(episode.due_ns, min(fired)), 3)) if fired else None
            rows.append(AlertRow(name, episode.cause, True, bool(fired), delay_s, counts.pop(name, 0)))
    for case, why in skipped:
        rows += [
            AlertRow(name, case.cause, False, False, None, counts.pop(name, 0), why) for name in case.expected
        ]
    rows += [AlertRow(name, "none", False, True, None, count) for name, count in sorted(counts.items())]
    return tuple(rows), tuple(false)


def check_watched(cluster: Cluster) -> None:
    """Raise UnavailableError unless Prometheus, Alertmanager and the exporter run beside a cluster."""
    for kind in ("exporter", "prometheus", "alertmanager"):
        service = watcher(cluster.spec, kind)
        if service is None or service.name not in cluster.lab.hosts:
            raise UnavailableError(
                f"the drill of alerts needs {kind} in the lab",
                hint="outlast doctor says what is missing; a lab that is up needs --with monitoring",
            )


async def run_alert_drill(
    cluster: Cluster, request: RunRequest, *, throwaway: bool, quiet_s: float = QUIET_S
) -> AlertReport:
    """Make every alert's cause happen on a cluster that is up and watched; alerts.json is written to the run's folder.

    throwaway: the lab is removed afterwards, so it may be left with two primaries where the system does not mend that.
    quiet_s: how long nothing is broken, seconds. Raises UnavailableError when the lab is not watched, ClusterError when
    it does not get whole again.
    """
    check_watched(cluster)
    service = watcher(cluster.spec, "exporter")
    assert service is not None
    seed, say, folder = request.seed, request.say, request.new_folder("alerts")
    log = AlertLog(cluster.lab.hosts[service.name].folder / ALERTS_FILE)
    stage = AlertStage(cluster, random.Random(f"alerts/{seed}"))
    skipped = [(case, why) for case in CASES if (why := _why_not(case, stage, throwaway))]
    # What the system never gets over comes last.
    tried = sorted(
        (case for case in CASES if not _why_not(case, stage, throwaway)), key=lambda one: one.spoils(stage)
    )
    load = Load(cluster, folder / RECORDINGS, seed)
    feed = LiveFeed(
        folder,
        folder / RECORDINGS,
        cluster.lab.name,
        "alerts",
        cluster.spec.system,
        0.0,
        announced(cluster.lab),
    )
    began = now_ns()
    episodes = []
    about: dict[str, JSON] = {"lab": cluster.lab.name, "drill": "alerts", "run": folder.name}
    async with feed.publishing(), notifying(cluster, about, say) as tell:
        await wait_until_ready(cluster, WHOLE_TIMEOUT_S)
        await _calm(cluster, log, say)
        try:
            if isinstance(cluster, HasServers):
                append = WorkloadSpec(name="append", clients=ClientsSpec(follow=4), rate_per_s=200.0)
                feed.begin(await load.start((append,)), ())
            say(f"nothing is broken for {quiet_s:g} s")
            start = now_ns()
            await asyncio.sleep(quiet_s)
            episodes.append(Episode(QUIET, (), (), start, 0, now_ns()))
            for case in tried:
                episodes.append(await _episode(stage, case, log, say))
        finally:
            feed.end(now_ns())
            await asyncio.shield(_clear(stage, load, folder))
        rows, false = judge(log.events(), episodes, skipped)
        duration_s = round(seconds_between(began, now_ns()), 3)
        report = AlertReport(
            cluster.spec.system, cluster.spec.profile, seed, quiet_s, duration_s, rows, false
        )
        feed.phase, feed.verdict = "done", report.verdict
        tell("verdict", {"verdict": str(report.verdict)})
    (folder / "alerts.json").write_text(json.dumps(report.to_document(), indent=1))
    return report


def _why_not(case: AlertCase, stage: AlertStage, throwaway: bool) -> str:
    """Return why a cause is not made here, "" when it is."""
    if why := case.needs(stage):
        return why
    if case.spoils(stage) and not throwaway:
        return f"{stage.cluster.spec.system} never gets over it by itself: tried on a lab of the drill's own alone"
    return ""


async def _episode(stage: AlertStage, case: AlertCase, log: AlertLog, say: Callable[[str], None]) -> Episode:
    start = now_ns()
    say(case.cause)
    try:
        due = await case.make(stage)
        deadline = deadline_ns(LIMIT_S)
        while True:
            fired = {one.name for one in log.events() if one.is_firing and one.at_ns >= start}
            late = [name for name in case.expected if name not in fired]
            if not late:
                say(f"{', '.join(case.expected)} fired within {seconds_between(due, now_ns()):.1f} s")
                break
            if now_ns() > deadline:
                say(f"{', '.join(late)} did not fire within {LIMIT_S:g} s")
                break
            await asyncio.sleep(POLL_S)
    finally:
        await asyncio.shield(stage.heal())
    if case.spoils(stage):
        return Episode(case.cause, case.expected, case.allowed, start, due, now_ns())
    await _start_all(stage.cluster)
    await wait_until_ready(stage.cluster, WHOLE_TIMEOUT_S)
    await _calm(stage.cluster, log, say)
    return Episode(case.cause, case.expected, case.allowed, start, due, now_ns())


async def _start_all(cluster: Cluster) -> None:
    for member in cluster.spec.members():
        host = cluster.lab.hosts.get(member.name)
        if host is not None and host.is_on:
            await start_member(cluster, member.name)


async def _calm(cluster: Cluster, log: AlertLog, say: Callable[[str], None]) -> None:
    """Wait until no alert fires. Raises ClusterError naming those that do."""

    async def missing() -> str:
        return ", ".join(log.firing())

    if log.firing():
        say("waiting for the alerts to be resolved")
    await wait_for(missing, CALM_TIMEOUT_S, f"{cluster.lab.name} to have no alert")


async def _clear(stage: AlertStage, load: Load, folder: Path) -> None:
    with contextlib.suppress(ClusterError):
        await stage.heal()
    if CLIENT_HOST in stage.cluster.lab.hosts:
        await load.stop()
    await asyncio.to_thread(shutil.rmtree, folder / RECORDINGS, True)
