"""Replicas are compared where they can be."""

from __future__ import annotations

from histories import Row, Story, content, steady

from outlast.checkers.base import Verdict
from outlast.checkers.replicas_equal import ReplicasEqual
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
