"""When things happen in a soak, and who is promoted."""

from __future__ import annotations

import pytest

from outlast.config import load_cluster
from outlast.errors import ConfigError
from outlast.soak.diary import node_line, progress_line
from outlast.soak.plan import SoakTimes, promotable, rotation, soak_drill

NODES = [f"pg-node-{number}" for number in range(1, 7)]


def test_half_an_hour_has_five_failovers_and_twenty_nine_validations() -> None:
    times = SoakTimes()
    assert times.failovers() == (300, 600, 900, 1200, 1500)
    assert len(times.validations()) == 29


def test_two_minutes_at_twenty_seconds_have_five_failovers() -> None:
    assert SoakTimes(120, 20, 10).failovers() == (20, 40, 60, 80, 100)


def test_the_rotation_goes_round_all_nodes_from_the_one_after_the_leader() -> None:
    assert rotation(NODES, "pg-node-1", 7) == (*NODES[1:], NODES[0], NODES[1])
    assert rotation(NODES, "pg-node-5", 3) == ("pg-node-6", "pg-node-1", "pg-node-2")


def test_read_only_nodes_take_part_only_where_they_can_be_made_eligible() -> None:
    spec = load_cluster("six-node")
    assert promotable(spec, True) == tuple(NODES)
    assert promotable(spec, False) == tuple(NODES[:3])


@pytest.mark.parametrize(
    ("times", "flag"),
    [((30, 300, 60), "--duration"), ((60, 1, 60), "--failover-interval"), ((60, 300, 0.1), "--validation-interval"),
     ((60000, 5, 60), "--failover-interval")],
)  # fmt: skip
def test_times_that_make_no_soak_are_refused_by_the_name_of_their_flag(
    times: tuple[float, float, float], flag: str
) -> None:
    with pytest.raises(ConfigError, match=flag):
        SoakTimes.asked(*times)


def test_one_node_cannot_soak() -> None:
    with pytest.raises(ConfigError, match="no node to promote"):
        rotation(["n1"], "n1", 1)


def test_a_soak_is_a_drill_with_limits_that_may_be_tightened_but_not_turned_into_another() -> None:
    times = SoakTimes(120, 20, 10)
    targets = rotation(NODES, "pg-node-1", 5)
    drill = soak_drill(times, targets, ["checks.outage_s=5s"])
    assert drill.checks["outage_s"] == 5
    assert drill.checks["acked_lost"] == 0
    assert [entry.params["to"] for entry in drill.timeline] == list(targets)
    with pytest.raises(ConfigError, match="duration"):
        soak_drill(times, targets, ["duration=5s"])


def test_lines_are_those_of_the_document() -> None:
    assert node_line("pg-node-1", (3000, 2850, 150, 0)) == (
        "pg-node-1 | Total: 3000 | Inserts: 2850 | Updates: 150 | Deletes: 0"
    )
    assert progress_line(300, 1800, 6, 6) == ("[300/1800] Elapsed: 05m 00s | Remaining: 25m 00s | Nodes: 6/6")


def test_a_faster_pace_asks_for_more_writes_and_nothing_else() -> None:
    usual, fast = (soak_drill(SoakTimes(60, 100, 10, pace), []) for pace in (1, 20))
    assert usual.workload["soak-writer"].rate_per_s is None
    assert fast.workload["soak-writer"].rate_per_s == pytest.approx(20 * 20.4)
    assert fast.workload["soak-writer"].clients.follow == 4
    assert fast.checks == usual.checks
