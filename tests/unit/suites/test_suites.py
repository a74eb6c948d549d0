"""The suites that come with Outlast: what they are made of, and that each can be told of."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlast.checkers.base import Verdict
from outlast.config import load_cluster, load_drill
from outlast.suites.healthcare_checks import EXPECTED_ERRORS
from outlast.suites.suite import load_suite, suite_names
from outlast.suites.toolkit import same_everywhere, within_limit

PAGE = Path(__file__).parents[3] / "docs" / "suites.md"


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("failover", {"roles", "lag", "ten-records", "failover-under-load"}),
        ("replication", {"slots", "streaming", "same-bytes", "synchronous-standby", "wal-settings", "catch-up"}),
        ("integration", {"end-to-end", "load-through-failover", "vectors-through-failover", "several-failovers"}),
        ("pgaf", {"clinic-health", "clinic-automatic-failover", "clinic-controlled-failover", "clinic-partition"}),
        ("checklist", {"bootstrap", "monitoring", "failover-and-rejoin"}),
        ("takeover", {"takeover"}),
    ],
)  # fmt: skip
def test_the_documents_suites_have_their_members(name: str, members: set[str]) -> None:
    suite = load_suite(name)
    assert members <= {*suite.drills, *(check.name for check in suite.checks)}
    assert suite.title
    assert load_cluster(suite.system or "patroni", ["ports={}", *suite.settings]).nodes


def test_every_suite_is_on_the_page_of_suites() -> None:
    text = PAGE.read_text()
    assert [name for name in suite_names() if f"`{name}`" not in text] == []


def test_a_figure_beyond_its_limit_fails_and_shows_its_margin() -> None:
    late = within_limit("failover_s", 31.0, 30.0, "too late", unit=" s")
    assert (late.verdict, late.margin) == (Verdict.FAIL, -1.0)
    few = within_limit("rows", 9, 10, "rows", at_least=True)
    assert (few.verdict, few.margin) == (Verdict.FAIL, -1.0)
    assert within_limit("rows", 10, 10, "rows", at_least=True).verdict is Verdict.PASS


def test_a_node_that_shows_something_else_or_nothing_fails() -> None:
    rows = {"a": (10,), "b": (9,)}
    assert same_everywhere("rows", rows, (10,), 2, "ten rows").verdict is Verdict.FAIL
    assert same_everywhere("rows", {"a": (10,)}, (10,), 2, "ten rows").verdict is Verdict.FAIL
    assert same_everywhere("rows", {"a": (10,), "b": (10,)}, (10,), 2, "ten rows").verdict is Verdict.PASS


def test_an_error_that_no_failover_explains_is_not_among_the_expected() -> None:
    assert EXPECTED_ERRORS.search('ERROR:  replication slot "pgautofailover_standby_2" does not exist')
    assert not EXPECTED_ERRORS.search("ERROR:  invalid page in block 3 of relation base/5/16384")
    assert not EXPECTED_ERRORS.search(
        'ERROR:  duplicate key value violates unique constraint "patients_pkey"'
    )


def test_a_drill_that_takes_a_route_has_what_the_route_leads_through() -> None:
    suite = load_suite("application")
    found = {name: load_drill(name).route for name in suite.drills}
    assert set(found.values()) == {"haproxy", "pgbouncer"}
