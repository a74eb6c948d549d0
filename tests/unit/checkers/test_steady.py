"""What a cluster serves between faults, and who came to lead."""

from __future__ import annotations

from dataclasses import replace

import pytest
from histories import Row, Story, fault, s, seen, steady

from outlast.checkers.base import Verdict
from outlast.checkers.promotions import LeaderChanges
from outlast.checkers.steady import Success, Throughput
from outlast.history.history import History
from outlast.history.op import Outcome


def struck(*, refused_at: float | None = None) -> History:
    """10 acks a second but for 3 to 6 s; the fault of 3 s is healed at 5 s. refused_at: one op more, refused."""
    rows = [*steady(0, 3), *steady(6, 10, start=100)]
    if refused_at is not None:
        rows.append(Row(999, refused_at, outcome=Outcome.FAIL))
    healed = replace(fault(3), healed_ns=s(5))
    return Story(rows, faults=[healed], end=10).history()


def test_throughput_is_measured_between_faults_until_acks_have_come_again() -> None:
    found = Throughput("append", 9).check(struck(), 0)
    assert found.verdict == Verdict.PASS
    assert found.value == pytest.approx(10, abs=0.5)
    assert Throughput("append", 12).check(struck(), 0).verdict == Verdict.FAIL


def test_throughput_that_no_time_was_left_for_is_unknown() -> None:
    history = Story(steady(0, 10), faults=[fault(1)], end=10).history()
    assert Throughput("append", 1).check(history, 0).verdict == Verdict.UNKNOWN


def test_an_op_refused_in_a_fault_is_no_failure_between_faults_and_one_refused_after_is() -> None:
    assert Success("append", 1.0).check(struck(refused_at=4), 0).verdict == Verdict.PASS
    found = Success("append", 1.0).check(struck(refused_at=9), 0)
    assert found.verdict == Verdict.FAIL
    assert found.margin is not None
    assert found.margin < 0


def led(*leaders: tuple[float, str, int], end: float = 10) -> History:
    rows = steady(0, 2)
    watched = [seen(at, node, "primary", timeline) for at, node, timeline in leaders]
    return Story(rows, faults=[fault(2)], observations=watched, end=end).history()


def test_a_change_of_leader_is_shown_with_who_came_after_whom() -> None:
    found = LeaderChanges(1, 5).check(led((0, "n1", 1), (4, "n2", 2)), 0)
    assert (found.verdict, found.value) == (Verdict.PASS, 1)
    assert found.evidence[0].message == "n2 leads from 4.000 s on, after n1"


def test_a_primary_that_only_came_back_is_no_failover() -> None:
    history = led((0, "n1", 1), (4, "n1", 2))
    assert LeaderChanges(1, 5).check(history, 0).verdict == Verdict.FAIL


def test_a_load_too_short_for_a_failover_proves_nothing_of_one() -> None:
    found = LeaderChanges(1, 30).check(led((0, "n1", 1)), 0)
    assert found.verdict == Verdict.INVALID
    assert "the load ended 8.0 s after the first fault, and a failover may take 30 s" in found.summary


def test_no_leader_observed_is_unknown() -> None:
    assert LeaderChanges().check(led(), 0).verdict == Verdict.UNKNOWN
