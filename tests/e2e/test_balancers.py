"""The cluster manager's nine steps, from outside: the simple file and the one with two balancers, as they are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from program import Done, outlast
from skips import needs

from outlast.pace import scaled
from outlast.systems.pgpool.rest import program as rest
from outlast.systems.pgpool.system import TOOLS
from outlast.systems.postgres.install import find

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SIMPLE, PRODUCTION = EXAMPLES / "pgbalancer_cluster_simple.json", EXAMPLES / "pgbalancer_cluster.json"

needs_pgpool = needs(*TOOLS)


def manager(*words: str) -> Done:
    done = subprocess.run(
        [sys.executable, "-m", "outlast.cli.balancers", *words],
        capture_output=True,
        text=True,
        timeout=scaled(180),
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def psql(port: int, passfile: str, sql: str, database: str = "testdb") -> str:
    """Ask a published port as anybody on this machine would."""
    conninfo = (
        f"host=localhost port={port} user=postgres dbname={database} passfile={passfile} connect_timeout=5"
    )
    done = subprocess.run(
        [find(None).program("psql"), "-XAt", conninfo, "-c", sql],
        capture_output=True,
        text=True,
        timeout=scaled(30),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def nine_steps(file: Path) -> None:
    document = json.loads(file.read_text())
    balancers = document["balancers"]
    # 1: the configuration is read, and says what is in it.
    read = manager("--status", "--config", str(file))
    assert read.code == 1, "nothing is up yet"
    assert f"Configuration loaded: {document['cluster_name']}" in read.out
    for one in balancers:
        assert f"- {one['name']}: 1 primary + {len(one['replicas'])} replicas" in read.out
    try:
        # 2: one command brings all of it up.
        init = manager("--init", "--config", str(file))
        assert init.code == 0, init.err
        # 3: the status of the last configuration.
        status = manager("status", "--json")
        assert status.code == 0, status.out + status.err
        for one, shown in zip(balancers, status.json["balancers"], strict=True):
            assert (shown["address"], shown["port"], shown["pcp_port"]) == (
                one["ip_address"],
                one["port"],
                one["pcp_port"],
            )
            assert shown["rest_port"] == (one["rest_api_port"] if rest.unavailable() is None else None)
            by_name = {node["name"]: node for node in shown["nodes"]}
            assert by_name[one["name"]]["address"] == one["ip_address"]
            assert by_name[one["name"]]["published_port"] == one["port"]
            assert by_name[one["primary"]["host"]]["role"] == "primary"
            for server in (one["primary"], *one["replicas"]):
                node = by_name[server["host"]]
                assert (node["address"], node["published_port"]) == (server["ip_address"], server["port"])
                assert node["healthy"], node
            passfile = outlast("credentials", "--lab", shown["lab"], "--json").json["passfile"]
            ports = [server["port"] for server in (one["primary"], *one["replicas"])]
            # 4 and 7: every server answers from outside, and the replicas are replicas.
            assert [psql(port, passfile, "SELECT pg_is_in_recovery()") for port in ports] == [
                "f",
                *["t"] * len(one["replicas"]),
            ]
            assert psql(one["port"], passfile, "SELECT 1") == "1", "through the balancer"
            for port in ports:
                # 5: the sample data are on every node.
                names = psql(port, passfile, "SELECT string_agg(username, ' ' ORDER BY id) FROM users")
                assert names == "alice bob charlie"
                bought = psql(
                    port, passfile, "SELECT string_agg(product || ' ' || price, ', ' ORDER BY id) FROM orders"
                )
                assert bought == "Laptop 999.99, Mouse 29.98, Keyboard 79.99"
                # 6: and so are the settings.
                for name, value in (
                    ("wal_level", "replica"),
                    ("max_wal_senders", "10"),
                    ("max_connections", "200"),
                ):
                    assert psql(port, passfile, f"SHOW {name}") == value
        assert (
            psql(
                balancers[0]["port"],
                outlast("credentials", "--lab", status.json["balancers"][0]["lab"], "--json").json[
                    "passfile"
                ],
                "SELECT rolreplication FROM pg_roles WHERE rolname = 'replicator'",
            )
            == "t"
        )
    finally:
        # 8: each removal is told.
        destroy = manager("--destroy")
    assert destroy.code == 0, destroy.err
    for one in balancers:
        for name in (one["name"], one["primary"]["host"], *(server["host"] for server in one["replicas"])):
            assert f"Removed: {name}" in destroy.out
    # 9: and nothing is left.
    assert "left behind: nothing" in destroy.out
    assert outlast("ls", "labs", "--json").json == {"labs": []}


@needs_pgpool
def test_the_nine_steps_for_the_simple_cluster() -> None:
    nine_steps(SIMPLE)


@pytest.mark.slow
@needs_pgpool
@pytest.mark.slow
def test_the_nine_steps_for_two_balancers() -> None:
    nine_steps(PRODUCTION)


@needs_pgpool
@pytest.mark.slow
def test_a_replica_joins_and_leaves() -> None:
    try:
        assert manager("init", "--config", str(SIMPLE)).code == 0
        added = manager("--add-replica", "replica3", "--json")
        assert added.code == 0, added.err
        assert added.json["node"]["state"] == "streaming"
        removed = manager("--remove-replica", "replica3", "--json")
        assert removed.code == 0, removed.err
        assert removed.json["nodes"] == ["primary1", "replica1", "replica2"]
        assert manager("status").code == 0
    finally:
        assert manager("destroy").code == 0


def spoiled(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Return the simple file with one thing of its balancer changed, or left out."""
    document: dict[str, Any] = json.loads(SIMPLE.read_text())
    place: Any = document["balancers"][0]
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return document


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("replicas", 0, "port"), 15432, "15432 is taken"),
        (("replicas", 1, "node_id"), 1, "node_id 1 is taken"),
        (("replicas", 0, "ip_address"), "10.0.0.1", "outside the subnet"),
        (("primary",), None, "primary"),
        (("replicas",), [], "at least one replica"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_made(
    path: tuple[Any, ...], value: Any, words: str, tmp_path: Path
) -> None:
    file = tmp_path / "cluster.json"
    file.write_text(json.dumps(spoiled(path, value)))
    done = manager("init", "--config", str(file))
    assert done.code == 64, done.err
    assert words in done.err
    assert "Traceback" not in done.err
    assert outlast("ls", "labs", "--json").json == {"labs": []}


def test_a_call_without_a_configuration_says_what_it_needs() -> None:
    done = manager("status")
    assert done.code == 64
    assert "--config" in done.err
    assert manager("--no-such-thing").code == 64
