"""Each criterion of a soak, shown to fail on what it is there for."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from histories import s

from outlast.checkers.base import Finding, Verdict
from outlast.checkers.errors_outside import ErrorsOutside
from outlast.checkers.promotions import UnplannedPromotions
from outlast.checkers.replay_lag import ReplayLag
from outlast.checkers.rows_as_acked import RowsAsAcked
from outlast.history.formats.events import EventPairer
from outlast.history.history import FaultRecord, FinalRead, History, NodeContent, NodeObservation
from outlast.history.op import NONE, Ops, Outcome
from outlast.history.soak_rows import INSERT, ROWS, UPDATE
from outlast.soak.figures import Counted, criteria, failover_figures, writer_latencies
from outlast.soak.plan import SoakTimes
from outlast.soak.validation import Counts, Validation

FAR_NS = s(10_000)


def failover(at: float, until: float, to: str = "n2", done: bool = True) -> FaultRecord:
    return FaultRecord(
        "failover", (to,), s(at), s(at), s(at + 1), s(until), done, "", {"to": to, "from": "n1"}
    )


def ops_of(*rows: tuple[str, int, Outcome, float, object]) -> Ops:
    """Return ops given as (function, value, outcome, seconds, payload)."""
    pairer = EventPairer()
    for process, (f, value, outcome, _at, _payload) in enumerate(rows):
        pairer.invoke(process, f, None, value)
        pairer.complete(process, outcome, value, f=f)
    made = pairer.ops()
    at = np.array([s(row[3]) for row in rows], dtype=np.int64)
    return replace(
        made,
        value=np.array([row[1] for row in rows], dtype=np.int64),
        invoke_ns=at,
        complete_ns=at + 1_000_000,
        payload=[None if row[4] is None else json.dumps(row[4]) for row in rows],
    )


def inserted(row_id: int, number: int, at: float = 1.0, outcome: Outcome = Outcome.OK):
    payload = [row_id, str(100 + row_id), str(200 + row_id)] if outcome is Outcome.OK else None
    return (INSERT, number, outcome, at, payload)


def updated(*ids: int, before: int = 200, at: float = 2.0):
    rows = [[one, 9 + one, str(100 + one), str(before + one), str(300 + one)] for one in ids]
    return (UPDATE, NONE, Outcome.OK, at, rows)


def row(
    row_id: int, *, number: int | None = None, fixed: int = 100, state: int = 200, at_us: int = 0
) -> list[int]:
    return [row_id, 9 + row_id if number is None else number, fixed + row_id, state + row_id, at_us]


def judged(ops: Ops, held: list[list[int]], strays: dict[str, list[list[int]]] | None = None) -> Finding:
    def flat(rows: list[list[int]]) -> np.ndarray:
        return np.array([number for one in rows for number in one], dtype=np.int64)

    contents = tuple(
        NodeContent(node, 1, {"test_data": "h"}, {"test_data": len(held)}) for node in ("n1", "n2")
    )
    final = FinalRead(
        "n1", 1, 1, s(9), {INSERT + ROWS: flat(held)}, contents,
        strays={node: {INSERT + ROWS: flat(rows)} for node, rows in (strays or {}).items()},
    )  # fmt: skip
    return RowsAsAcked().check(History(ops, final=final, start_ns=s(0), end_ns=s(10)), FAR_NS)


TWO = (inserted(1, 10), inserted(2, 11), updated(1))
WHOLE = [row(1, state=300, at_us=5), row(2)]


def test_rows_that_are_as_acknowledged_pass() -> None:
    finding = judged(ops_of(*TWO), WHOLE)
    assert finding.verdict is Verdict.PASS
    assert finding.value == 0


@pytest.mark.parametrize(
    ("held", "kind", "words"),
    [
        ([row(1, state=300, at_us=5), row(2, number=-1)], "altered", "row 2 (write_batch_1-row_1) on n1, n2 has"),
        ([row(1, state=300, at_us=5), row(2, fixed=7)], "altered", "another value or time of insertion"),
        ([row(1, state=999, at_us=5), row(2)], "altered", "row 1 (write_batch_1-row_0) on n1, n2 has another type"),
        ([row(1, state=300, at_us=5), row(2, state=1, at_us=-1)], "altered", "another type or time of update"),
        ([row(1, state=300, at_us=5), row(2, state=1, at_us=6)], "altered", "no update took it"),
        ([row(1, state=300, at_us=5)], "missing", "row 2 (write_batch_1-row_1) on n1, n2 is gone"),
        ([*WHOLE, row(3, number=-1)], "foreign", "row 3 (no value of ours) on n1, n2 was written by nobody"),
        ([*WHOLE, row(3, number=12)], "foreign", "was written by nobody"),
    ],
)  # fmt: skip
def test_a_row_changed_behind_our_back_is_named(held: list[list[int]], kind: str, words: str) -> None:
    finding = judged(ops_of(*TWO), held)
    assert finding.verdict is Verdict.FAIL
    assert finding.anomalies == {kind: 1}
    assert words in finding.evidence[0].message


def test_a_row_that_differs_on_one_node_alone_is_named_with_that_node() -> None:
    finding = judged(ops_of(*TWO), WHOLE, {"n2": [WHOLE[0], row(2, fixed=5)]})
    assert finding.verdict is Verdict.FAIL
    assert "row 2 (write_batch_1-row_1) on n2" in finding.evidence[0].message


def test_a_change_that_a_later_update_covers_up_is_found_by_the_hash_before_it() -> None:
    finding = judged(ops_of(inserted(1, 10), inserted(2, 11), updated(1, before=777)), WHOLE)
    assert finding.verdict is Verdict.FAIL
    assert "between its insert and its update" in finding.evidence[0].message


def test_what_is_unknown_may_have_happened_but_explains_no_more_than_it_could_do() -> None:
    lost_update = (UPDATE, NONE, Outcome.INFO, 3.0, None)
    ops = ops_of(*TWO, inserted(0, 12, outcome=Outcome.INFO), lost_update)
    explained = [WHOLE[0], row(2, state=1, at_us=6), row(3, number=12)]
    assert judged(ops, explained).verdict is Verdict.PASS
    two_moments = [row(1, state=300, at_us=5), row(2, state=1, at_us=6)]
    again = judged(
        ops_of(inserted(1, 10), inserted(2, 11), lost_update), [row(1, state=1, at_us=7), two_moments[1]]
    )
    assert again.verdict is Verdict.FAIL, "one update has one moment"


def test_a_row_of_somebody_elses_is_found_though_an_update_of_ours_took_it() -> None:
    taken = (UPDATE, NONE, Outcome.OK, 2.0, [[3, "-1", "103", "203", "303"]])
    finding = judged(ops_of(*TWO, taken), [*WHOLE, row(3, number=-1, state=300, at_us=6)])
    assert finding.anomalies == {"foreign": 1}
    assert "row 3 (no value of ours) on n1, n2 was written by nobody" in finding.evidence[0].message


def test_an_insert_whose_end_is_unknown_explains_one_row_and_no_copy_of_it() -> None:
    ops = ops_of(*TWO, inserted(0, 12, outcome=Outcome.INFO))
    finding = judged(ops, [*WHOLE, row(3, number=12), row(4, number=12)])
    assert finding.anomalies == {"foreign": 1}
    assert "row 4 (write_batch_1-row_2) on n1, n2 is there twice" in finding.evidence[0].message


def test_an_unknown_update_explains_no_row_behind_one_that_it_would_have_taken_first() -> None:
    """Somebody marks a row as updated just when an update of ours is cut off by a failover."""
    ops = ops_of(inserted(1, 10), inserted(2, 11), (UPDATE, NONE, Outcome.INFO, 3.0, None))
    finding = judged(ops, [row(1), row(2, state=1, at_us=6)])
    assert finding.anomalies == {"altered": 1}
    assert (
        "row 2 (write_batch_1-row_1) on n1, n2 says UPDATE, and no update took it"
        in finding.evidence[0].message
    )


def lag(at: float, node: str, seconds: float, state: str = "streaming") -> NodeObservation:
    return NodeObservation(s(at), node, "replication", "", 0, 0, state, replay_lag_s=seconds)


def history(
    *observations: NodeObservation, faults: tuple[FaultRecord, ...] = (), ops: Ops | None = None
) -> History:
    return History(ops_of(inserted(1, 10)) if ops is None else ops, faults, observations, None, s(0), s(100))


def test_a_lag_outside_the_recovery_windows_fails_and_one_inside_does_not() -> None:
    calm = [lag(1, "n2", 0.1), lag(50, "n2", 0.2)]
    assert ReplayLag(1).check(history(*calm), FAR_NS).verdict is Verdict.PASS
    late = ReplayLag(1).check(history(*calm, lag(60, "n2", 1.5)), FAR_NS)
    assert (late.verdict, late.value, late.margin) == (Verdict.FAIL, 1.5, -0.5)
    assert "n2 was 1.500 s behind" in late.evidence[0].message
    excused = history(
        calm[0], lag(12, "n2", 9.0), lag(16, "n2", 3.0), lag(17, "n2", 0.1), faults=(failover(10, 15),)
    )
    assert ReplayLag(1).check(excused, FAR_NS).value == 0.1
    assert ReplayLag(1).check(history(), FAR_NS).verdict is Verdict.UNKNOWN


def test_an_error_counts_unless_a_fault_was_under_way() -> None:
    def count(at: float) -> Finding:
        ops = ops_of(inserted(1, 10), inserted(0, 11, at, Outcome.FAIL))
        return ErrorsOutside("write_errors", (INSERT, UPDATE)).check(
            history(faults=(failover(10, 15),), ops=ops), FAR_NS
        )

    assert count(12).verdict is Verdict.PASS
    assert "1 more during faults" in count(12).summary
    assert count(9).verdict is count(17).verdict is Verdict.FAIL
    nothing = ErrorsOutside("read_errors", ("read-load",)).check(history(), FAR_NS)
    assert nothing.verdict is Verdict.INVALID


def test_a_promotion_that_nobody_asked_for_is_named() -> None:
    def leads(at: float, node: str, timeline: int) -> NodeObservation:
        return NodeObservation(s(at), node, "node", "primary", timeline, 0)

    asked = [leads(1, "n1", 1), leads(12, "n2", 2), leads(20, "n2", 2)]
    faults = (failover(10, 15),)
    assert UnplannedPromotions().check(history(*asked, faults=faults), FAR_NS).verdict is Verdict.PASS
    strange = UnplannedPromotions().check(history(*asked, leads(30, "n3", 3), faults=faults), FAR_NS)
    assert strange.verdict is Verdict.FAIL
    assert "n3 took writes on timeline 3" in strange.evidence[0].message


COUNTS = Counts(5, 5, 0, 0, "1", "2")
EQUAL = Validation("n1", {"n1": COUNTS, "n2": COUNTS}, 2, (), 0.1)


def counted(**changed: object) -> dict[str, Finding]:
    times = SoakTimes(60, 20, 20)
    base = Counted(times, 2, [(20.0, EQUAL), (40.0, EQUAL)], 2, 0, 60.0, "")
    faults = changed.pop("faults", [failover(20, 25), failover(40, 45)])
    return {one.name: one for one in criteria(replace(base, **changed), faults)}  # type: ignore[arg-type]


def test_every_criterion_passes_on_a_good_soak_and_has_a_margin() -> None:
    found = counted()
    assert {one.verdict for one in found.values()} == {Verdict.PASS}
    assert all(one.margin is not None and one.margin >= 0 for one in found.values())


@pytest.mark.parametrize(
    ("criterion", "changed"),
    [
        ("run_time_s", {"ran_s": 31.0, "ended": "ended early: interrupted"}),
        ("nodes_healthy", {"healthy": 1}),
        ("failovers", {"faults": [failover(20, 25)]}),
        ("failovers", {"faults": [failover(20, 25), failover(40, 41, done=False)]}),
        ("validations", {"validations": [(20.0, EQUAL)]}),
        ("validations_unequal", {"validations": [(20.0, replace(EQUAL, wrong=("row 7 on n2 differs",)))] * 2}),
        ("validations_unequal", {"validations": [(20.0, replace(EQUAL, nodes={"n1": None}))] * 2}),
    ],
)  # fmt: skip
def test_each_criterion_fails_on_what_it_is_there_for(criterion: str, changed: dict[str, object]) -> None:
    found = counted(**changed)
    assert found[criterion].verdict is Verdict.FAIL
    assert [name for name, one in found.items() if one.verdict is Verdict.FAIL] == [criterion]


def test_a_soak_without_failovers_has_no_figures_of_them() -> None:
    assert failover_figures(history()) == ()


def test_figures_say_the_outage_of_each_failover_and_what_readers_cost() -> None:
    rows = [
        inserted(
            number,
            9 + number,
            at=number * 0.5,
            outcome=Outcome.FAIL if 10 < number * 0.5 < 13 else Outcome.OK,
        )
        for number in range(1, 60)
    ]
    run = replace(history(faults=(failover(10.2, 14),), ops=ops_of(*rows)), end_ns=s(30))
    (found,) = failover_figures(run)
    assert found.outage_s == pytest.approx(2.5, abs=0.01)
    assert found.catch_up_s == pytest.approx(3.8)
    without_reads, with_reads = writer_latencies(run, s(5))
    assert without_reads.samples == 9
    assert with_reads.p99_ms == 1.0
