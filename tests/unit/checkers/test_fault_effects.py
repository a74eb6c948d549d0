"""An experiment in which a fault did nothing, or stays, is no pass."""

from __future__ import annotations

from dataclasses import replace

from histories import ops

from outlast.checkers.base import Verdict
from outlast.checkers.fault_effects import FaultEffects
from outlast.history.history import FaultRecord, History

BIT = FaultRecord("process_kill", ("n1",), 1, 1, 2, 9, True, "gone")


def verdict(*faults: FaultRecord, planned: int | None = None) -> Verdict:
    checker = FaultEffects(len(faults) if planned is None else planned)
    return checker.check(replace(History(ops([])), faults=faults), 0).verdict


def test_faults_that_bit_and_were_healed_pass() -> None:
    assert verdict(BIT, BIT) is Verdict.PASS
    assert verdict() is Verdict.PASS


def test_a_fault_that_did_not_bite_makes_the_run_invalid() -> None:
    assert verdict(BIT, replace(BIT, effective=False)) is Verdict.INVALID


def test_a_planned_fault_that_never_came_makes_the_run_invalid() -> None:
    assert verdict(BIT, planned=2) is Verdict.INVALID


def test_a_fault_that_was_not_healed_fails_whatever_else() -> None:
    assert verdict(replace(BIT, effective=False), replace(BIT, healed_ns=None)) is Verdict.FAIL


def test_a_fault_whose_effect_nobody_saw_is_unknown() -> None:
    assert verdict(BIT, replace(BIT, effective=None)) is Verdict.UNKNOWN
