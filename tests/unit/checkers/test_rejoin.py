"""Rejoin is measured from the healing to the first sight of the node on the newest timeline."""

from __future__ import annotations

from dataclasses import replace

from histories import ops

from outlast.checkers.base import Verdict
from outlast.checkers.rejoin import Rejoin
from outlast.history.history import FaultRecord, History, NodeObservation
from outlast.units import NS_PER_S


def seen(at_s: float, node: str, role: str, timeline: int) -> NodeObservation:
    return NodeObservation(int(at_s * NS_PER_S), node, "node", role, timeline, 0)


def told(*observations: NodeObservation) -> History:
    fault = FaultRecord("host_power_off", ("n1",), 0, 0, NS_PER_S, 5 * NS_PER_S, True, "")
    return replace(History(ops([])), faults=(fault,), observations=observations)


BEFORE = (seen(0, "n1", "primary", 1), seen(2, "n1", "", 0), seen(4, "n2", "primary", 2))


def test_the_first_sight_on_the_newest_timeline_ends_it() -> None:
    finding = Rejoin(10).check(told(*BEFORE, seen(6, "n1", "standby", 1), seen(7.5, "n1", "standby", 2)), 0)
    assert (finding.verdict, finding.value) == (Verdict.PASS, 2.5)


def test_over_the_limit_fails() -> None:
    assert Rejoin(2).check(told(*BEFORE, seen(7.5, "n1", "standby", 2)), 0).verdict is Verdict.FAIL


def test_a_node_that_stays_on_the_old_timeline_has_not_rejoined() -> None:
    finding = Rejoin(10).check(told(*BEFORE, seen(6, "n1", "primary", 1)), 0)
    assert finding.verdict is Verdict.FAIL
    assert "n1" in finding.summary


def test_without_a_node_to_wait_for_it_is_unknown() -> None:
    assert Rejoin(10).check(History(ops([])), 0).verdict is Verdict.UNKNOWN


def test_after_a_partition_a_system_gets_the_time_that_its_own_time_outs_take_and_the_finding_says_so() -> (
    None
):
    back = (*BEFORE, seen(11.5, "n1", "standby", 2))
    cut = replace(
        told(*back), faults=tuple(replace(one, fault="net_partition") for one in told(*back).faults)
    )
    finding = Rejoin(5, relink_s=5).check(cut, 0)
    assert (finding.verdict, finding.limit) == (Verdict.PASS, 10)
    assert "asked: 5 s; the system may take 5 s more" in finding.summary
    assert Rejoin(5).check(cut, 0).verdict is Verdict.FAIL
    killed = Rejoin(5, relink_s=5).check(told(*back), 0)
    assert (killed.verdict, killed.limit) == (Verdict.FAIL, 5)
