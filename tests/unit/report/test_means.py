"""By what a fault was made stands in its record, where a fault says so."""

from __future__ import annotations

from holdfast.history.history import FaultRecord


def test_a_record_tells_by_what_its_fault_was_made() -> None:
    mechanisms = {"mechanisms": ["NFQUEUE target before routing in the receiving host"], "rules": [1]}
    record = FaultRecord("net_delay", ("n1",), 0, 0, 1, 2, True, "", details=mechanisms)
    assert record.means == ("NFQUEUE target before routing in the receiving host",)


def test_a_fault_without_a_choice_tells_nothing() -> None:
    assert FaultRecord("process_kill", ("n1",), 0, 0, 1, 2, True, "").means == ()
    assert FaultRecord("x", ("n1",), 0, 0, 1, 2, True, "", details={"mechanisms": "odd"}).means == ()
