"""Lost, refused, local and phantom writes are told apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from histories import Row, Story, content, fault, s, steady

from outlast.checkers.base import Finding, Verdict
from outlast.checkers.lost_writes import LostWrites
from outlast.history.history import NodeObservation
from outlast.history.op import Outcome
from outlast.history.soak_rows import INSERT


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


BRANCHED = ((1, 0), (2, 1000))
"""Timeline 2 left timeline 1 at LSN 1000."""


def lost_one(
    durability: str = "",
    *,
    lsn: int = 2000,
    outcome: Outcome = Outcome.OK,
    strays: dict[str, list[int]] | None = None,
    missing: tuple[str, ...] = (),
) -> Finding:
    """Judge a history in which the write of 100 by n1 is lost; durability: what n1 was seen to wait for."""
    rows = [*steady(0, 1, lsn=10), Row(100, 2, lsn=lsn, outcome=outcome)]
    story = Story(rows, list(range(10)), timeline_starts=BRANCHED, missing=missing, contents=(content("n2"),))
    history = story.history()
    assert history.final is not None
    held = {node: {"append": np.array(values, dtype=np.int64)} for node, values in (strays or {}).items()}
    seen = (NodeObservation(s(1.5), "n1", "node", "primary", 1, 0, "running", durability),)
    whole = replace(history, observations=seen, final=replace(history.final, strays=held))
    return LostWrites().check(whole, 0)


@pytest.mark.parametrize(
    ("durability", "cause"),
    [
        ("async", "async"),
        ("off", "synchronous_commit-off"),
        ("local", "synchronous_commit-off"),
        ("sync", "rewound"),
        ("", "rewound"),
    ],
)
def test_the_cause_of_a_loss_is_what_its_server_waited_for(durability: str, cause: str) -> None:
    finding = lost_one(durability)
    assert finding.verdict is Verdict.FAIL
    assert finding.evidence[0].details["cause"] == cause
    assert finding.summary.endswith(f"cause: {cause} (1)")


def test_a_write_that_its_own_timeline_lost_was_removed() -> None:
    assert lost_one("async", lsn=500).evidence[0].details["cause"] == "removed"


def test_a_cancelled_wait_is_a_cause_of_its_own() -> None:
    finding = lost_one("sync", outcome=Outcome.LOCAL)
    assert finding.anomalies == {"local_lost": 1}
    assert finding.evidence[0].details["cause"] == "sync-wait-cancelled"


def test_what_the_server_waited_for_later_is_no_cause() -> None:
    rows = [Row(100, 1, lsn=2000), Row(101, 1.1, lsn=10)]
    history = Story(rows, [101], timeline_starts=BRANCHED).history()
    later = NodeObservation(s(5), "n1", "node", "primary", 1, 0, "running", "async")
    finding = LostWrites().check(replace(history, observations=(later,)), 0)
    assert finding.evidence[0].details["cause"] == "rewound"


def test_the_node_that_still_has_the_row_is_named() -> None:
    assert "still lies on n3" in lost_one(strays={"n3": [5, 100]}).evidence[0].message
    assert "may still lie on n1" in lost_one(missing=("n1",)).evidence[0].message
    assert "no node that answers; n3 did not" in lost_one(missing=("n3",)).evidence[0].message
    assert "on no node any more" in lost_one(strays={"n3": [5]}).evidence[0].message


def test_a_value_that_failed_and_was_then_acknowledged_may_be_there() -> None:
    rows = [*steady(0, 1), Row(100, 2, outcome=Outcome.FAIL), Row(100, 3)]
    finding = LostWrites().check(Story(rows, [*range(10), 100]).history(), 0)
    assert (finding.verdict, finding.anomalies) == (Verdict.PASS, {})


def test_a_value_that_is_there_as_often_as_it_may_have_been_written_is_no_duplicate() -> None:
    rows = [*steady(0, 1), Row(100, 2, outcome=Outcome.INFO), Row(100, 3)]
    assert LostWrites().check(Story(rows, [*range(10), 100, 100]).history(), 0).verdict is Verdict.PASS
    assert LostWrites().check(Story(rows, [*range(10), 100]).history(), 0).verdict is Verdict.PASS
    finding = LostWrites().check(Story(rows, [*range(10), 100, 100, 100]).history(), 0)
    assert (finding.verdict, finding.anomalies) == (Verdict.FAIL, {"duplicate": 1})


def test_a_value_acknowledged_twice_with_one_row_has_lost_one() -> None:
    rows = [*steady(0, 1), Row(100, 2), Row(100, 3)]
    finding = LostWrites().check(Story(rows, [*range(10), 100]).history(), 0)
    assert (finding.verdict, finding.value, finding.anomalies) == (Verdict.FAIL, 1, {"lost": 1})
    assert finding.evidence[0].ops == (11,)
    assert LostWrites().check(Story(rows, [*range(10), 100, 100]).history(), 0).verdict is Verdict.PASS


def test_what_was_acknowledged_after_the_final_read_had_begun_is_not_lost() -> None:
    rows = [*steady(0, 1), Row(100, 2, took=20)]  # the final read is at 11 s
    assert LostWrites().check(Story(rows, list(range(10))).history(), 0).verdict is Verdict.PASS
    assert LostWrites().check(Story(rows, list(range(9))).history(), 0).anomalies == {"lost": 1}


def power_lost(durability: str, *, synced: bool, timeline: int = 1, node: str = "n1") -> Finding:
    """Judge a loss of 100, acknowledged at 2 s, before all power is lost at 3 s; nothing has branched off by then."""
    rows = [*steady(0, 1, lsn=10), Row(100, 2, lsn=500, node=node, timeline=timeline)]
    story = Story(rows, list(range(10)), timeline_starts=BRANCHED, faults=[fault(3, "power_loss")])
    seen = NodeObservation(s(1.5), "n1", "node", "primary", 1, 0, "running", durability, synced=synced)
    return LostWrites().check(replace(story.history(), observations=(seen,)), 0)


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_what_a_power_loss_took_from_unsynced_disks_was_lost_by_fsync(durability: str) -> None:
    found = power_lost(durability, synced=False)
    assert found.summary.endswith("cause: fsync-off (1)")
    assert "fsync was off" in found.evidence[0].message
    assert power_lost(durability, synced=True).evidence[0].details["cause"] == "removed"


def test_what_a_failover_without_a_standby_to_wait_for_lost_was_not_lost_by_fsync() -> None:
    rows = [Row(100, 2, lsn=2000)]
    story = Story(rows, [], timeline_starts=BRANCHED, faults=[fault(3, "power_loss")])
    seen = NodeObservation(s(1.5), "n1", "node", "primary", 1, 0, "running", "async", synced=False)
    found = LostWrites().check(replace(story.history(), observations=(seen,)), 0)
    assert found.evidence[0].details["cause"] == "async", (
        "another took over, without it, with or without fsync"
    )


def test_a_client_that_knows_neither_node_nor_timeline_is_no_evidence_of_a_removal() -> None:
    assert power_lost("sync", synced=True, timeline=0, node="").evidence[0].details["cause"] == "unknown"
    assert power_lost("sync", synced=False, timeline=0, node="").evidence[0].details["cause"] == "fsync-off"


def test_a_row_without_a_value_of_ours_is_told_without_its_sentinel() -> None:
    finding = LostWrites().check(Story(steady(0, 1), values=[*range(10), -1]).history(), 0)
    assert finding.anomalies == {"phantom": 1}
    assert finding.evidence[0].message == "a row that holds no value of append is there and nobody wrote it"


def test_a_lost_row_of_the_soak_is_named_by_the_id_that_it_had() -> None:
    history = Story(steady(0, 1), values=list(range(9))).history()
    ops = replace(history.ops, f_names=(INSERT,), payload=[f"[{50 + row}, 1, 2]" for row in range(10)])
    assert history.final is not None
    final = replace(history.final, values={INSERT: np.arange(9)})
    finding = LostWrites(INSERT).check(replace(history, ops=ops, final=final), 0)
    assert finding.evidence[0].message.startswith("row 59 (write_batch_0-row_9) was acknowledged by n1")
    assert finding.evidence[0].details["row"] == 59
