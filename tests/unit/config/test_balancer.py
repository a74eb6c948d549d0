"""The balancer JSON is accepted as it is, and what could not run is refused."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from outlast.config import BalancerCluster, load_balancers, load_cluster
from outlast.config.loader import load_clusters
from outlast.errors import ConfigError


def balancer(name: str, subnet: str, first_port: int, replicas: int) -> dict[str, Any]:
    return {
        "name": name,
        "container_name": f"pgbalancer_{name}",
        "ip_address": f"{subnet}.10",
        "port": first_port + 9999,
        "pcp_port": first_port + 9898,
        "rest_api_port": first_port + 8080,
        "config": {"num_init_children": 16, "max_pool": 2, "load_balance_mode": "on"},
        "primary": server(f"{name}-primary", f"{subnet}.20", first_port + 5432),
        "replicas": [
            {"node_id": n, **server(f"{name}-replica{n}", f"{subnet}.{20 + n}", first_port + 5432 + n)}
            for n in range(1, replicas + 1)
        ],
    }


def server(name: str, address: str, port: int) -> dict[str, Any]:
    return {"host": name, "port": port, "container_name": name.replace("-", "_"), "ip_address": address}


SIMPLE: dict[str, Any] = {
    "cluster_name": "pgbalancer_simple_cluster",
    "network": {"name": "pgbalancer_simple_net", "subnet": "172.31.0.0/16"},
    "balancers": [balancer("lb1", "172.31.1", 10000, 2)],
}
PRODUCTION: dict[str, Any] = {
    "cluster_name": "pgbalancer_production_cluster",
    "network": {"name": "pgbalancer_cluster_net", "subnet": "172.30.0.0/16"},
    "balancers": [balancer("lb1", "172.30.1", 10000, 2), balancer("lb2", "172.30.2", 20000, 1)],
}


def written(folder: Path, document: dict[str, Any]) -> Path:
    path = folder / "pgbalancer_cluster.json"
    path.write_text(json.dumps(document, indent=2))
    return path


def test_the_simple_cluster_is_accepted_as_it_is(tmp_path):
    config = load_balancers(written(tmp_path, SIMPLE))
    (one,) = config.balancers
    assert (config.cluster_name, config.network.subnet) == ("pgbalancer_simple_cluster", "172.31.0.0/16")
    assert (one.ip_address, one.port, one.pcp_port, one.rest_api_port) == ("172.31.1.10", 19999, 19898, 18080)
    assert (one.config.num_init_children, one.config.load_balance_mode) == (16, True)
    assert (one.primary.port, [replica.node_id for replica in one.replicas]) == (15432, [1, 2])


def test_the_simple_cluster_becomes_one_pgpool_cluster(tmp_path):
    spec = load_cluster(written(tmp_path, SIMPLE))
    assert (spec.name, spec.system, spec.network) == (
        "pgbalancer_simple_cluster",
        "pgpool",
        "pgbalancer_simple_net",
    )
    assert [(member.name, member.address, member.port) for member in spec.members()] == [
        ("lb1-primary", "172.31.1.20", 15432),
        ("lb1-replica1", "172.31.1.21", 15433),
        ("lb1-replica2", "172.31.1.22", 15434),
        ("lb1", "172.31.1.10", 19999),
    ]
    assert (spec.ports["lb1/pcp"], spec.ports["lb1/rest"]) == (19898, 18080)
    assert spec.pgpool == {"num_init_children": 16, "max_pool": 2, "load_balance_mode": True}
    assert (spec.database, spec.dataset) == ("testdb", "shop")
    assert spec.postgresql.parameters["max_connections"] == 200


def test_overrides_apply_to_a_balancer_cluster_too(tmp_path):
    spec = load_cluster(written(tmp_path, SIMPLE), ["sync=on", "ports={}"])
    assert (spec.sync, spec.ports) == ("on", {})


def test_the_production_cluster_becomes_one_cluster_a_balancer(tmp_path):
    path = written(tmp_path, PRODUCTION)
    specs = load_clusters(path)
    assert [spec.name for spec in specs] == [f"pgbalancer_production_cluster-lb{n}" for n in (1, 2)]
    assert [len(spec.nodes) for spec in specs] == [3, 2]
    assert specs[1].primary().port == 25432
    with pytest.raises(ConfigError, match="describes 2 clusters"):
        load_cluster(path)


def test_what_may_be_left_out_has_a_default(tmp_path):
    document = copy.deepcopy(SIMPLE)
    del document["balancers"][0]["config"], document["balancers"][0]["container_name"]
    assert load_balancers(written(tmp_path, document)).balancers[0].config.num_init_children == 32


@pytest.mark.parametrize(
    ("path", "value", "key", "words"),
    [
        (("replicas", 1, "node_id"), 1, "replicas.1.node_id", "node_id 1 is taken"),
        (("replicas", 0, "node_id"), 0, "replicas.0.node_id", "from 1 to 127"),
        (("replicas", 1, "port"), 15432, "replicas.1.port", "15432 is taken by lb1-primary"),
        (("pcp_port",), 19999, "pcp_port", "19999 is taken by lb1"),
        (("replicas", 0, "host"), "lb1-primary", "replicas.0.host", "is taken"),
        (("replicas", 0, "ip_address"), "172.31.1.10", "replicas.0.ip_address", "is taken by lb1"),
        (("primary", "ip_address"), "172.30.1.20", "primary.ip_address", "outside the subnet"),
        (("ip_address",), "172.31.255.255", "ip_address", "is kept for"),
        (("ip_address",), "", "ip_address", "must be an IPv4 address"),
        (("primary",), None, "primary", "must be a mapping"),
        (("replicas",), [], "replicas", "at least one replica"),
        (("config", "max_pool"), 0, "config.max_pool", "from 1 to 10000"),
        (("config", "pool_size"), 1, "config.pool_size", "is not a setting"),
        (("port",), "19999", "port", "whole number"),
    ],
)
def test_what_could_not_run_is_refused_with_its_key_and_line(tmp_path, path, value, key, words):
    document = copy.deepcopy(SIMPLE)
    here = document["balancers"][0]
    for part in path[:-1]:
        here = here[part]
    here[path[-1]] = value
    with pytest.raises(ConfigError) as caught:
        load_cluster(written(tmp_path, document))
    assert caught.value.key == f"balancers.0.{key}"
    assert caught.value.line is not None
    assert (
        f'"{path[-1]}"'
        in (tmp_path / "pgbalancer_cluster.json").read_text().splitlines()[caught.value.line - 1]
    )
    assert words in caught.value.reason


@pytest.mark.parametrize("missing", ["primary", "replicas", "ip_address", "port"])
def test_a_missing_part_is_named_where_it_is_missing(tmp_path, missing):
    document = copy.deepcopy(SIMPLE)
    del document["balancers"][0][missing]
    with pytest.raises(ConfigError) as caught:
        load_cluster(written(tmp_path, document))
    assert (caught.value.key, caught.value.reason) == (f"balancers.0.{missing}", "is required")
    assert caught.value.line == 8


def test_a_cluster_without_balancers_or_with_too_long_a_name_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="at least one balancer"):
        load_cluster(written(tmp_path, {**SIMPLE, "balancers": []}))
    with pytest.raises(ConfigError, match="too long"):
        load_cluster(written(tmp_path, {**SIMPLE, "cluster_name": "x" * 60}))


def test_a_balancer_cluster_is_frozen(tmp_path):
    config = load_balancers(written(tmp_path, SIMPLE))
    assert isinstance(config, BalancerCluster)
    with pytest.raises(AttributeError):
        setattr(config, "cluster_name", "other")  # noqa: B010
