"""A stored spec loads to the spec that was stored."""

import json

import pytest

from outlast.config import drill_names, load_cluster, load_drill, preset_names, to_document


@pytest.mark.parametrize("name", preset_names())
def test_a_cluster_survives_the_way_through_json(tmp_path, name):
    spec = load_cluster(
        name, ["nodes.0.tags={zone: a}", "postgresql.parameters.a=1.5"] if name == "six-node" else []
    )
    path = tmp_path / "stored.json"
    path.write_text(json.dumps(to_document(spec)))
    assert load_cluster(path) == spec


@pytest.mark.parametrize("name", drill_names())
def test_a_drill_survives_the_way_through_json(tmp_path, name):
    overrides = [
        "workload.bank={clients: {follow: 2, pinned: on}, accounts: [1, 2]}",
        *(["timeline.0.every=3s", "timeline.0.heal=2s"] if load_drill(name).timeline else []),
        "cluster={preset: patroni, sync: on, postgresql: {parameters: {a: 1}}}",
        "needs=[pausable]",
        "checks.outage_s=1m",
    ]
    drill = load_drill(name, overrides)
    path = tmp_path / "stored.json"
    path.write_text(json.dumps(to_document(drill)))
    assert load_drill(path) == drill


def test_a_stored_cluster_spells_out_its_defaults():
    document = to_document(load_cluster("patroni"))
    assert document["fsync"] is True
    assert document["nodes"][0] == {
        "name": "pg-node-1",
        "address": "172.28.0.11",
        "role": "primary",
        "priority": None,
        "tags": {},
    }


def test_a_stored_cluster_can_have_its_ports_freed_in_one_place(tmp_path):
    path = tmp_path / "stored.json"
    path.write_text(json.dumps(to_document(load_cluster("six-node"))))
    assert {node.port for node in load_cluster(path, ["ports={}"]).nodes} == {None}
