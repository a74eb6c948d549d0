"""A verdict by time that our own slowness may have made is none; what no slowness can do stays as it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from histories import Story, fault, refused, s, steady

from outlast.checkers.base import Finding, Verdict
from outlast.checkers.errors_outside import ErrorsOutside
from outlast.checkers.lost_writes import LostWrites
from outlast.checkers.outage import Outage
from outlast.checkers.replicas_equal import ReplicasEqual
from outlast.checkers.split_brain import SplitBrain
from outlast.checkers.too_busy import BY_TIME, UNSENT, AsPlanned, excused, figures, too_busy
from outlast.history.history import History
from outlast.history.lateness import Lateness


def watched(wanted: float, stolen: float = 0.0, *, quiet_until: float = -1.0) -> Lateness:
    """Return samples each second of -1 to 20 s: wanted and stolen as shares of the time, none before quiet_until."""
    counted = [max(0.0, at - quiet_until) for at in range(-1, 21)]
    samples = tuple(
        (s(at), wanted * busy, stolen * busy) for at, busy in zip(range(-1, 21), counted, strict=True)
    )
    return Lateness(samples)


QUIET = watched(0.2)
BUSY = watched(0.9)
OUT = Story([*steady(0, 3), *refused(3, 9), *steady(9, 10, start=100)], faults=[fault(3)]).history()


def judged(finding: Finding, lateness: Lateness | None) -> Finding:
    return excused(finding, lateness, OUT.faults, OUT.start_ns)


def test_an_outage_over_its_limit_on_a_busy_machine_is_invalid_with_the_figures() -> None:
    found = Outage(limit=3).check(OUT, 0)
    assert judged(found, None).verdict is Verdict.FAIL
    assert judged(found, QUIET).verdict is Verdict.FAIL
    late = judged(found, BUSY)
    assert late.verdict is Verdict.INVALID
    assert late.summary.startswith(
        "this machine was too busy (programs waited for a core in 90% of the time, at most 50%): out for"
    )
    assert (late.value, late.limit) == (found.value, found.limit)


def test_a_machine_that_was_busy_at_another_time_excuses_no_outage() -> None:
    assert judged(Outage(limit=3).check(OUT, 0), watched(0.95, quiet_until=11)).verdict is Verdict.FAIL


def test_what_passes_is_as_it_is() -> None:
    assert judged(Outage(limit=30).check(OUT, 0), BUSY).verdict is Verdict.PASS


@pytest.mark.parametrize("checker", [LostWrites(), SplitBrain(), ReplicasEqual()], ids=lambda one: one.name)
def test_no_slowness_excuses_a_lost_write_two_writers_or_nodes_that_differ(checker: object) -> None:
    failed = Finding(checker.name, Verdict.FAIL, "it is so", anomalies={"different": 1})  # type: ignore[attr-defined]
    assert judged(failed, BUSY) == failed


def test_nodes_that_only_came_back_too_late_are_excused() -> None:
    late = Finding("replicas_equal", Verdict.FAIL, "the nodes do not agree", anomalies={"missing": 1})
    assert judged(late, BUSY).verdict is Verdict.INVALID
    assert judged(replace(late, anomalies={"missing": 1, "different": 1}), BUSY).verdict is Verdict.FAIL


@pytest.mark.parametrize("name", [*sorted(BY_TIME), "rejoin_s", "detected_s"])
def test_each_finding_by_time_is_excused(name: str) -> None:
    assert judged(Finding(name, Verdict.FAIL, "too long"), BUSY).verdict is Verdict.INVALID
    assert judged(Finding(name, Verdict.UNKNOWN, "not seen"), BUSY).verdict is Verdict.INVALID


def test_stolen_time_and_our_own_lag_count_too() -> None:
    assert "30% of its processor time was stolen" in too_busy(watched(0, 0.3), (), s(0), s(10))
    lagged = replace(QUIET, lags=((s(5), 1.6),))
    assert "the tool itself came 1.6 s late" in too_busy(lagged, (), s(4), s(10))
    assert too_busy(lagged, (), s(6), s(10)) == ""


def test_a_fault_that_takes_processor_time_is_no_excuse_for_what_it_does() -> None:
    starving = replace(fault(2, "cpu_starve"), healed_ns=s(8))
    assert too_busy(BUSY, (starving,), s(3), s(9)) == ""
    assert too_busy(BUSY, (starving,), s(9), s(12)) != ""


def unsent(count: int) -> History:
    """Return a run of 100 acknowledged ops and, among them, some that found no client free."""
    history = Story([*steady(0, 10), *refused(0, count / 10)]).history()
    errors = np.where(history.ops.outcome == 0, -1, 0).astype(np.int32)
    return replace(history, ops=replace(history.ops, error=errors, error_names=(UNSENT,)))


def test_a_load_that_was_not_the_one_asked_for_is_invalid_when_the_machine_was_busy() -> None:
    assert AsPlanned().check(replace(unsent(60), lateness=BUSY), 0).verdict is Verdict.INVALID
    assert AsPlanned().check(replace(unsent(5), lateness=BUSY), 0).verdict is Verdict.PASS
    assert AsPlanned().check(replace(unsent(60), lateness=QUIET), 0).verdict is Verdict.PASS
    assert AsPlanned().check(unsent(60), 0).verdict is Verdict.PASS


def test_a_load_that_finds_no_client_free_in_an_outage_waits_for_the_database() -> None:
    history = Story([*steady(0, 5), *refused(6, 10)]).history()
    errors = np.where(history.ops.outcome == 0, -1, 0).astype(np.int32)
    waiting = replace(history, ops=replace(history.ops, error=errors, error_names=(UNSENT,)), lateness=BUSY)
    assert AsPlanned().check(waiting, 0).verdict is Verdict.PASS


def test_a_fault_that_came_late_makes_another_experiment() -> None:
    found = AsPlanned().check(replace(OUT, lateness=replace(QUIET, fault_late_s=3.0)), 0)
    assert found.verdict is Verdict.INVALID
    assert "a fault came 3.0 s late, at most 2 s" in found.summary


def test_an_op_that_was_due_before_the_load_began_is_nobodys_error() -> None:
    early = Story([*refused(-0.5, 0), *steady(0, 10)]).history()
    assert ErrorsOutside("write_errors", ("append",)).check(early, 0).verdict is Verdict.PASS
    later = Story([*steady(0, 5), *refused(5, 5.1), *steady(5.1, 10, start=100)]).history()
    assert ErrorsOutside("write_errors", ("append",)).check(later, 0).verdict is Verdict.FAIL


def test_the_figures_are_those_of_the_whole_run() -> None:
    told = figures(replace(watched(0.9, 0.05), fault_late_s=0.5, look_s=0.25), (), 0.0125)
    assert told is not None
    assert (told["wanted"], told["stolen"], told["fault_late_s"], told["look_s"]) == (0.9, 0.05, 0.5, 0.25)
    assert told["unsent"] == 0.0125
    assert "too busy" in str(told["too_busy"])
    assert figures(Lateness()) is None


def test_a_few_milliseconds_make_no_machine_too_busy() -> None:
    brief = Lateness(((s(1), 0.0, 0.0), (s(1.01), 0.01, 0.01)))
    assert judged(Finding("experiment", Verdict.FAIL, "nobody leads"), brief).verdict is Verdict.FAIL
