"""Chaos is decided by its seed before anything runs."""

from __future__ import annotations

import itertools

import pytest

from outlast.campaigns.chaos import RANDOM_NODE, SCENARIOS, TAIL_S, chaos_drill
from outlast.config import ClusterSpec, check_targets
from outlast.errors import ConfigError, UnavailableError
from outlast.faults.registry import faults
from outlast.run.plan import make_plan

CLUSTER = ClusterSpec(nodes=3, dcs=3, sync="on")
CALM = ("health",)
KNOWN = {one.name for one in faults()}


def runnable() -> list[str]:
    return [name for name, one in SCENARIOS.items() if all(choice.fault in KNOWN for choice in one.choices)]


@pytest.mark.parametrize("name", runnable())
@pytest.mark.parametrize("seed", [0, 7, 2**40])
def test_the_same_seed_gives_the_same_plan_and_another_seed_another(name: str, seed: int) -> None:
    plan = make_plan(chaos_drill(name, 300, seed, CLUSTER))
    assert plan == make_plan(chaos_drill(name, 300, seed, CLUSTER))
    if name in CALM:
        assert plan == ()
    else:
        assert plan != make_plan(chaos_drill(name, 300, seed + 1, CLUSTER))


@pytest.mark.parametrize("seed", range(40))
def test_a_minute_holds_at_least_three_faults_and_leaves_time_to_get_over_them(seed: int) -> None:
    drill = chaos_drill("all", 60, seed, CLUSTER)
    check_targets(drill, CLUSTER)
    steps = make_plan(drill)
    assert len(steps) >= 3
    assert all(step.at_s <= 60 - 60 * 0.4 + 1 for step in steps)
    assert all(isinstance(step.heal, float) for step in steps), "everything is healed while clients write"


def test_some_faults_overlap() -> None:
    steps = make_plan(chaos_drill("all", 300, 1, CLUSTER))
    ends = [(step.at_s, step.at_s + float(step.heal)) for step in steps]
    assert any(later[0] < earlier[1] for earlier, later in itertools.pairwise(ends))
    assert max(start for start, _end in ends) <= 300 - TAIL_S + 1


def test_a_scenario_draws_only_from_its_own_faults() -> None:
    for name in runnable():
        allowed = {choice.fault for choice in (*SCENARIOS[name].choices, *SCENARIOS[name].namesake)}
        assert {step.fault for step in make_plan(chaos_drill(name, 600, 3, CLUSTER))} <= allowed


def test_nodes_are_drawn_from_the_cluster_file_and_all_of_them_come_up() -> None:
    nodes = {node.name for node in CLUSTER.nodes}
    drawn = {step.on for step in make_plan(chaos_drill("random-node", 600, 3, CLUSTER))}
    assert drawn == nodes
    assert RANDOM_NODE not in drawn


def test_an_unknown_scenario_names_those_there_are() -> None:
    with pytest.raises(ConfigError, match="no scenario earthquake"):
        chaos_drill("earthquake", 60, 1, CLUSTER)


def test_a_scenario_whose_fault_is_missing_is_refused_by_name() -> None:
    for name in set(SCENARIOS) - set(runnable()):
        with pytest.raises(UnavailableError, match=r"needs the fault \w+, which this version lacks"):
            chaos_drill(name, 60, 1, CLUSTER)


def members(system: str) -> ClusterSpec:
    return ClusterSpec(system=system, nodes=3, dcs=0)


DOWN = ("process_kill", "process_stop", "process_pause", "host_power_off", "host_frozen")


@pytest.mark.parametrize("scenario", ["members", "all"])
def test_what_the_first_fault_took_down_is_no_named_target_of_the_second(scenario: str) -> None:
    cluster = members("raftlog") if scenario == "members" else CLUSTER
    names = {node.name for node in cluster.nodes}
    pairs = 0
    for seed in range(200):
        steps = make_plan(chaos_drill(scenario, 120, seed, cluster))
        for first, second in itertools.pairwise(steps):
            if second.at_s - first.at_s > 1 or first.fault not in DOWN:
                continue
            pairs += 1
            assert first.on != second.on or first.on == "primary"
            assert first.on in names or second.on not in names
    assert pairs > 50


def test_members_of_the_dcs_that_are_down_are_not_struck_again() -> None:
    for seed in range(300):
        steps = make_plan(chaos_drill("all", 120, seed, CLUSTER))
        for first, second in itertools.pairwise(steps):
            if second.at_s - first.at_s <= 1 and first.fault in ("dcs_kill", "dcs_pause"):
                assert not second.on.startswith("dcs-")


@pytest.mark.parametrize("system", ["raftlog", "etcd"])
def test_a_system_without_servers_gets_a_log_and_faults_that_it_can_suffer(system: str) -> None:
    for name in (
        "all",
        "random-node",
        "primary-failure",
        "network-partition",
        "network-delay",
        "cascading",
        "health",
    ):
        drill = chaos_drill(name, 300, 7, members(system))
        assert list(drill.workload) == ["log"]
        steps = make_plan(drill)
        assert not {step.fault for step in steps} & {"backend_terminate", "replay_pause", "walreceiver_block"}
        assert not any(
            step.on.startswith("dcs-") or step.params.get("process") == "postgres" for step in steps
        )


def test_a_scenario_of_whose_faults_a_system_can_suffer_none_is_refused() -> None:
    with pytest.raises(UnavailableError, match="raftlog, as it is set up here, can suffer none"):
        chaos_drill("etcd-failure", 60, 1, members("raftlog"))


def test_postgresql_is_loaded_with_sql() -> None:
    assert list(chaos_drill("all", 60, 1, CLUSTER).workload) == ["append"]


LOSES_THE_PRIMARY = {"host_power_off", "host_frozen"}


@pytest.mark.parametrize("seed", range(100))
def test_primary_failure_always_has_one_after_which_somebody_else_must_lead(seed: int) -> None:
    """Seed 7 once froze a host for 4 s and ended a backend, and passed though nobody had failed over."""
    drill = chaos_drill("primary-failure", 60, seed, CLUSTER)
    first = make_plan(drill)[0]
    assert (first.fault in LOSES_THE_PRIMARY, first.on, first.heal) == (True, "primary", "after_failover")
    assert drill.checks["leader_changes"] == 1


@pytest.mark.parametrize("seed", range(100))
def test_the_first_fault_of_a_scenario_is_what_it_is_named_for(seed: int) -> None:
    store = make_plan(chaos_drill("etcd-failure", 60, seed, CLUSTER))[0]
    assert store.fault in ("dcs_kill", "dcs_pause"), "a member that is only slow has not failed"
    node = make_plan(chaos_drill("random-node", 60, seed, CLUSTER))[0]
    assert node.fault in ("process_kill", "host_restart", "host_power_off")


def test_sustained_load_has_failures_and_judges_throughput_and_success() -> None:
    drill = chaos_drill("sustained-load", 300, 7, CLUSTER)
    assert len(make_plan(drill)) > 3
    assert drill.workload["append"].rate_per_s == 1000
    assert drill.checks["throughput"] == 700
    assert drill.checks["success"] == 0.99


def test_run_is_the_random_sequence_of_all_faults() -> None:
    assert chaos_drill("run", 300, 7, CLUSTER) == chaos_drill("all", 300, 7, CLUSTER)
