"""Findings that a suite expects: weaknesses that systems really have, which it is the tool's work to find.

A drill that finds one has the verdict ``fail``, on its own and for ever. In a suite it is the outcome that was
expected, and told as that; what it found besides counts as always. docs/track-record.md tells each in words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from outlast.checkers.base import Finding, Verdict
from outlast.config import ClusterSpec
from outlast.history.history import JSON
from outlast.report.findings import CheckResult
from outlast.report.run_report import Expectation, RunReport
from outlast.report.suite_report import CodeCheckReport, MemberReport, SkippedReport

FOUND: Final = "expected fail: found"
NOT_FOUND: Final = "expected fail: not found"
TOLD: Final = "expected outcome: found"


@dataclass(frozen=True, slots=True)
class Expected:
    """What a drill is expected to find. checks: findings of which at least one fails, and beside which none may.

    why: the weakness, in one sentence. must: whether not finding it fails the suite; without, a pass is a pass.
    anomalies: where these are given, a finding with any other is none of those expected. told: of a weakness that fails
    no check because it has an outcome of its own: that outcome, of which there must be some among the ops.
    """

    checks: tuple[str, ...]
    why: str
    must: bool = False
    anomalies: tuple[str, ...] = ()
    told: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """A drill with settings of its own, as a member of a suite. sets: ``key=value``, of cluster or drill.

    expected: None for one that must pass: the negative control of another.
    """

    name: str
    title: str
    drill: str
    system: str
    sets: tuple[str, ...] = ()
    expected: Expected | None = None


@dataclass(frozen=True, slots=True)
class Weakness:
    """A finding that a drill of the ordinary suites is expected to have on some systems, with some settings."""

    drill: str
    systems: tuple[str, ...]
    expected: Expected
    when: Callable[[ClusterSpec], bool] = field(default=lambda _spec: True)


LONG_FORK: Final = ("long-fork", "G-nonadjacent", "G-nonadjacent-realtime", "G-single-realtime")
"""What a long fork is called by the checkers that see it."""

_SERVERS: Final = ("patroni", "pg_auto_failover", "streaming", "pgpool")

WEAKNESSES: Final[tuple[Weakness, ...]] = (
    Weakness(
        "long-fork",
        _SERVERS,
        Expected(
            ("long_fork", "rw_register"),
            "a primary and its standbys may show two writes in opposite orders: a standby shows them in the order of "
            "their commit records, the primary in the order in which they leave the list of running transactions",
            anomalies=LONG_FORK,
        ),
    ),
    Weakness(
        "load-through-failover",
        ("pg_auto_failover",),
        Expected(
            ("availability", "outage"),
            "a primary that is shut down is noticed by time-outs alone, so that the pause is 5 to 8 s of the load's 40",
        ),
    ),
    Weakness(
        "sync-wait-cancelled",
        _SERVERS,
        Expected(
            (),
            "a commit whose wait for its standby was cancelled is reported as done, with a warning, and may be lost",
            must=True,
            told="local",
        ),
        lambda spec: spec.sync != "off",
    ),
    Weakness(
        "manager-kill",
        ("patroni",),
        Expected(
            ("split_brain", "lost_writes", "replicas_equal", "outage"),
            "without a watchdog nothing stops a PostgreSQL whose Patroni has died from taking writes",
        ),
        lambda spec: not spec.watchdog,
    ),
    Weakness(
        "archive-gap",
        _SERVERS,
        Expected(
            ("restorable",),
            "an archive that lacks one segment cannot be restored past it, and nothing but a restore tells",
            must=True,
        ),
    ),
    Weakness(
        "primary-partition",
        _SERVERS,
        Expected(
            ("lost_writes", "split_brain"),
            "without synchronous replication a primary that is cut off acknowledges writes that are lost",
        ),
        lambda spec: spec.sync == "off",
    ),
)


def _others(failed: Sequence[CheckResult], expected: Expected) -> list[str]:
    """Return the names of the checks that are not among those expected."""
    return [
        check.name
        for check in failed
        if check.name not in expected.checks
        or (expected.anomalies and not set(check.anomalies) <= set(expected.anomalies))
    ]


def expected_of(drill: str, spec: ClusterSpec) -> Expected | None:
    """Return what a drill is expected to find on a cluster; None: nothing."""
    for one in WEAKNESSES:
        if one.drill == drill and spec.system in one.systems and one.when(spec):
            return one.expected
    return None


def judged(member: MemberReport, expected: Expected | None) -> MemberReport:
    """Return a member's report as its suite tells it: unchanged where nothing is expected, and where it was skipped.

    Where what was expected is all that failed, the verdict is ``pass``, ``expectation`` says why and has the run's own
    verdict and checks. Pure.
    """
    if expected is None or isinstance(member, SkippedReport):
        return member
    failed = [check for check in member.checks if check.verdict is not Verdict.PASS]
    wrong = [check.name for check in failed if check.verdict is Verdict.FAIL]
    others = _others(failed, expected)
    has_passed = member.verdict is Verdict.PASS
    if expected.told and has_passed and isinstance(member, RunReport):
        return _told(member, expected)
    if has_passed and not expected.must:
        return replace(member, expectation=Expectation(NOT_FOUND, _document(expected)))
    if member.verdict is Verdict.FAIL and wrong and not others:
        figures = "; ".join(f"{check.name}: {check.summary}" for check in failed)
        finding = Finding("expected_finding", Verdict.PASS, f"{FOUND}: {figures}", value=", ".join(wrong))
        return _judged_by(member, expected, finding, FOUND)
    if has_passed:
        summary = f"{NOT_FOUND}: {expected.why}, and this run did not show it"
        return _judged_by(member, expected, _not_found(member, summary), NOT_FOUND)
    outcome = f"not what was expected: {', '.join(others)}"
    return replace(member, expectation=Expectation(outcome, _document(expected)))


def _told(run: RunReport, expected: Expected) -> MemberReport:
    """Judge a run by the outcome that some of its ops must have."""
    counts: Mapping[str, JSON] = run.ops.to_document()
    count = counts.get(expected.told)
    if isinstance(count, int) and count > 0:
        summary = f"{TOLD}: {count} ops ended {expected.told}: {expected.why}"
        return _judged_by(
            run, expected, Finding("expected_finding", Verdict.PASS, summary, value=count), TOLD
        )
    summary = f"{NOT_FOUND}: no op ended {expected.told}"
    return _judged_by(run, expected, _not_found(run, summary, count), NOT_FOUND)


def _not_found(run: RunReport | CodeCheckReport, summary: str, value: JSON = None) -> Finding:
    """Return the finding that a weakness did not show: a failure, unless the machine was too busy for it to show."""
    busy = run.lateness["too_busy"] if run.lateness is not None else None
    verdict = Verdict.INVALID if busy else Verdict.FAIL
    return Finding("expected_finding", verdict, f"{busy}: {summary}" if busy else summary, value=value)


def _judged_by(
    run: RunReport | CodeCheckReport, expected: Expected, finding: Finding, outcome: str
) -> MemberReport:
    """Return a report whose verdict is a finding's; its own stays visible."""
    own = Expectation(outcome, _document(expected), (run.verdict, run.checks))
    return replace(run, verdict=finding.verdict, checks=(CheckResult.of(finding),), expectation=own)


def _document(expected: Expected) -> dict[str, JSON]:
    verdict = "pass" if expected.told else "fail"
    return {"verdict": verdict, "checks": list(expected.checks), "why": expected.why}
