"""The presets and drills that come with Outlast say what the founding documents say."""

import pytest

from outlast.config import (
    ClusterSpec,
    DrillSpec,
    drill_names,
    drill_suites,
    load_cluster,
    load_drill,
    preset_names,
)


def addresses(spec: ClusterSpec) -> dict[str, str]:
    return {member.name: member.address for member in spec.members()}


def test_the_presets_are_those_of_the_design():
    assert preset_names() == (
        "etcd",
        "patroni",
        "patroni-3dcs",
        "pg_auto_failover",
        "pgpool",
        "raftlog",
        "six-node",
        "streaming",
    )


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads_synchronous_and_named_after_itself(name: str):
    spec = load_cluster(name)
    assert (spec.name, spec.sync, spec.fsync, spec.watchdog) == (name, "on", True, False)


@pytest.mark.parametrize("name", drill_names())
def test_every_drill_loads_and_says_what_it_proves(name: str):
    drill = load_drill(name)
    assert drill.name == name
    assert drill.title
    assert drill.checks


def test_no_two_suites_share_a_drill_name():
    in_suites = [name for names in drill_suites().values() for name in names]
    assert sorted(in_suites) == list(drill_names())


def test_patroni_has_three_nodes_one_dcs_member_and_free_ports():
    spec = load_cluster("patroni")
    assert addresses(spec) == {
        "pg-node-1": "172.28.0.11",
        "pg-node-2": "172.28.0.12",
        "pg-node-3": "172.28.0.13",
        "etcd-node-1": "172.28.0.14",
    }
    assert spec.primary().name == "pg-node-1"
    assert spec.ports == {}


def test_patroni_3dcs_publishes_what_its_compose_file_publishes():
    spec = load_cluster("patroni-3dcs")
    assert [node.port for node in spec.nodes] == [5432, 5433, 5434]
    assert [(member.name, member.port) for member in spec.dcs] == [
        ("etcd-node-1", 2379),
        ("etcd-node-2", 2381),
        ("etcd-node-3", 2383),
    ]
    assert [spec.ports[name] for name in ("haproxy", "haproxy/read", "haproxy/stats")] == [5000, 5001, 7000]


def test_six_node_has_one_primary_two_standbys_and_three_read_only():
    spec = load_cluster("six-node")
    assert [node.role for node in spec.nodes] == ["primary"] + ["standby"] * 2 + ["read-only"] * 3
    assert [node.port for node in spec.nodes] == [5432, 5433, 5434, 5440, 5441, 5442]
    assert (spec.user, spec.database, len(spec.dcs)) == ("appuser", "appdb", 1)


def test_pinned_ports_are_given_back_with_one_override():
    spec = load_cluster("six-node", ["ports={}"])
    assert {node.port for node in spec.nodes} == {None}


def test_pg_auto_failover_has_the_names_addresses_and_priorities_of_the_document():
    spec = load_cluster("pg_auto_failover")
    assert addresses(spec) == {
        "postgres-primary": "172.28.0.10",
        "postgres-replica1": "172.28.0.11",
        "postgres-replica2": "172.28.0.12",
        "pgaf-monitor": "172.28.0.5",
        "postgres-exporter": "172.28.0.20",
        "prometheus": "172.28.0.21",
        "grafana": "172.28.0.30",
    }
    assert [node.priority for node in spec.nodes] == [100, 90, 80]
    assert (spec.database, spec.dataset) == ("healthcare_db", "healthcare")
    assert (spec.ports["pgaf-monitor"], spec.ports["postgres-replica2/autoctl"]) == (5431, 6012)


def test_primary_power_off_cuts_the_primary_under_load_and_allows_no_loss():
    drill = load_drill("primary-power-off")
    (entry,) = drill.timeline
    (load,) = drill.workloads()
    assert isinstance(drill, DrillSpec)
    assert (entry.at_s, entry.fault, entry.on, entry.heal) == (
        5.0,
        "host_power_off",
        "primary",
        "after_failover",
    )
    assert (load.name, load.clients.follow, load.rate_per_s) == ("append", 8, 500.0)
    assert drill.checks == {"acked_lost": 0, "two_writers_s": 0, "replicas_equal": True}
    assert drill.duration_s == 45.0


def test_postgres_kill_names_the_process_it_kills():
    (entry,) = load_drill("postgres-kill").timeline
    assert (entry.fault, entry.params) == ("process_kill", {"process": "postgres"})
