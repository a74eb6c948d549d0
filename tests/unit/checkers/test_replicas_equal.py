"""Replicas are compared where they can be."""

from __future__ import annotations

from dataclasses import replace

from histories import Row, Story, content, seen, steady

from outlast.checkers.base import Verdict
from outlast.checkers.replicas_equal import ReplicasEqual
from outlast.history.history import NO_TABLE
from outlast.history.op import Outcome


def test_equal_hashes_at_the_same_position_pass() -> None:
    finding = ReplicasEqual().check(Story(steady(0, 1)).history(), 0)
    assert (finding.verdict, finding.value) == (Verdict.PASS, True)


def test_a_single_node_has_nothing_to_be_compared_with() -> None:
    story = Story(steady(0, 1), contents=(content("n1"),))
    assert ReplicasEqual().check(story.history(), 0).verdict == Verdict.INVALID


def test_equal_nodes_that_acknowledged_nothing_prove_nothing() -> None:
    story = Story([Row(1, 1, outcome=Outcome.FAIL)], values=[])
    assert ReplicasEqual().check(story.history(), 0).verdict == Verdict.INVALID


def test_without_a_final_read_nothing_is_known() -> None:
    assert ReplicasEqual().check(Story(steady(0, 1)).history(final=False), 0).verdict == Verdict.UNKNOWN


def test_a_node_that_was_seen_in_the_run_and_is_not_compared_is_missing() -> None:
    story = Story(steady(0, 1), observations=[seen(1, "n4", "standby", 1)])
    history = story.history()
    finding = ReplicasEqual().check(history, 0)
    assert (finding.verdict, finding.anomalies) == (Verdict.FAIL, {"missing": 1})
    assert finding.evidence[0].details == {"node": "n4"}
    assert history.final is not None
    taken_out = replace(history, final=replace(history.final, removed=("n4",)))
    assert ReplicasEqual().check(taken_out, 0).verdict is Verdict.PASS


def test_a_primary_that_is_not_compared_is_missing() -> None:
    finding = ReplicasEqual().check(Story(steady(0, 1), contents=(content("n2"), content("n3"))).history(), 0)
    assert (finding.verdict, finding.anomalies) == (Verdict.FAIL, {"missing": 1})


def test_nodes_without_any_table_prove_nothing() -> None:
    none = tuple(replace(content(node), table_hashes={}, row_counts={}) for node in ("n1", "n2"))
    gone = tuple(content(node, table_hash=NO_TABLE, rows=0) for node in ("n1", "n2"))
    for contents in (none, gone):
        finding = ReplicasEqual().check(Story(steady(0, 1), contents=contents).history(), 0)
        assert finding.verdict is Verdict.INVALID
