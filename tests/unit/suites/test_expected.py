"""A known weakness that is found is a suite's expected outcome; anything else that is wrong never is."""

from __future__ import annotations

from typing import Any

import pytest

from outlast.config import drill_names, load_cluster, load_drill, split_overrides
from outlast.report.junit import junit
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


def run(verdict: str, **checks: str) -> Any:
    findings = [
        {"name": name, "verdict": said, "summary": f"{name} it was", "evidence": [], "elapsed_s": 0.0}
        for name, said in checks.items()
    ]
    keys = ("seed", "profile", "sync", "acked", "acked_lost", "outage_s", "two_writers_s", "replay", "store")
    base = {"drill": "d", "title": "t", "system": "patroni", "started": "now", "duration_s": 1.0}
    return {**base, **dict.fromkeys(keys), "verdict": verdict, "checks": findings}


def test_the_weakness_found_is_the_expected_outcome_and_the_runs_own_verdict_stays_visible() -> None:
    found = judged(run("fail", lost_writes="fail", outage="pass"), MUST)
    assert found["verdict"] == "pass"
    assert found["outcome"] == FOUND
    assert found["run"]["verdict"] == "fail"  # type: ignore[index,call-overload]
    assert [one["name"] for one in found["checks"]] == ["expected_finding"]  # type: ignore[index,union-attr]
    assert "lost_writes it was" in str(found["checks"])
    assert "<failure" not in junit([found])


def test_what_is_wrong_beside_the_weakness_fails_the_suite() -> None:
    found = judged(run("fail", lost_writes="fail", read_errors="fail"), MUST)
    assert found["verdict"] == "fail"
    assert "read_errors" in str(found["outcome"])
    assert "<failure" in junit([found])


def test_a_run_that_proves_nothing_is_not_the_expected_finding() -> None:
    for verdict in ("invalid", "unknown"):
        assert judged(run(verdict, fault_effects=verdict), MUST)["verdict"] == verdict


def test_a_known_defect_that_is_not_found_fails_the_track_record_and_nothing_else() -> None:
    missed = judged(run("pass", lost_writes="pass"), MUST)
    assert (missed["verdict"], missed["outcome"]) == ("fail", NOT_FOUND)
    assert judged(run("pass", lost_writes="pass"), LOSS)["verdict"] == "pass"


def test_an_anomaly_that_is_not_of_the_weakness_fails_the_suite() -> None:
    fork = Expected(("long_fork", "rw_register"), "orders differ", must=True, anomalies=LONG_FORK)
    document = run("fail", long_fork="fail", rw_register="fail")
    document["checks"][1]["anomalies"] = {"G-nonadjacent": 3}
    assert judged(document, fork)["verdict"] == "pass"
    document["checks"][1]["anomalies"] = {"G-nonadjacent": 3, "G1a": 1}
    assert judged(document, fork)["verdict"] == "fail"


def test_a_weakness_with_an_outcome_of_its_own_must_show_that_outcome() -> None:
    own = Expected((), "it warns", must=True, told="local")
    assert judged({**run("pass", lost_writes="pass"), "ops": {"local": 8}}, own)["outcome"] == TOLD
    assert judged({**run("pass", lost_writes="pass"), "ops": {"local": 0}}, own)["verdict"] == "fail"
    assert judged({**run("fail", lost_writes="fail"), "ops": {"local": 8}}, own)["verdict"] == "fail"


def test_where_nothing_is_expected_nothing_is_changed() -> None:
    document = run("fail", lost_writes="fail")
    assert judged(document, None) is document


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
