"""How the drill of alerts judges what it heard."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlast.alerts.cases import CASES, AlertCase
from outlast.alerts.drill import AlertReport, Episode, judge
from outlast.checkers.base import Verdict
from outlast.monitoring.exporter.alert_log import AlertEvent, AlertLog
from outlast.monitoring.prometheus import alerts

S = 1_000_000_000
QUIET = Episode("quiet", (), (), 0, 0, 20 * S)
BROKEN = Episode("a node dies", ("NodeUnhealthy",), ("FailoverNotReady",), 20 * S, 21 * S, 60 * S)


def fired(name: str, at_s: float, status: bool = True) -> AlertEvent:
    return AlertEvent(int(at_s * S), status, (("alertname", name),))


def report(*events: AlertEvent, skipped: tuple[tuple[AlertCase, str], ...] = ()) -> AlertReport:
    rows, false = judge(events, (QUIET, BROKEN), skipped)
    return AlertReport("patroni", "fast", 1, 20.0, 60.0, rows, false)


def test_an_alert_that_fires_in_time_is_good() -> None:
    found = report(fired("NodeUnhealthy", 27), fired("NodeUnhealthy", 50, status=False))
    assert found.verdict is Verdict.PASS
    (row,) = found.rows
    assert (row.fired, row.delay_s, row.false_alarms) == (True, 6.0, 0)


@pytest.mark.parametrize(
    "events",
    [
        (),
        (fired("NodeUnhealthy", 40),),
        (fired("NodeUnhealthy", 27), fired("NoPrimary", 30)),
        (fired("NodeUnhealthy", 27), fired("NodeUnhealthy", 10)),
        (fired("NodeUnhealthy", 10),),
    ],
    ids=["silent", "late", "another one", "in the quiet too", "only in the quiet"],
)
def test_an_alert_that_is_silent_late_or_false_fails_the_drill(events: tuple[AlertEvent, ...]) -> None:
    assert report(*events).verdict is Verdict.FAIL


def test_what_may_come_with_a_cause_is_no_false_alarm() -> None:
    found = report(fired("NodeUnhealthy", 27), fired("FailoverNotReady", 30))
    assert found.verdict is Verdict.PASS
    assert found.false_alarms == ()


def test_a_false_alarm_is_told_with_what_was_going_on() -> None:
    found = report(fired("NodeUnhealthy", 27), fired("NoPrimary", 5)).to_document()
    assert found["false_alarms"] == [
        {"alert": "NoPrimary", "during": "quiet", "at_s": 5.0, "labels": {"alertname": "NoPrimary"}}
    ]
    assert found["verdict"] == "fail"


def test_what_could_not_be_tried_is_told_and_is_no_pass() -> None:
    rows, false = judge((), (QUIET,), [(CASES[0], "no standbys")])
    found = AlertReport("etcd", "fast", 1, 20.0, 60.0, rows, false)
    assert found.verdict is Verdict.INVALID
    assert found.rows[0].skipped == "no standbys"


def test_every_alert_has_a_cause_in_the_drill() -> None:
    assert {name for case in CASES for name in case.expected} == {one.name for one in alerts()}
    allowed = {name for case in CASES for name in case.allowed}
    assert allowed <= {one.name for one in alerts()}


def test_a_line_that_is_half_written_is_left_for_later(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    whole = '{"at_ns": 5, "status": "firing", "labels": {"alertname": "A"}, "annotations": {}}'
    path.write_text(f'{whole}\n{{"at_ns": 6, "sta')
    log = AlertLog(path)
    assert log.firing() == ["A"]
    path.write_text(f"{whole}\n{whole.replace('firing', 'resolved')}\n")
    assert log.firing() == []
    assert AlertLog(path.with_name("none")).events() == []
