"""by_priority fails when a standby with a lower priority was promoted, and says so."""

from __future__ import annotations

from histories import Story, fault, seen

from outlast.checkers.base import Verdict
from outlast.checkers.priorities import Priorities
from outlast.history.history import NodeObservation

RANKS = {"a": 100, "b": 90, "c": 80}
START = (seen(4, "a", "primary", 1), seen(4, "b", "standby", 1), seen(4, "c", "standby", 1))


def judged(*later: NodeObservation, ranks: dict[str, int] = RANKS) -> tuple[Verdict, str]:
    story = Story([], observations=[*START, *later], faults=[fault(5.0, target="a")])
    found = Priorities(ranks).check(story.history(), 0)
    return found.verdict, found.summary


def test_the_highest_priority_passes() -> None:
    assert judged(seen(9, "b", "primary", 2)) == (Verdict.PASS, "promoted by priority: b (90)")


def test_a_lower_priority_fails_and_is_named() -> None:
    assert judged(seen(9, "c", "primary", 2)) == (Verdict.FAIL, "c (80) was promoted before b (90)")


def test_no_promotion_is_no_proof() -> None:
    assert judged()[0] is Verdict.UNKNOWN


def test_priorities_that_nobody_gave_are_no_proof() -> None:
    assert judged(seen(9, "b", "primary", 2), ranks={})[0] is Verdict.UNKNOWN
