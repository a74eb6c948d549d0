"""Two writers at a time, exactly as the design defines it."""

from __future__ import annotations

import pytest
from histories import Row, Story, steady

from outlast.checkers.base import Verdict
from outlast.checkers.split_brain import SplitBrain
from outlast.history.op import Outcome


def test_a_clean_failover_has_never_two_writers() -> None:
    rows = [*steady(0, 3), *steady(6, 9, start=100, node="n2", timeline=2)]
    finding = SplitBrain().check(Story(rows).history(), 0)
    assert (finding.verdict, finding.value) == (Verdict.PASS, 0)


def test_an_op_open_when_the_newer_timeline_acks_may_have_been_done_before() -> None:
    rows = [Row(1, 1, took=5), Row(2, 2, node="n2", timeline=2), Row(3, 2.001, took=1)]
    finding = SplitBrain().check(Story(rows).history(), 0)
    assert (finding.verdict, finding.value) == (Verdict.PASS, 0)


def test_the_time_runs_from_the_first_late_invocation_to_the_last_late_ack() -> None:
    rows = [*steady(0, 3.95), Row(500, 2.05, node="n2", timeline=2)]
    finding = SplitBrain().check(Story(rows).history(), 0)
    assert finding.verdict == Verdict.FAIL
    assert finding.value == pytest.approx(3.901 - 2.1)
    assert finding.anomalies == {"two_writers": 19}


def test_two_old_writers_at_the_same_time_count_once() -> None:
    rows = [
        Row(1, 1, node="n3", timeline=3),
        *steady(2, 4, start=10),
        *steady(3, 5, start=100, node="n2", timeline=2),
    ]
    assert SplitBrain().check(Story(rows).history(), 0).value == pytest.approx(4.901 - 2)


def test_two_nodes_on_one_timeline_are_two_writers_while_both_acknowledge() -> None:
    rows = [*steady(0, 4), *steady(3, 6, start=1000, node="n2")]
    finding = SplitBrain().check(Story(rows).history(), 0)
    assert finding.verdict == Verdict.FAIL
    assert finding.value == pytest.approx(0.95, abs=0.06)
    assert finding.anomalies == {"same_timeline": 1}


def test_one_timeline_written_by_two_nodes_in_turn_fails_without_a_time() -> None:
    rows = [*steady(0, 2), *steady(3, 6, start=1000, node="n2")]
    finding = SplitBrain().check(Story(rows).history(), 0)
    assert (finding.verdict, finding.value) == (Verdict.FAIL, 0)


def test_unacknowledged_ops_make_no_writer() -> None:
    rows = [Row(1, 1, node="n2", timeline=2), *steady(2, 4, start=10, outcome=Outcome.INFO)]
    assert SplitBrain().check(Story(rows).history(), 0).verdict == Verdict.PASS


def test_acks_that_name_no_timeline_prove_nothing() -> None:
    assert SplitBrain().check(Story(steady(0, 3, timeline=0)).history(), 0).verdict == Verdict.UNKNOWN


def test_no_acknowledgement_at_all_is_invalid() -> None:
    rows = [Row(1, 1, outcome=Outcome.INFO)]
    assert SplitBrain().check(Story(rows).history(), 0).verdict == Verdict.INVALID


def test_an_ack_too_late_that_took_no_time_is_one_too_many() -> None:
    rows = [*steady(0, 2), Row(500, 2, node="n2", timeline=2), Row(501, 3, took=0)]
    finding = SplitBrain().check(Story(rows).history(), 0)
    assert (finding.verdict, finding.value, finding.anomalies) == (Verdict.FAIL, 0, {"two_writers": 1})
    assert SplitBrain(limit=1).check(Story(rows).history(), 0).verdict is Verdict.PASS


def test_a_commit_that_was_local_only_on_the_old_primary_was_a_second_writer() -> None:
    rows = [*steady(0, 2), Row(500, 2, node="n2", timeline=2), Row(501, 3, took=1, outcome=Outcome.LOCAL)]
    finding = SplitBrain().check(Story(rows).history(), 0)
    assert (finding.verdict, finding.value) == (Verdict.FAIL, 1)


def test_acks_of_which_some_name_no_timeline_pass_nothing() -> None:
    rows = [*steady(0, 2), Row(500, 3, node="n2", timeline=0)]
    finding = SplitBrain().check(Story(rows).history(), 0)
    assert finding.verdict is Verdict.UNKNOWN
    assert "1 acknowledgements name no timeline" in finding.summary


def test_an_ack_without_a_timeline_between_two_of_another_node_on_one_was_a_second_writer() -> None:
    rows = [*steady(0, 4), Row(500, 2.05, node="n2", timeline=0)]
    finding = SplitBrain().check(Story(rows).history(), 0)
    assert (finding.verdict, finding.anomalies) == (Verdict.FAIL, {"between": 1})
    assert finding.evidence[0].message == (
        "n2 acknowledged 500 between 0 and 39, which n1 acknowledged on timeline 1"
    )
