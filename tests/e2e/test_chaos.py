"""Chaos from outside: the plan is the seed's, everything is healed, and the log tells it."""

from __future__ import annotations

from pathlib import Path

import pytest
from program import outlast

from outlast.campaigns.chaos import chaos_drill
from outlast.config import load_cluster
from outlast.run.plan import make_plan


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_seed_decides_the_plan_and_all_of_it_is_healed(tmp_path: Path) -> None:
    words = ("chaos", "random-node", "--duration", "24", "--seed", "7", "--profile", "fast")
    ran = outlast(*words, "--log", str(tmp_path), "--json", timeout_s=200)
    document = ran.json
    planned = make_plan(chaos_drill("random-node", 24, 7, load_cluster("patroni-3dcs")))
    assert planned
    assert document["plan"] == [step.to_document() for step in planned]
    assert document["verdict"] == "pass", (ran.err, document["drills"][0]["checks"])
    faults = document["drills"][0]["faults"]
    assert all(one["effective"] and one["healed_s"] is not None for one in faults)
    (log,) = tmp_path.glob("chaos_test_*.log")
    assert "plan: 3 s" in log.read_text()
    assert outlast("ls", "labs", "--json").json == {"labs": []}


def test_a_scenario_that_does_not_exist_is_bad_usage() -> None:
    done = outlast("chaos", "earthquake")
    assert (done.code, done.out) == (64, "")
    assert "earthquake" in done.err


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("system", ["raftlog", "etcd"])
def test_a_system_without_sql_gets_a_load_and_faults_of_its_own(system: str, tmp_path: Path) -> None:
    words = ("chaos", "--system", system, "--duration", "30", "--seed", "7", "--log", str(tmp_path), "--json")
    ran = outlast(*words, timeout_s=180)
    assert ran.json["verdict"] == "pass", (ran.err, ran.json["drills"][0]["checks"])
    (run,) = ran.json["drills"]
    assert run["acked"] > 1000
    assert run["acked_lost"] == 0
    assert all(one["effective"] for one in run["faults"])


def test_a_scenario_that_a_system_cannot_suffer_is_refused_before_a_lab_is_made() -> None:
    done = outlast("chaos", "etcd-failure", "--system", "raftlog", "--duration", "30")
    assert (done.code, done.out) == (64, "")
    assert "raftlog, as it is set up here, can suffer none of its faults" in done.err
