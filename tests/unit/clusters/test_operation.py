"""Names and descriptions of clusters that change."""

from __future__ import annotations

import pytest

from outlast.clusters.operation import next_name
from outlast.config import ClusterSpec, NodeSpec, load_cluster
from outlast.config.cluster import with_node, without_node


def test_the_next_node_takes_the_next_number() -> None:
    spec = load_cluster("patroni")
    assert next_name(spec) == "pg-node-4"
    assert next_name(without_node(spec, "pg-node-2", "pg-node-1")) == "pg-node-4"
    assert next_name(ClusterSpec(nodes=("a", "b"))) == "pg-node-1"  # type: ignore[arg-type]


def test_a_node_more_keeps_every_address_and_one_less_its_ports() -> None:
    spec = load_cluster("six-node")
    more = with_node(spec, NodeSpec(name="pg-node-7", address="172.28.0.99", port=7000))
    assert [node.address for node in more.nodes[:6]] == [node.address for node in spec.nodes]
    assert more.ports["pg-node-7"] == 7000
    assert without_node(more, "pg-node-7", "pg-node-1") == spec


def test_when_the_first_primary_leaves_the_present_one_starts_as_primary() -> None:
    left = without_node(load_cluster("patroni"), "pg-node-1", "pg-node-3")
    assert left.primary().name == "pg-node-3"


def test_a_name_or_port_in_use_is_refused() -> None:
    spec = load_cluster("six-node")
    with pytest.raises(ValueError, match="is taken"):
        with_node(spec, NodeSpec(name="pg-node-2"))
    with pytest.raises(ValueError, match="is taken"):
        with_node(spec, NodeSpec(name="new", port=5432))
