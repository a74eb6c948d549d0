"""A ClusterSpec that exists is complete and sound."""

import dataclasses
from pathlib import Path

import pytest

from outlast.config import ClusterSpec, NodeSpec, load_cluster
from outlast.errors import ConfigError


def load(folder: Path, text: str) -> ClusterSpec:
    path = folder / "cluster.yaml"
    path.write_text(text)
    return load_cluster(path)


def refusal(folder: Path, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    return caught.value


def test_a_number_of_nodes_becomes_named_nodes_of_which_the_first_is_primary(tmp_path):
    spec = load(tmp_path, "nodes: 2\n")
    assert [(node.name, node.role, node.address) for node in spec.nodes] == [
        ("pg-node-1", "primary", "172.28.0.11"),
        ("pg-node-2", "standby", "172.28.0.12"),
    ]


def test_names_and_entries_may_be_mixed_and_missing_names_are_filled_in(tmp_path):
    spec = load(tmp_path, "nodes: [alpha, {role: primary, priority: 90, tags: {zone: east}}]\n")
    assert [(node.name, node.role) for node in spec.nodes] == [("alpha", "standby"), ("pg-node-2", "primary")]
    assert (spec.nodes[1].priority, spec.nodes[1].tags) == (90, {"zone": "east"})


@pytest.mark.parametrize(("system", "prefix"), [("etcd", "etcd-node"), ("raftlog", "raft-node")])
def test_consensus_systems_name_their_own_members_and_use_no_dcs(tmp_path, system, prefix):
    spec = load(tmp_path, f"system: {system}\n")
    assert [node.name for node in spec.nodes] == [f"{prefix}-{number}" for number in (1, 2, 3)]
    assert spec.dcs == ()


def test_given_addresses_stand_and_the_others_go_around_them(tmp_path):
    spec = load(tmp_path, "nodes: [a, {name: b, address: 172.28.0.11}, c]\n")
    assert {member.name: member.address for member in spec.members()} == {
        "a": "172.28.0.12",
        "b": "172.28.0.11",
        "c": "172.28.0.13",
        "etcd-node-1": "172.28.0.14",
    }


def test_spare_addresses_are_those_that_no_member_has(tmp_path):
    spec = load(tmp_path, "nodes: 2\nsubnet: 10.1.0.0/28\n")
    spare = list(spec.spare_addresses())
    assert spare == [f"10.1.0.{last}" for last in (14, 2, 3, 4, 5, 6, 7, 8, 9, 10)]


def test_ports_reach_the_nodes_they_name_and_purposes_stay_beside_them(tmp_path):
    spec = load(tmp_path, "nodes: [{name: a, port: 5440}, b]\nports: {b: 5441, b/rest: 8008}\n")
    assert [node.port for node in spec.nodes] == [5440, 5441]
    assert spec.ports == {"a": 5440, "b": 5441, "b/rest": 8008}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("on", "on"),
        ("off", "off"),
        ("true", "on"),
        ("false", "off"),
        ("strict", "strict"),
        ("quorum", "quorum"),
    ],
)
def test_sync_takes_words_and_yaml_booleans(tmp_path, written, meant):
    assert load(tmp_path, f"sync: {written}\n").sync == meant


@pytest.mark.parametrize(
    ("written", "meant"), [("on", True), ("off", False), ("true", True), ("'no'", False)]
)
def test_switches_take_on_and_off_which_are_text_in_yaml(tmp_path, written, meant):
    assert load(tmp_path, f"tls: {written}\n").tls is meant


def test_a_key_without_a_value_takes_its_default(tmp_path):
    assert load(tmp_path, "ports:\nversion:\npostgresql:\n") == load(tmp_path, "nodes: 3\n")


def test_postgresql_settings_keep_their_types(tmp_path):
    spec = load(
        tmp_path,
        "postgresql:\n"
        "  parameters: {work_mem: 8MB, max_connections: 50, autovacuum: false, x.rate: 0.5}\n"
        "  pg_hba: [host all all 10.0.0.0/8 md5]\n",
    )
    assert spec.postgresql.parameters == {
        "work_mem": "8MB",
        "max_connections": 50,
        "autovacuum": False,
        "x.rate": 0.5,
    }
    assert spec.postgresql.pg_hba == ("host all all 10.0.0.0/8 md5",)


def test_specs_are_frozen_and_a_replaced_one_is_sound_again():
    spec = ClusterSpec(nodes=3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(spec, "sync", "on")  # noqa: B010
    assert dataclasses.replace(spec, sync="on").nodes == spec.nodes
    with pytest.raises(ValueError, match="is taken"):
        dataclasses.replace(spec, nodes=(*spec.nodes, NodeSpec(name="pg-node-1")))


def test_environment_stays_out_of_the_repr():
    assert "hunter2" not in repr(ClusterSpec(environment={"PG_AUTOCTL_PASSWORD": "hunter2"}))


@pytest.mark.parametrize(
    ("text", "key", "line", "words"),
    [
        ("nodes: 0\n", "nodes", 1, "at least one node"),
        ("nodes: 33\n", "nodes", 1, "from 0 to 32"),
        ("nodes: -1\n", "nodes", 1, "from 0 to 32"),
        ("nodes: true\n", "nodes", 1, "a number of nodes or a list"),
        ("nodes: '3'\n", "nodes", 1, "got the text '3'"),
        ("\ndcs: 2\n", "dcs", 2, "1, 3, 5 or 7"),
        ("dcs: [a, b]\n", "dcs", 1, "1, 3, 5 or 7"),
        ("dcs: 0\n", "dcs", 1, "1, 3, 5 or 7"),
        ("system: streaming\ndcs: 1\n", "dcs", 2, "streaming uses no DCS"),
        ("nodes:\n- a\n- a\n", "nodes.1.name", 3, "'a' is taken"),
        ("nodes: [etcd-node-1]\n", "dcs.0.name", None, "is taken"),
        ("nodes:\n- {address: 10.9.9.9}\n", "nodes.0.address", 2, "outside the subnet"),
        ("nodes:\n- {address: 172.28.0.1}\n", "nodes.0.address", 2, "is kept for"),
        (
            "nodes:\n- {address: 172.28.0.4}\n- {address: 172.28.0.4}\n",
            "nodes.1.address",
            3,
            "is taken by pg-node-1",
        ),
        ("nodes: 7\nsubnet: 10.0.0.0/29\n", "subnet", 2, "no room for 8 members"),
        ("subnet: 10.0.0.1/24\n", "subnet", 1, "IPv4 network"),
        ("ports:\n  pg-node-9: 5432\n", "ports.pg-node-9", 2, "no node or service"),
        ("ports:\n  pg-node-1/: 5432\n", "ports.pg-node-1/", 2, "no node or service"),
        ("ports:\n  pg-node-1: 1\n  pg-node-2: 1\n", "ports.pg-node-2", 3, "port 1 is taken by pg-node-1"),
        ("ports: {pg-node-1: 70000}\n", "ports.pg-node-1", 1, "from 1 to 65535"),
        ("nodes:\n- {port: 5}\nports: {pg-node-1: 6}\n", "nodes.0.port", 2, "not the 6"),
        ("nodes: [{role: primary}, {role: primary}]\n", "nodes.1.role", 1, "one primary"),
        ("nodes: [{role: standby}]\n", "nodes", 1, "no node has the role primary"),
        ("nodes: [{role: leader}]\n", "nodes.0.role", 1, "primary, standby, read-only"),
        ("nodes: [{priority: 101}]\n", "nodes.0.priority", 1, "from 0 to 100"),
        ("nodes: [{name: ../etc}]\n", "nodes.0.name", 1, "letters, digits"),
        ("nodes: [3]\n", "nodes.0", 1, "must be a mapping"),
        ("version: 16.4\n", "version", 1, "whole number"),
        ("user: ''\n", "user", 1, "a name is"),
        ("tls: 1\n", "tls", 1, "on or off, got the number 1"),
        (
            "postgresql: {parameters: {work mem: 1}}\n",
            "postgresql.parameters.work mem",
            1,
            "parameter's name",
        ),
        ("postgresql: {parameters: {work_mem: }}\n", "postgresql.parameters.work_mem", 1, "got nothing"),
        ('postgresql: {pg_hba: ["a\\nb"]}\n', "postgresql.pg_hba.0", 1, "one line of text"),
        ("services: [{name: x, kind: cache}]\n", "services.0.kind", 1, "monitor"),
    ],
)
def test_what_is_unsound_is_refused_with_its_key_and_line(tmp_path, text, key, line, words):
    error = refusal(tmp_path, text)
    assert error.key == key
    assert line is None or error.line == line
    assert error.file == str(tmp_path / "cluster.yaml")
    assert words in error.reason
