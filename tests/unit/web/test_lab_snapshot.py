"""What the page says has happened is what was different."""

from __future__ import annotations

from dataclasses import replace

from outlast.history.live import Live
from outlast.net.base import Conditions, Rule
from outlast.web.lab_snapshot import LabSnapshot, NodeSnapshot, OpenFault, log_entries
from outlast.web.lab_watch import link_states

LAB = LabSnapshot(
    "lab",
    "patroni",
    "fast",
    "on",
    (NodeSnapshot("n1", "primary", timeline=1), NodeSnapshot("n2", "standby", timeline=1)),
    primary="n1",
    lock="n1",
)


def told(before: LabSnapshot, now: LabSnapshot) -> list[str]:
    return [one.text for one in log_entries(before, now)]


def test_nothing_new_is_nothing_told() -> None:
    assert told(LAB, LAB) == []
    assert told(LabSnapshot("lab", "", "", ""), LAB) == []


def test_a_failover_is_told_in_order() -> None:
    gone = LAB.with_node(replace(LAB.nodes[0], role="silent"))
    assert told(LAB, gone) == ["n1 stops answering", "no node takes writes: n1 was the last"]
    taken = replace(gone.with_node(NodeSnapshot("n2", "primary", timeline=2)), lock="n2")
    assert told(gone, taken) == ["n2 is primary, on timeline 2", "the leader's lock goes to n2"]
    back = taken.with_node(NodeSnapshot("n1", "standby", timeline=2))
    assert told(taken, back) == ["n1 answers as standby, on timeline 2"]


def test_two_writable_nodes_are_told_of() -> None:
    both = LAB.with_node(NodeSnapshot("n2", "primary", timeline=2))
    assert "several nodes take writes: n1, n2" in told(LAB, both)
    assert both.primary == "n2"


def test_faults_come_and_go_by_their_entries() -> None:
    one, two = OpenFault("net_delay", ("n1",), "1"), OpenFault("net_delay", ("n1",), "2")
    assert told(LAB, replace(LAB, faults=(one,))) == ["net_delay on n1"]
    assert told(replace(LAB, faults=(one,)), replace(LAB, faults=(two,))) == [
        "net_delay on n1",
        "net_delay on n1 is healed",
    ]


def test_a_run_begins_and_ends() -> None:
    live = Live("r", "lab", "d", "patroni", "settling", 1)
    begun = replace(LAB, run=live)
    assert told(LAB, begun) == ["d begins"]
    ended = replace(LAB, run=replace(live, phase="done", verdict="fail"))
    assert told(begun, ended) == ["d: fail"]


def test_links_are_told_by_what_a_packet_meets() -> None:
    def words(**given: float) -> tuple[str, str]:
        (link,) = link_states(Rule(("a",), ("b", "a"), Conditions(**given)))  # type: ignore[arg-type]
        return link.kind, link.words

    assert words(loss_percent=100) == ("cut", "cut")
    assert words(delay_ms=150) == ("slow", "+150 ms")
    assert words(rate_kbit=64) == ("slow", "64 kbit/s")
    assert words(loss_percent=20) == ("lossy", "20 % lost")
