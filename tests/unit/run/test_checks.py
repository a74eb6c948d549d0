"""The table of checks: every limit is held by somebody, every checker of a workload can be made, all is told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from outlast.config import DrillSpec
from outlast.config.limits import LIMITS, LimitKind, parse_limit
from outlast.run.checks import CHECKS, Per, Terms, make_checkers, validate_checks
from outlast.workloads import WORKLOADS

DOCS = Path(__file__).parents[3] / "docs"


def terms(workload: str, **checks: Any) -> Terms:
    drill = DrillSpec(workload={workload: {}}, checks=checks)  # type: ignore[dict-item]
    validate_checks(drill)
    return Terms(drill, 30.0, 1, {"n1": 2}, 5.0)


def names(judged: Terms) -> list[str]:
    return [checker.name for checker in make_checkers(judged)]


def test_every_limit_is_held_by_a_check_and_every_check_is_held_to_a_limit_that_exists() -> None:
    assert {check.limit for check in CHECKS} - {""} == set(LIMITS)


def test_every_checker_that_a_workload_names_is_in_the_table_and_can_be_made() -> None:
    known = {check.name for check in CHECKS if check.per is Per.WORKLOAD} | {"restorable"}
    for name, workload in WORKLOADS.items():
        assert set(workload.checkers) <= known, name
        assert len(make_checkers(terms(name))) > len(workload.checkers)


def test_every_limit_is_documented_where_workloads_are() -> None:
    page = (DOCS / "workloads.md").read_text(encoding="utf-8")
    assert set(LIMITS) <= set(re.findall(r"`(\w+): ", page))


def test_a_limit_that_is_stated_adds_its_check_and_false_takes_one_away() -> None:
    usual = ["fault_effects", "lost_writes", "outage", "split_brain"]
    assert names(terms("append")) == [*usual, "replicas_equal"]
    assert names(terms("append", replicas_equal=False)) == usual
    assert names(terms("append", availability=0.9, rejoin_s=30, unplanned_promotions=0)) == [
        *usual,
        "availability",
        "rejoin",
        "unplanned_promotions",
        "replicas_equal",
    ]


def test_after_a_mistake_the_restore_says_what_is_lost() -> None:
    drill = DrillSpec(
        workload={"append": {}},  # type: ignore[dict-item]
        timeline=({"at": 1, "action": "mistake"},),  # type: ignore[arg-type]
        checks={"restorable": True},
    )
    made = [checker.name for checker in make_checkers(Terms(drill, 30.0, 1, {}))]
    assert "lost_writes" not in made
    assert made.count("restorable") == 1


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_is_of_its_kind(name: str) -> None:
    kind = LIMITS[name].kind
    assert parse_limit(name, kind is LimitKind.FACT or 1) in (True, 1)
    wrong: Any = 1 if kind is LimitKind.FACT else True
    with pytest.raises(ValueError):
        parse_limit(name, wrong)
