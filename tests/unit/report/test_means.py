"""By what a fault was made stands in its record, where a fault says so."""

from __future__ import annotations

from dataclasses import replace

from histories import Row, Story, fault

from outlast.history.history import JSON, FaultRecord
from outlast.report.html.narrative import story


def test_a_record_tells_by_what_its_fault_was_made() -> None:
    mechanisms: dict[str, JSON] = {
        "mechanisms": ["NFQUEUE target before routing in the receiving host"],
        "rules": [1],
    }
    record = FaultRecord("net_delay", ("n1",), 0, 0, 1, 2, True, "", details=mechanisms)
    assert record.means == ("NFQUEUE target before routing in the receiving host",)


def test_a_fault_without_a_choice_tells_nothing() -> None:
    assert FaultRecord("process_kill", ("n1",), 0, 0, 1, 2, True, "").means == ()
    assert FaultRecord("x", ("n1",), 0, 0, 1, 2, True, "", details={"mechanisms": "odd"}).means == ()


def test_the_page_and_the_terminal_tell_it() -> None:
    struck = replace(fault(2.0, "net_delay"), details={"mechanisms": ["a queue"]})
    history = Story([Row(1, 1.0)], faults=[struck, fault(3.0)]).history()
    told = [moment.text for moment in story(history, (), (), 10.0) if moment.kind == "fault"]
    assert told == [
        "Fault: net_delay on n1 takes hold, by a queue.",
        "Fault: host_power_off on n1 takes hold.",
    ]
