"""Rejoin is measured from the healing to the first sight of the node on the newest timeline."""

from __future__ import annotations

from dataclasses import replace

import pytest
from histories import ops

from outlast.checkers.base import Verdict
from outlast.checkers.rejoin import Rejoin, whole_again_s
from outlast.history.history import FaultRecord, History, NodeObservation
from outlast.units import NS_PER_S


def seen(at_s: float, node: str, role: str, timeline: int, lsn: int = 0) -> NodeObservation:
    return NodeObservation(int(at_s * NS_PER_S), node, "node", role, timeline, lsn)


def told(*observations: NodeObservation) -> History:
    fault = FaultRecord("host_power_off", ("n1",), 0, 0, NS_PER_S, 5 * NS_PER_S, True, "")
    return replace(History(ops([])), faults=(fault,), observations=observations)


BEFORE = (seen(0, "n1", "primary", 1, 5), seen(2, "n1", "", 0), seen(4, "n2", "primary", 2, 40))
"""n1 is lost, n2 leads on timeline 2, and goes on writing."""
LATER = tuple(seen(at, "n2", "primary", 2, 10 * at) for at in range(5, 15))


def follows(first_s: float) -> tuple[NodeObservation, ...]:
    """n1 follows n2 from first_s on, seen each half second, half a second behind."""
    moments = (first_s + step / 2 for step in range(6))
    return tuple(seen(at, "n1", "standby", 2, int(10 * (at - 0.5))) for at in moments)


def test_the_first_of_two_sights_of_a_node_that_moves_with_its_primary_ends_it() -> None:
    finding = Rejoin(10).check(told(*BEFORE, *LATER, seen(6, "n1", "standby", 1, 60), *follows(7.5)), 0)
    assert (finding.verdict, finding.value) == (Verdict.PASS, 2.5)


def test_over_the_limit_fails() -> None:
    assert Rejoin(2).check(told(*BEFORE, *LATER, *follows(7.5)), 0).verdict is Verdict.FAIL


def test_a_node_that_stays_on_the_old_timeline_has_not_rejoined() -> None:
    finding = Rejoin(10).check(
        told(*BEFORE, *LATER, seen(6, "n1", "primary", 1), seen(7, "n1", "primary", 1)), 0
    )
    assert finding.verdict is Verdict.FAIL
    assert "n1" in finding.summary


@pytest.mark.parametrize("lsn", [30, 40, 65], ids=["behind", "as at the healing", "as once after it"])
def test_a_node_whose_position_stands_still_has_not_rejoined_whatever_it_says(lsn: int) -> None:
    still = tuple(seen(at, "n1", "standby", 2, lsn) for at in (6, 6.5, 7, 8, 9, 10, 12))
    assert Rejoin(10).check(told(*BEFORE, *LATER, *still), 0).verdict is Verdict.FAIL


def test_one_sight_is_none() -> None:
    assert Rejoin(10).check(told(*BEFORE, *LATER, *follows(7.5)[:1]), 0).verdict is Verdict.FAIL


def test_a_node_that_flips_has_rejoined_once_it_stays() -> None:
    flips = (
        *follows(6)[:1],
        seen(6.2, "n1", "", 0),
        *follows(8)[:1],
        seen(8.2, "n1", "standby", 1),
        *follows(10),
    )
    finding = Rejoin(10).check(told(*BEFORE, *LATER, *flips), 0)
    assert (finding.verdict, finding.value) == (Verdict.PASS, 5)


def test_a_primary_that_writes_nothing_is_followed_by_whoever_has_what_it_has() -> None:
    idle = [
        seen(at, node, role, 2, 40)
        for at in (6, 7, 8)
        for node, role in (("n2", "primary"), ("n1", "standby"))
    ]
    finding = Rejoin(10).check(told(*BEFORE, *idle), 0)
    assert (finding.verdict, finding.value) == (Verdict.PASS, 1)


def test_a_fault_that_the_next_one_overtook_is_judged_by_that_one() -> None:
    once = told(*BEFORE, *LATER, *follows(9))
    again = replace(once.faults[0], started_ns=6 * NS_PER_S, at_ns=6 * NS_PER_S, healed_ns=8 * NS_PER_S)
    finding = Rejoin(10).check(replace(once, faults=(*once.faults, again)), 0)
    assert (finding.verdict, finding.value) == (Verdict.PASS, 1)
    first = replace(
        once, faults=(*once.faults, replace(again, started_ns=12 * NS_PER_S, healed_ns=13 * NS_PER_S))
    )
    assert Rejoin(10).check(first, 0).verdict is Verdict.FAIL, "nobody saw it follow after the last healing"


def test_the_cluster_is_whole_again_when_the_last_node_follows() -> None:
    history = told(*BEFORE, *LATER, *follows(7.5))
    assert whole_again_s(history) == 2.5
    assert whole_again_s(told(*BEFORE, *LATER)) is None
    assert whole_again_s(replace(history, faults=())) is None


def test_without_a_node_to_wait_for_it_is_unknown() -> None:
    assert Rejoin(10).check(History(ops([])), 0).verdict is Verdict.UNKNOWN


def test_after_a_partition_a_system_gets_the_time_that_its_own_time_outs_take_and_the_finding_says_so() -> (
    None
):
    back = (*BEFORE, *LATER, *follows(11.5))
    cut = replace(
        told(*back), faults=tuple(replace(one, fault="net_partition") for one in told(*back).faults)
    )
    finding = Rejoin(5, relink_s=5).check(cut, 0)
    assert (finding.verdict, finding.limit) == (Verdict.PASS, 10)
    assert "asked: 5 s; the system may take 5 s more" in finding.summary
    assert Rejoin(5).check(cut, 0).verdict is Verdict.FAIL
    killed = Rejoin(5, relink_s=5).check(told(*back), 0)
    assert (killed.verdict, killed.limit) == (Verdict.FAIL, 5)
