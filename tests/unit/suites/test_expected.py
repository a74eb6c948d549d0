"""A known weakness that is found is a suite's expected outcome; anything else that is wrong never is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from reports import run_of

from outlast.checkers.base import Verdict
from outlast.config import drill_names, load_cluster, load_drill, split_overrides
from outlast.report.findings import CheckResult
from outlast.report.junit import junit
from outlast.report.run_report import OpCounts, RunReport
from outlast.report.suite_report import SkippedReport
from outlast.suites.expected import (
    FOUND,
    LONG_FORK,
    NOT_FOUND,
    TOLD,
    WEAKNESSES,
    Expected,
    expected_of,
    judged,
)
from outlast.suites.suite import load_suite, suite_names

LOSS = Expected(("lost_writes", "split_brain"), "it loses writes")
MUST = Expected(LOSS.checks, LOSS.why, must=True)


def run(verdict: str, local: int = 0, **checks: str) -> RunReport:
    results = [CheckResult(name, Verdict(said), f"{name} it was") for name, said in checks.items()]
    return run_of("d", verdict, *results, ops=OpCounts(100, 92, 0, 8, local))


def tell(report: RunReport, expected: Expected | None) -> RunReport:
    """Return the run as its suite tells it."""
    told = judged(report, expected)
    assert isinstance(told, RunReport)
    return told


def outcome(report: RunReport) -> str:
    """Return what the suite says came of its expectation."""
    assert report.expectation is not None
    return report.expectation.outcome


def test_the_weakness_found_is_the_expected_outcome_and_the_runs_own_verdict_stays_visible() -> None:
    report = tell(run("fail", lost_writes="fail", outage="pass"), MUST)
    assert report.verdict == "pass"
    assert outcome(report) == FOUND
    assert [check.name for check in report.checks] == ["expected_finding"]
    assert "lost_writes it was" in report.checks[0].summary
    assert "<failure" not in junit([report])
    document: Any = report.to_document()
    assert (document["verdict"], document["run"]["verdict"]) == ("pass", "fail")
    assert [check["name"] for check in document["run"]["checks"]] == ["lost_writes", "outage"]
    assert document["expected"]["checks"] == ["lost_writes", "split_brain"]


def test_what_is_wrong_beside_the_weakness_fails_the_suite() -> None:
    report = tell(run("fail", lost_writes="fail", read_errors="fail"), MUST)
    assert report.verdict == "fail"
    assert "read_errors" in outcome(report)
    assert "<failure" in junit([report])


def test_a_run_that_proves_nothing_is_not_the_expected_finding() -> None:
    for verdict in ("invalid", "unknown"):
        assert tell(run(verdict, fault_effects=verdict), MUST).verdict == verdict


def test_a_known_defect_that_is_not_found_fails_the_track_record_and_nothing_else() -> None:
    missed = tell(run("pass", lost_writes="pass"), MUST)
    assert (missed.verdict, outcome(missed)) == ("fail", NOT_FOUND)
    assert tell(run("pass", lost_writes="pass"), LOSS).verdict == "pass"


def test_an_anomaly_that_is_not_of_the_weakness_fails_the_suite() -> None:
    fork = Expected(("long_fork", "rw_register"), "orders differ", must=True, anomalies=LONG_FORK)
    report = run("fail", long_fork="fail", rw_register="fail")

    def showing(**anomalies: int) -> RunReport:
        named = {name.replace("_", "-"): count for name, count in anomalies.items()}
        return replace(report, checks=(report.checks[0], replace(report.checks[1], anomalies=named)))

    assert tell(showing(G_nonadjacent=3), fork).verdict == "pass"
    assert tell(showing(G_nonadjacent=3, G1a=1), fork).verdict == "fail"


def test_a_weakness_with_an_outcome_of_its_own_must_show_that_outcome() -> None:
    own = Expected((), "it warns", must=True, told="local")
    assert outcome(tell(run("pass", local=8, lost_writes="pass"), own)) == TOLD
    assert tell(run("pass", local=0, lost_writes="pass"), own).verdict == "fail"
    assert tell(run("fail", local=8, lost_writes="fail"), own).verdict == "fail"


def test_where_nothing_is_expected_nothing_is_changed() -> None:
    report = run("fail", lost_writes="fail")
    assert judged(report, None) is report


def test_what_was_skipped_stays_skipped_whatever_was_expected() -> None:
    skipped = SkippedReport("d", "t", "it needs root")
    assert judged(skipped, MUST) is skipped


def test_weaknesses_are_of_drills_that_there_are_and_of_settings_that_have_them() -> None:
    assert {one.drill for one in WEAKNESSES} <= set(drill_names())
    exposed = load_cluster("patroni", ["ports={}"])
    guarded = load_cluster("patroni", ["ports={}", "watchdog=on"])
    assert expected_of("manager-kill", exposed) is not None
    assert expected_of("manager-kill", guarded) is None


CASES = [(name, case) for name in suite_names() for case in load_suite(name).cases]


@pytest.mark.parametrize(("suite", "case"), CASES, ids=[case.name for _, case in CASES])
def test_a_case_can_be_loaded_with_its_settings(suite: str, case: Any) -> None:
    for_cluster, for_drill = split_overrides(case.sets)
    drill = load_drill(case.drill, for_drill)
    assert load_cluster(case.system, ["ports={}", *for_cluster], needs=drill.cluster).nodes
