"""What was restored is held to what was acknowledged by the instant, and to nothing of later."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from histories import Row, Story, s, steady

from outlast.checkers.base import Verdict
from outlast.checkers.restorable import Restorable
from outlast.history.history import History, RestoredRead
from outlast.history.op import Outcome

INSTANT = 2.0
ROWS = steady(0, 4)  # 0 … 39, ten a second: 0 to 19 are acknowledged before the instant


def restored(values: list[int], rows: list[Row] = ROWS, *, instant: float | None = INSTANT) -> History:
    at = None if instant is None else s(instant)
    read = RestoredRead(
        "12:00:02", "20260102-030405F", 3, 5000, 2.5, at, at, {"append": np.array(values, dtype=np.int64)}
    )
    return replace(Story(rows).history(), restored=read)


def test_all_of_before_and_nothing_of_later_passes() -> None:
    finding = Restorable().check(restored(list(range(20))), 0)
    assert (finding.verdict, finding.value, finding.anomalies) == (Verdict.PASS, 0, {})
    assert "20 of 20 writes acknowledged by 2.000 s are there, 0 of 20 of later" in finding.summary


def test_a_write_acknowledged_before_the_instant_and_missing_is_lost() -> None:
    finding = Restorable().check(restored([*range(10), *range(11, 20)]), 0)
    assert (finding.verdict, finding.value, finding.anomalies) == (Verdict.FAIL, 1, {"lost": 1})
    assert finding.evidence[1].details["value"] == 10


def test_a_write_sent_after_the_instant_and_there_fails() -> None:
    finding = Restorable().check(restored([*range(20), 31]), 0)
    assert (finding.verdict, finding.value, finding.anomalies) == (Verdict.FAIL, 0, {"later": 1})


def test_a_write_that_was_open_at_the_instant_may_be_there_or_not() -> None:
    rows = [*steady(0, 1), Row(100, INSTANT - 0.1, took=0.5), Row(101, 1.5, took=-1, outcome=Outcome.INFO)]
    for values in (list(range(10)), [*range(10), 100], [*range(10), 101]):
        assert Restorable().check(restored(values, rows), 0).verdict == Verdict.PASS


def test_the_end_of_the_archive_must_hold_every_acknowledged_write() -> None:
    assert Restorable().check(restored(list(range(40)), instant=None), 0).verdict == Verdict.PASS
    short = Restorable().check(restored(list(range(38)), instant=None), 0)
    assert (short.verdict, short.value) == (Verdict.FAIL, 2)


def test_refused_unknown_and_doubled_rows_fail() -> None:
    rows = [*steady(0, 1), Row(50, 1.5, outcome=Outcome.FAIL)]
    finding = Restorable().check(restored([*range(10), 9, 50, 77], rows), 0)
    assert finding.verdict == Verdict.FAIL
    assert finding.anomalies == {"failed_but_present": 1, "phantom": 1, "duplicate": 1}


def test_a_restore_that_fails_is_a_failure_and_none_at_all_is_unknown() -> None:
    history = Story(ROWS).history()
    assert Restorable().check(history, 0).verdict == Verdict.UNKNOWN
    finding = Restorable().check(replace(history, restored=RestoredRead("x", trouble="no WAL")), 0)
    assert finding.verdict == Verdict.FAIL
    assert "cannot be restored: no WAL" in finding.summary
    assert Restorable().check(replace(history, restored=RestoredRead("x")), 0).verdict == Verdict.UNKNOWN


def test_an_instant_before_the_first_acknowledgement_proves_nothing() -> None:
    assert Restorable().check(restored([], instant=0.0), 0).verdict == Verdict.INVALID
