"""The longest time without a lasting acknowledgement, and its parts."""

from __future__ import annotations

import pytest
from histories import Row, Story, fault, refused, seen, steady

from outlast.checkers.base import Verdict
from outlast.checkers.outage import Outage, availability, longest_gap
from outlast.history.op import Outcome


def failover(**given: object) -> Story:
    """Acks each 0.1 s; n1 is cut at 3.05 s and acks until 3.5 s what is lost; n2 acks from 6 s on."""
    rows = [*steady(0, 3.5), *refused(3.5, 6), *steady(6, 10, start=100, node="n2", timeline=2)]
    kept = [row.value for row in rows if row.at < 3.05 or row.at > 5.95]
    return Story(rows, kept, faults=[fault(3.05)], **given)  # type: ignore[arg-type]


def test_an_ack_that_is_lost_ends_no_outage() -> None:
    gap = longest_gap(failover().history())
    assert gap.seconds == pytest.approx(6.001 - 3.1)
    assert gap.ended
    assert gap.fault is not None
    assert gap.fault.fault == "host_power_off"


def test_without_a_final_read_every_ack_counts_but_the_verdict_is_unknown() -> None:
    history = failover().history(final=False)
    assert longest_gap(history).seconds == pytest.approx(6.001 - 3.5)
    assert Outage().check(history, 0).verdict == Verdict.UNKNOWN


def test_a_gap_before_the_first_fault_is_not_its_outage() -> None:
    story = Story([*steady(0, 1), *refused(1, 4), *steady(4, 10, start=50)], faults=[fault(5)])
    assert longest_gap(story.history()).seconds == pytest.approx(0.001)


def test_without_a_fault_the_whole_load_counts() -> None:
    story = Story([*steady(0, 1), *refused(1, 4), *steady(4, 10, start=50)])
    gap = longest_gap(story.history())
    assert gap.seconds == pytest.approx(4.001 - 1)
    assert gap.fault is None


def test_an_outage_that_outlasts_the_load_counts_to_its_end() -> None:
    gap = longest_gap(Story([*steady(0, 3), *refused(3, 10)], faults=[fault(3)], end=10).history())
    assert gap.seconds == pytest.approx(7)
    assert not gap.ended
    assert gap.detect_s is None


def test_the_longest_of_several_outages_is_named_with_its_fault() -> None:
    rows = [*steady(0, 2), *refused(2, 3), *steady(3, 5, start=100), *refused(5, 8, start=950_000)]
    rows += steady(8, 10, start=200)
    gap = longest_gap(Story(rows, faults=[fault(2), fault(5, "process_kill")]).history())
    assert gap.seconds == pytest.approx(8.001 - 5)
    assert gap.fault is not None
    assert gap.fault.fault == "process_kill"


def test_the_parts_are_detect_promote_and_route() -> None:
    story = failover(
        observations=[
            seen(1, "n1", "primary", 1),
            seen(1, "n1", "primary", 1, "dcs"),
            seen(3.2, "n1", "", 0),
            seen(4.05, "n1", "primary", 1, "dcs"),
            seen(5.05, "n1", "", 0, "dcs"),
            seen(5.1, "n2", "standby", 1),
            seen(5.55, "n2", "primary", 2),
        ]
    )
    gap = longest_gap(story.history())
    assert gap.detect_s == pytest.approx(5.05 - 3.1)
    assert gap.promote_s == pytest.approx(0.5)
    assert gap.route_s == pytest.approx(0.451)


def test_a_sample_taken_after_the_first_ack_does_not_make_a_part_negative() -> None:
    story = failover(observations=[seen(1, "n1", "primary", 1), seen(7, "n2", "primary", 2)])
    gap = longest_gap(story.history())
    assert (gap.promote_s, gap.route_s) == (0, 0)
    assert gap.detect_s == pytest.approx(gap.seconds)


def test_without_a_new_primary_there_are_no_parts() -> None:
    story = failover(observations=[seen(1, "n1", "primary", 1), seen(7, "n1", "primary", 1)])
    assert longest_gap(story.history()).detect_s is None


def test_the_limit_is_held() -> None:
    history = failover().history()
    assert Outage(limit=3).check(history, 0).verdict == Verdict.PASS
    finding = Outage(limit=2.9).check(history, 0)
    assert finding.verdict == Verdict.FAIL
    assert finding.value == pytest.approx(2.901)
    assert finding.margin == pytest.approx(-0.001)
    assert Outage().check(history, 0).verdict == Verdict.PASS


def test_no_acknowledgement_at_all_is_invalid() -> None:
    rows = [
        Row(1, 1, outcome=Outcome.FAIL),
        Row(2, 2, outcome=Outcome.INFO),
        Row(3, 3, outcome=Outcome.LOCAL),
    ]
    assert Outage().check(Story(rows).history(), 0).verdict == Verdict.INVALID


def test_acks_of_which_none_lasted_are_an_outage_of_the_whole_load() -> None:
    assert longest_gap(Story(steady(0, 9), values=[]).history()).seconds == pytest.approx(10)


def test_availability_counts_ops_that_were_not_sent() -> None:
    rows = [*steady(0, 3), *[Row(100 + i, 5, outcome=Outcome.FAIL) for i in range(10)]]
    assert availability(Story(rows).history()) == pytest.approx(0.75)


def test_a_time_in_which_nobody_asked_is_no_outage() -> None:
    rows = [Row(i, 4.0 * i) for i in range(5)]
    finding = Outage(limit=3).check(Story(rows, faults=[fault(3)], end=20).history(), 0)
    assert finding.verdict is Verdict.PASS
    assert finding.value == pytest.approx(0.001)


def test_an_op_that_nobody_answers_is_an_outage_from_its_sending_on() -> None:
    rows = [Row(0, 0), Row(1, 4, took=3, outcome=Outcome.INFO), Row(2, 8)]
    gap = longest_gap(Story(rows).history())
    assert gap.seconds == pytest.approx(8.001 - 4)
    assert gap.ended


def test_a_fault_that_began_before_the_load_opens_no_outage_before_it() -> None:
    story = Story([*steady(0.2, 10)], faults=[fault(-30)])
    finding = Outage(limit=3).check(story.history(), 0)
    assert finding.verdict is Verdict.PASS
    assert finding.value == pytest.approx(0.001)


def test_an_outage_that_was_not_over_is_a_lower_bound_and_never_passes() -> None:
    history = Story([*steady(0, 6), *refused(6, 10)], faults=[fault(6)]).history()
    assert Outage(limit=3).check(history, 0).verdict is Verdict.FAIL
    finding = Outage(limit=30).check(history, 0)
    assert finding.verdict is Verdict.UNKNOWN
    assert finding.value == pytest.approx(4)
    assert "at least 4.000 s" in finding.summary
    assert Outage().check(history, 0).verdict is Verdict.UNKNOWN


def test_a_second_outage_that_was_not_over_keeps_a_first_one_from_passing() -> None:
    rows = [*steady(0, 1), *refused(1, 6), *steady(6, 9, start=100), *refused(9, 10, start=950_000)]
    finding = Outage(limit=30).check(Story(rows, faults=[fault(1), fault(9)]).history(), 0)
    assert finding.verdict is Verdict.UNKNOWN
    assert finding.value == pytest.approx(5.001)
    assert "at least 1.000 s" in finding.summary


def test_an_ack_after_the_load_had_ended_says_when_the_outage_was_over() -> None:
    rows = [*steady(0, 6), Row(100, 6, took=5)]
    finding = Outage(limit=30).check(Story(rows, faults=[fault(6)]).history(), 0)
    assert finding.verdict is Verdict.PASS
    assert finding.value == pytest.approx(5)


def test_ops_that_were_due_before_the_load_began_count_for_no_availability() -> None:
    rows = [*steady(0, 3), Row(100, -0.2, outcome=Outcome.FAIL)]
    assert availability(Story(rows).history()) == 1


def test_a_program_that_tells_of_ops_once_they_are_done_is_out_while_it_says_nothing() -> None:
    told = [*steady(0, 4, every=1.0), *steady(8, 10, start=50, every=1.0)]
    finding = Outage(limit=3, lasting=False).check(Story(told, faults=[fault(4)]).history(final=False), 0)
    assert finding.verdict is Verdict.FAIL
    assert finding.value == pytest.approx(4.001)
    silent = Outage(limit=30, lasting=False).check(Story(told[:4], faults=[fault(3)]).history(final=False), 0)
    assert silent.verdict is Verdict.UNKNOWN
    pausing = Outage(limit=3, lasting=False).check(
        Story(told[:4], faults=[fault(3)], end=4).history(final=False), 0
    )
    assert pausing.verdict is Verdict.PASS
