"""Lost, refused, local and phantom writes are told apart."""

from __future__ import annotations

from histories import Row, Story, steady

from holdfast.checkers.base import Verdict
from holdfast.checkers.lost_writes import LostWrites
from holdfast.history.op import Outcome


def test_an_unknown_op_may_be_there_or_not() -> None:
    rows = [*steady(0, 1), Row(100, 2, outcome=Outcome.INFO), Row(101, 3, took=-1, outcome=Outcome.INFO)]
    finding = LostWrites().check(Story(rows, values=[*range(10), 100]).history(), 0)
    assert (finding.verdict, finding.value, finding.anomalies) == (Verdict.PASS, 0, {})


def test_a_lost_local_commit_is_told_and_fails_only_above_its_own_limit() -> None:
    rows = [*steady(0, 1), Row(100, 2, outcome=Outcome.LOCAL)]
    history = Story(rows, values=list(range(10))).history()
    finding = LostWrites().check(history, 0)
    assert (finding.verdict, finding.value, finding.anomalies) == (Verdict.PASS, 0, {"local_lost": 1})
    assert "committed locally" in finding.summary
    assert finding.evidence[0].ops == (10,)
    assert LostWrites(local_limit=0).check(history, 0).verdict == Verdict.FAIL


def test_losses_within_the_limit_pass_and_are_still_named() -> None:
    finding = LostWrites(limit=2).check(Story(steady(0, 1), values=list(range(8))).history(), 0)
    assert (finding.verdict, finding.value) == (Verdict.PASS, 2)
    assert [evidence.details["value"] for evidence in finding.evidence] == [8, 9]


def test_no_acknowledgement_at_all_is_invalid_and_no_final_read_unknown() -> None:
    assert (
        LostWrites().check(Story([Row(1, 1, outcome=Outcome.INFO)]).history(), 0).verdict == Verdict.INVALID
    )
    assert LostWrites().check(Story([]).history(), 0).verdict == Verdict.INVALID
    assert LostWrites().check(Story(steady(0, 1)).history(final=False), 0).verdict == Verdict.UNKNOWN
