"""Histories broken on purpose, one way each: a checker that cannot fail is a defect.

Each test breaks the same clean failover in one place and asks that the checker fails and names the op.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from histories import Row, Story, content, fault, refused, steady

from outlast.checkers.base import Checker, Verdict
from outlast.checkers.lost_writes import LostWrites
from outlast.checkers.outage import Outage
from outlast.checkers.replicas_equal import ReplicasEqual
from outlast.checkers.split_brain import SplitBrain
from outlast.history.op import Outcome

ALL: list[Checker] = [LostWrites(), Outage(limit=3.5), SplitBrain(), ReplicasEqual()]


def clean() -> Story:
    """n1 acknowledges until its power is cut at 3 s, n2 takes over on timeline 2 at 6 s; nothing is lost."""
    before = [replace(row, lsn=1000 + row.value) for row in steady(0, 3)]
    after = steady(6, 10, start=100, node="n2", timeline=2, lsn=5000)
    return Story([*before, *refused(3, 6), *after], faults=[fault(3)], timeline_starts=((2, 1025),))


@pytest.mark.parametrize("checker", ALL, ids=lambda checker: checker.name)
def test_a_clean_failover_passes(checker: Checker) -> None:
    finding = checker.check(clean().history(), 0)
    assert finding.verdict == Verdict.PASS
    assert finding.anomalies == {}


def test_lost_writes_names_a_row_deleted_on_the_server() -> None:
    story = clean()
    story.values = [row.value for row in story.rows if row.outcome is Outcome.OK and row.value != 7]
    finding = LostWrites().check(story.history(), 0)
    assert (finding.verdict, finding.value, finding.anomalies) == (Verdict.FAIL, 1, {"lost": 1})
    assert finding.evidence[0].ops == (7,)
    assert (
        finding.evidence[0].message
        == "7 was acknowledged by n1 on timeline 1 at 0/3EF, 0.701 s into the load and is gone; "
        "its timeline survived, so something removed it; its row lies on no node any more"
    )
    assert finding.evidence[0].details["at_s"] == 0.701


def test_lost_writes_says_that_a_lost_row_lies_beyond_the_branch() -> None:
    story = clean()
    story.values = [row.value for row in story.rows if row.outcome is Outcome.OK and row.value != 28]
    finding = LostWrites().check(story.history(), 0)
    assert "timeline 2 had branched off at 0/401, before it" in finding.evidence[0].message


def test_lost_writes_names_a_refused_row_that_exists() -> None:
    story = clean()
    story.values = [row.value for row in story.rows if row.outcome is Outcome.OK]
    story.rows[5] = replace(story.rows[5], outcome=Outcome.FAIL)
    finding = LostWrites().check(story.history(), 0)
    assert (finding.verdict, finding.anomalies) == (Verdict.FAIL, {"failed_but_present": 1})
    assert finding.evidence[0].ops == (5,)


def test_lost_writes_names_a_row_that_nobody_wrote() -> None:
    story = clean()
    story.values = [row.value for row in story.rows if row.outcome is Outcome.OK] + [999]
    finding = LostWrites().check(story.history(), 0)
    assert (finding.verdict, finding.anomalies) == (Verdict.FAIL, {"phantom": 1})
    assert finding.evidence[0].details == {"value": 999}


def test_lost_writes_names_a_row_that_is_there_twice() -> None:
    story = clean()
    story.values = [row.value for row in story.rows if row.outcome is Outcome.OK] + [7]
    finding = LostWrites().check(story.history(), 0)
    assert (finding.verdict, finding.anomalies) == (Verdict.FAIL, {"duplicate": 1})


def test_outage_names_a_gap_that_is_too_long() -> None:
    story = clean()
    story.rows = [replace(row, outcome=Outcome.FAIL) if 6 <= row.at < 6.95 else row for row in story.rows]
    finding = Outage(limit=3.5).check(story.history(), 0)
    assert finding.verdict == Verdict.FAIL
    assert finding.value == 4.001
    assert "from 3.000 s to 7.001 s into the load after host_power_off on n1" in finding.evidence[0].message


def test_split_brain_names_an_old_primary_that_goes_on_acknowledging() -> None:
    story = clean()
    story.rows.append(Row(77, 8.05, took=0.02, node="n1", timeline=1))
    history = story.history()
    finding = SplitBrain().check(history, 0)
    assert (finding.verdict, finding.value, finding.anomalies) == (Verdict.FAIL, 0.02, {"two_writers": 1})
    late, newer = finding.evidence[0].ops
    assert (int(history.ops.value[late]), int(history.ops.value[newer])) == (77, 100)


def test_split_brain_names_a_copy_that_was_opened_without_promotion() -> None:
    story = clean()
    story.rows.append(Row(77, 1.05, node="n3", timeline=1))
    history = story.history()
    finding = SplitBrain().check(history, 0)
    assert (finding.verdict, finding.anomalies) == (Verdict.FAIL, {"same_timeline": 1})
    assert finding.value == pytest.approx(0.001), "as long as both acknowledged"
    assert [int(history.ops.value[index]) for index in finding.evidence[0].ops] == [0, 77]


def test_replicas_equal_names_the_node_that_differs() -> None:
    story = clean()
    story.contents = (content("n1"), content("n2"), content("n3", table_hash="bb", rows=2))
    finding = ReplicasEqual().check(story.history(), 0)
    assert (finding.verdict, finding.value, finding.anomalies) == (Verdict.FAIL, False, {"different": 1})
    assert finding.evidence[0].details == {"node": "n3", "table": "outlast_append"}


def test_replicas_equal_names_a_node_without_the_table() -> None:
    story = clean()
    story.contents = (content("n1"), replace(content("n2"), table_hashes={}, row_counts={}))
    assert ReplicasEqual().check(story.history(), 0).anomalies == {"different": 1}


def test_replicas_equal_names_a_node_that_is_missing_or_behind() -> None:
    story = clean()
    story.missing = ("n3",)
    story.contents = (content("n1"), content("n2", lsn=99))
    finding = ReplicasEqual().check(story.history(), 0)
    assert (finding.verdict, finding.anomalies) == (Verdict.FAIL, {"missing": 1, "behind": 1})
    assert [evidence.details["node"] for evidence in finding.evidence] == ["n2", "n3"]
