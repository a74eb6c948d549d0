"""A suite: drills and checks that belong together, run one after another, with one verdict.

    drills/<suite>/*.yaml          its drills, one a file, in order of name
    suites/catalog/<suite>.py          optional (see run/suites): its system, drills of other suites, checks in code,
                                   cases, settings; what checks share is in suites/toolkit.py

A new suite is a folder of drills; no line of Python need be written. A check in code is for what a drill's timeline
cannot say, such as "no write was accepted without a majority, asked of each member": an async function that is given a
healthy cluster (``Stage``), does what it must, and returns findings, made most easily with ``expect``. Whatever a
member does, the suite goes on, and one that did not pass has a store.

Checks come first, then drills, then cases. What a drill finds that is a known weakness of the system
(suites/expected.py) is the outcome that was expected: the member passes, and says what was found.

Drills and checks that want the same cluster share one lab, for as long as each leaves it whole and passes; any other
begins on a fresh one. With a lab of the person's own all run there. What needs a capability, a fault or a privilege
that is not to be had is skipped with that reason. The verdict is the worst of those that ran; when nothing ran it
is ``invalid``.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import shlex
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Final

import outlast.suites.catalog
from outlast.checkers.base import Finding, Verdict, worst
from outlast.checkers.too_busy import excused, figures
from outlast.clock import now_ns, seconds_between, timestamp
from outlast.clusters import lifecycle
from outlast.config import (
    ClusterSpec,
    DrillSpec,
    drill_suites,
    load_cluster,
    load_drill,
    split_overrides,
    to_document,
)
from outlast.errors import ConfigError, OutlastError, UnavailableError
from outlast.extras import MissingExtraError
from outlast.history.history import JSON
from outlast.history.lateness import Lateness
from outlast.history.store import is_stored, load_run
from outlast.monitoring.services import with_monitoring
from outlast.report.findings import CheckResult
from outlast.report.run_report import RunReport, run_report
from outlast.report.suite_report import CodeCheckReport, MemberReport, SkippedReport, SuiteReport
from outlast.routes.registry import with_route
from outlast.run.drill import run_drill
from outlast.run.operator import operator
from outlast.run.own_watch import OwnWatch
from outlast.run.prepare import PlannedDrill, plan_drill, prepare_drill
from outlast.run.request import RunRequest
from outlast.run.unjudged import Unjudged, error_finding, store_unjudged
from outlast.suites.expected import Case, Expected, expected_of, judged
from outlast.systems.base import CAPABILITIES, Cluster
from outlast.systems.wait import wait_until_ready

DEFAULT_SYSTEM: Final = "patroni"
WHOLE_TIMEOUT_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Stage:
    """What a check in code works with: a cluster that is whole, the suite's seed, a way to tell of progress."""

    cluster: Cluster
    seed: int
    say: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SuiteCheck:
    """A check that is code. needs: capabilities without which it is skipped, as in a drill.

    run: does it and returns findings; a ClusterError that it raises is a failure, told in the error's words. What it
    has broken it mends itself.
    """

    name: str
    title: str
    run: Callable[[Stage], Awaitable[Sequence[Finding]]]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite as it was found. system: a preset, None for the default. drills: names. settings: ``key=value`` of its
    clusters, which a person's outrank. watched: whether they have monitoring beside them.
    """

    name: str
    title: str
    system: str | None
    drills: tuple[str, ...]
    checks: tuple[SuiteCheck, ...]
    cases: tuple[Case, ...] = ()
    settings: tuple[str, ...] = ()
    watched: bool = False


def expect(name: str, holds: bool, summary: str, value: JSON = None, limit: JSON = None) -> Finding:
    """Return the finding on something that must hold."""
    return Finding(name, Verdict.PASS if holds else Verdict.FAIL, summary, value=value, limit=limit)


def suite_names() -> tuple[str, ...]:
    """Return the names of all suites, sorted."""
    coded = (module.name.replace("_", "-") for module in iter_modules(outlast.suites.catalog.__path__))
    return tuple(sorted({*drill_suites(), *coded}))


def load_suite(name: str) -> Suite:
    """Return a suite by name. Raises ConfigError naming those there are."""
    if name not in suite_names():
        raise ConfigError(f"there is no suite {name}", hint=f"suites: {', '.join(suite_names())}")
    module_name = f"{outlast.suites.catalog.__name__}.{name.replace('-', '_')}"
    module: Any = importlib.import_module(module_name) if find_spec(module_name) else object()
    own = drill_suites().get(name, ())
    return Suite(
        name,
        getattr(module, "TITLE", ""),
        getattr(module, "SYSTEM", None),
        (*own, *(drill for drill in getattr(module, "DRILLS", ()) if drill not in own)),
        getattr(module, "CHECKS", ()),
        getattr(module, "CASES", ()),
        getattr(module, "SETTINGS", ()),
        getattr(module, "WATCHED", False),
    )


async def run_suite(
    suite: Suite, request: RunRequest, shown: Callable[[MemberReport], None] = lambda _member: None
) -> SuiteReport:
    """Run a suite and return what came of it.

    Raises ConfigError, and MissingExtraError when nothing of it can run without an extra, before anything is made.
    shown: is given each member's report as soon as it is there. A suite that is cancelled ends early: it returns what
    there is, with the verdict ``fail``, and its labs are removed.
    """
    began, started = now_ns(), timestamp()
    spec = _cluster(request, suite, None)
    members = [_member(name, suite, request) for name in suite.drills] + [
        _of_case(case, request) for case in suite.cases
    ]
    _refuse_without_extras([spec for _ in suite.checks] + [member.spec for member in members], request)
    reports: list[MemberReport] = []
    ended = ""
    labs = _Labs(suite.name, request)

    async def of_check(check: SuiteCheck) -> MemberReport:
        return await _check(check, spec, labs, request)

    async def of_member(member: _Member) -> MemberReport:
        return judged(await _drill(member, labs, request), member.expected)

    turns = [_Turn(check.name, check.title, partial(of_check, check)) for check in suite.checks]
    turns += [_Turn(member.name, member.title, partial(of_member, member)) for member in members]
    try:
        for turn in turns:
            begun = now_ns()
            try:
                report = await turn.run() if not ended else _NOT_BEGUN(turn.name, turn.title)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                assert task is not None
                task.uncancel()
                ended = f"ended early: interrupted in {turn.name}"
                finding = expect("ended_early", False, "interrupted before its end")
                report = await _code_report(turn.name, turn.title, spec, [finding], begun, labs, request)
            reports.append(report)
            shown(report)
    finally:
        await labs.drop()
    if labs.trouble:
        findings = [expect("removed", False, trouble) for trouble in labs.trouble]
        reports.append(
            await _code_report("labs", "Every lab is removed whole", spec, findings, now_ns(), labs, request)
        )
        shown(reports[-1])
    verdicts = [report.verdict for report in reports if not isinstance(report, SkippedReport)]
    return SuiteReport(
        suite=suite.name,
        title=suite.title,
        system=spec.system,
        verdict=worst(verdicts) if verdicts else Verdict.INVALID,
        ended=ended or None,
        seed=request.seed,
        replay=request.replay,
        started=started,
        duration_s=round(seconds_between(began, now_ns()), 3),
        members=tuple(reports),
    )


def _refuse_without_extras(specs: Sequence[ClusterSpec], request: RunRequest) -> None:
    """Raise MissingExtraError when every member would be skipped for an optional part that is not installed."""
    if request.lab is None and specs:
        errors = [lifecycle.missing_extra(spec) for spec in specs]
        if errors[0] is not None and all(errors):
            raise errors[0]


@dataclass(frozen=True, slots=True)
class _Turn:
    """A member of a suite, in its turn. run: does it and returns its report."""

    name: str
    title: str
    run: Callable[[], Awaitable[MemberReport]]


_NOT_BEGUN: Final = partial(SkippedReport, reason="the suite ended before its turn")


@dataclass(frozen=True, slots=True)
class _Member:
    """A drill of a suite, ready to run. sets: of cluster and drill. elsewhere: why it can't run here, or ""."""

    name: str
    title: str
    planned: PlannedDrill
    spec: ClusterSpec
    source: str
    sets: tuple[str, ...]
    expected: Expected | None
    elsewhere: str = ""


def _member(name: str, suite: Suite, request: RunRequest) -> _Member:
    drill = load_drill(name, request.drill_overrides)
    spec, elsewhere = _cluster(request, suite, drill), ""
    if request.lab is None:
        spec, elsewhere = _routed(spec, drill)
    planned = plan_drill(drill, spec)
    sets = (*suite.settings, *request.cluster_overrides, *request.drill_overrides)
    source = request.system or suite.system or spec.system
    return _Member(name, drill.title, planned, spec, source, sets, expected_of(name, spec), elsewhere)


def _routed(spec: ClusterSpec, drill: DrillSpec) -> tuple[ClusterSpec, str]:
    """Return the cluster with what the drill's route leads through, and why that can't be had here, or ""."""
    try:
        return with_route(spec, drill.route), ""
    except UnavailableError as error:
        return spec, error.message


def _of_case(case: Case, request: RunRequest) -> _Member:
    for_cluster, for_drill = split_overrides(case.sets)
    drill = load_drill(case.drill, [*for_drill, *request.drill_overrides])
    spec = load_cluster(
        case.system, ["ports={}", *for_cluster, *request.cluster_overrides], needs=drill.cluster
    )
    spec, elsewhere = _routed(spec, drill)
    planned = plan_drill(drill, spec)
    sets = (*case.sets, *request.cluster_overrides, *request.drill_overrides)
    if request.lab is not None:
        elsewhere = "it needs a cluster with settings of its own, not a lab that is up"
    elif request.system not in (None, case.system, spec.system):
        elsewhere = f"it is a weakness of {spec.system}"
    return _Member(case.name, case.title, planned, spec, case.system, sets, case.expected, elsewhere)


def _cluster(request: RunRequest, suite: Suite, drill: DrillSpec | None) -> ClusterSpec:
    """Return the cluster for a drill, or for checks: what the person says outranks the drill and the suite."""
    if request.lab is not None:
        return lifecycle.attach(request.lab).spec
    needs = drill.cluster if drill is not None else None
    source = request.system or suite.system or (needs.preset if needs else None) or DEFAULT_SYSTEM
    # Free ports: a suite may run beside a cluster that has the preset's.
    spec = load_cluster(source, ["ports={}", *suite.settings, *request.cluster_overrides], needs=needs)
    return with_monitoring(spec) if suite.watched else spec


class _Labs:
    """Keeps one lab up while those who come want the same cluster and those before have left it whole.

    trouble: what went wrong when labs were removed: whatever that is, the verdicts that there are stand.
    """

    def __init__(self, name: str, request: RunRequest) -> None:
        self._name = name
        self._request = request
        self._held: tuple[str, Cluster, AsyncExitStack] | None = None
        self.trouble: list[str] = []

    @property
    def up(self) -> Cluster | None:
        """The cluster that is up, None while there is none."""
        if self._request.lab is not None:
            return lifecycle.attach(self._request.lab)
        return self._held[1] if self._held is not None else None

    async def cluster(self, spec: ClusterSpec) -> Cluster:
        """Return a whole cluster of spec. Raises UnavailableError, ClusterError."""
        if self._request.lab is not None:
            return lifecycle.attach(self._request.lab)
        wanted = json.dumps(to_document(spec), sort_keys=True)
        if self._held is not None and self._held[0] == wanted:
            return self._held[1]
        await self.drop()
        inner = AsyncExitStack()
        up = await inner.enter_async_context(
            lifecycle.temporary(
                spec, lifecycle.free_name(f"suite-{self._name}"[:37]), self._request.say, keep=False
            )
        )
        self._held = (wanted, up.cluster, inner)
        return up.cluster

    async def drop(self) -> None:
        """Remove the lab: what comes next begins anew."""
        if self._held is not None:
            inner = self._held[2]
            self._held = None
            try:
                await inner.aclose()
            except OutlastError as error:
                self.trouble.append(error.message)


async def _drill(member: _Member, labs: _Labs, request: RunRequest) -> MemberReport:
    begun = now_ns()
    name = member.name
    sets = [word for text in member.sets for word in ("--set", text)]
    drill = member.planned.drill.name
    replay = ["outlast", "drill", drill, "--system", member.source, *sets, "--seed", str(request.seed)]
    folders: list[Path] = []

    def new_folder(_drill: str) -> Path:
        folders.append(request.new_folder(name))
        return folders[-1]

    own = replace(
        request,
        replay=shlex.join(replay),
        say=lambda text: request.say(f"{name}: {text}"),
        new_folder=new_folder,
    )
    watch = OwnWatch()
    try:
        if member.elsewhere:
            raise UnavailableError(member.elsewhere)
        async with watch.running():
            cluster = await labs.cluster(member.spec)
            result = await run_drill(cluster, prepare_drill(member.planned, cluster), own)
        report: RunReport | CodeCheckReport = result.report()
    except UnavailableError as error:
        return skipped_report(name, member.title, error)
    except Exception as error:  # noqa: BLE001 - whatever a member does, the others' verdicts stand
        if folders and is_stored(folders[-1]):
            report = run_report(*load_run(folders[-1]), folders[-1])
        else:
            findings = _excused([error_finding(error)], watch.lateness(), begun)
            report = await _code_report(name, member.title, member.spec, findings, begun, labs, own)
            report = replace(report, lateness=figures(watch.lateness()))
    if report.verdict is not Verdict.PASS:
        await labs.drop()
    return replace(report, drill=name, title=member.title)


async def _check(check: SuiteCheck, spec: ClusterSpec, labs: _Labs, request: RunRequest) -> MemberReport:
    begun = now_ns()
    watch = OwnWatch()
    try:
        async with watch.running():
            cluster = await labs.cluster(spec)
            for need in check.needs:
                if not isinstance(cluster, CAPABILITIES[need]):
                    raise UnavailableError(f"it needs {need}, which {cluster.spec.system} lacks")
            await wait_until_ready(cluster, WHOLE_TIMEOUT_S)
        begun, watch = now_ns(), OwnWatch()  # what a lab takes to come up is not the check's
        request.say(f"{check.name}: {check.title}")
        async with watch.running(), operator(cluster, request.say):
            findings = list(await check.run(Stage(cluster, request.seed, request.say)))
    except UnavailableError as error:
        return skipped_report(check.name, check.title, error)
    except Exception as error:  # noqa: BLE001 - whatever a member does, the others' verdicts stand
        findings = [error_finding(error)]
    findings = _excused(findings, watch.lateness(), begun)
    report = await _code_report(check.name, check.title, spec, findings, begun, labs, request)
    report = replace(report, lateness=figures(watch.lateness()))
    if report.verdict is not Verdict.PASS:
        await labs.drop()
    return report


def skipped_report(name: str, title: str, error: UnavailableError) -> SkippedReport:
    """Return the report of a member that cannot run here; where an extra is missing it names the command for it."""
    reason = error.reason if isinstance(error, MissingExtraError) else error.message
    return SkippedReport(name, title, reason)


def _excused(findings: Sequence[Finding], lateness: Lateness, begun: int) -> list[Finding]:
    """Return the findings, those invalid that our own slowness may have made. begun: monotonic ns."""
    return [excused(finding, lateness, (), begun) for finding in findings]


async def _code_report(
    name: str,
    title: str,
    spec: ClusterSpec,
    findings: Sequence[Finding],
    begun: int,
    labs: _Labs,
    request: RunRequest,
) -> CodeCheckReport:
    """Return the report of what no recorded load stands behind, stored unless it passed. begun: monotonic ns."""
    report = CodeCheckReport(
        drill=name,
        title=title,
        system=spec.system,
        profile=spec.profile,
        sync=spec.sync,
        verdict=worst(finding.verdict for finding in findings),
        seed=request.seed,
        replay=request.replay,
        started=timestamp(),
        duration_s=round(seconds_between(begun, now_ns()), 3),
        checks=tuple(CheckResult.of(finding) for finding in findings),
    )
    if report.verdict is Verdict.PASS:
        return report
    try:
        what = Unjudged(name, title, spec, request.seed, request.replay, begun, report.started, labs.up)
        folder = request.new_folder(name)
        await store_unjudged(folder, what, findings)
    except (OSError, OutlastError) as error:
        request.say(f"{name}: what it found cannot be stored: {error}")
        return report
    return replace(report, store=str(folder))
