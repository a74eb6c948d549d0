"""What an operator does to a cluster that runs, from outside: a node more and less, reseed, maintenance, settings."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from program import Done, command, outlast
from skips import needs

from outlast.pace import scaled


@pytest.fixture
def lab() -> Iterator[str]:
    up = outlast("up", "patroni", "--profile", "fast", "--json")
    assert up.code == 0, up.err
    yield up.json["lab"]
    down = outlast("down", "--json")
    assert down.json["residue"] == [], down.err


def nodes() -> dict[str, dict[str, object]]:
    return {node["name"]: node for node in outlast("status", "--json").json["nodes"]}


def refused(done: Done, words: str, code: int = 1) -> None:
    assert (done.code, done.out) == (code, ""), (done.out, done.err)
    assert words in done.err
    assert "Traceback" not in done.err


def slots() -> set[str]:
    asked = outlast("psql", "--superuser", "-At", "-c", "select slot_name from pg_replication_slots")
    return set(asked.out.split())


def test_a_node_joins_under_load_holds_the_same_rows_and_leaves_without_a_trace(lab: str) -> None:
    load = subprocess.Popen(
        command("load", "append", "--lab", lab, "--duration", "8s", "--rate", "300/s", "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert load.stderr is not None
    assert any("load for" in line for line in load.stderr)  # read until the load has begun
    try:
        added = outlast("add-node", "--json")
        assert added.code == 0, added.err
        assert (added.json["node"]["name"], added.json["node"]["state"]) == ("pg-node-4", "streaming")
    finally:
        out, err = load.communicate(timeout=scaled(60))
    judged = Done(load.returncode, out, err)
    assert judged.code == 0, err
    assert (judged.json["acked_lost"], judged.json["replicas_equal"]) == (0, True)
    stored = (Path(judged.json["store"]) / "run.json").read_text()
    assert "pg-node-4" in stored  # the final read has looked at it too
    assert nodes()["pg-node-4"]["slot_active"] is True
    refused(outlast("add-node", "pg-node-4"), "there is a host pg-node-4 already", 64)
    taken = str(nodes()["pg-node-1"]["published_port"])
    refused(outlast("add-node", "pg-node-9", "--port", taken), f"port {taken} for pg-node-9", 64)
    refused(outlast("remove-node", "pg-node-1"), "is the primary")
    removed = outlast("remove-node", "pg-node-4", "--json")
    assert removed.code == 0, removed.err
    assert removed.json["nodes"] == ["pg-node-1", "pg-node-2", "pg-node-3"]
    shown = outlast("status", "--json").json
    assert shown["ready"]
    assert not {"pg-node-4", "pg-node-9"} & {node["name"] for node in shown["nodes"]}
    assert slots() == {"pg_node_2", "pg_node_3"}
    refused(outlast("remove-node", "pg-node-4"), "there is no node pg-node-4", 64)


@pytest.mark.slow
def test_a_damaged_standby_is_reseeded_and_the_primary_is_not(lab: str) -> None:
    refused(outlast("reseed", "pg-node-1"), "is the primary")
    refused(outlast("reseed", "pg-node-7"), "there is no node pg-node-7", 64)
    # Its server cannot start: the file that says what it is made of is gone.
    gone = "pkill -KILL -x patroni; pkill -KILL -x postgres; sleep 1; rm $0/data/global/pg_control"
    folder = outlast("logs", "pg-node-3", "--json").json["logs"][0]["path"].removesuffix("/log/patroni.log")
    outlast("exec", "pg-node-3", "sh", "-c", gone, folder)
    done = outlast("reseed", "pg-node-3", "--json")
    assert done.code == 0, done.err
    assert nodes()["pg-node-3"]["state"] == "streaming"


@pytest.mark.slow
def test_a_standby_in_maintenance_stays_stopped_and_comes_back(lab: str) -> None:
    refused(outlast("maintenance", "pg-node-1", "on"), "is the primary")
    assert outlast("maintenance", "pg-node-2", "on", "--json").json["maintenance"] is True
    shown = outlast("status", "--json").json
    assert shown["ready"]
    assert {node["name"]: node["state"] for node in shown["nodes"]}["pg-node-2"] == "maintenance"
    assert outlast("restart", "--json").json["restarted"] == ["pg-node-3", "pg-node-1"]
    assert outlast("heal", "--json").code == 0
    assert nodes()["pg-node-2"]["state"] == "maintenance"
    assert outlast("maintenance", "pg-node-2", "off", "--json").code == 0
    assert nodes()["pg-node-2"]["state"] == "streaming"


@pytest.mark.slow
def test_settings_change_on_every_node_and_go_back_when_one_does_not_take_them(lab: str) -> None:
    at_once = outlast("set", "work_mem=9MB", "--json")
    assert at_once.json["restarted"] == [], at_once.err
    rolled = outlast("set", "max_connections=120", "--json")
    assert rolled.json["restarted"] == ["pg-node-2", "pg-node-3", "pg-node-1"], rolled.err
    for node in ("pg-node-1", "pg-node-2", "pg-node-3"):
        asked = outlast("psql", "--node", node, "-At", "-c", "show work_mem", "-c", "show max_connections")
        assert asked.out.split() == ["9MB", "120"]
    refused(outlast("set", "work_mem=lots"), "invalid value", 64)
    refused(outlast("set", "wrok_mem=1MB"), "wrok_mem", 64)
    refused(outlast("set", "port=1"), "manager", 64)
    refused(outlast("set", "work_mem"), "NAME=VALUE", 64)
    refused(outlast("set", "shared_buffers=900GB"), "the old values are back")
    assert outlast("status", "--json").json["ready"]
    assert outlast("add-node", "late", "--json").code == 0
    asked = outlast("psql", "--node", "late", "-At", "-c", "show work_mem")
    assert asked.out.strip() == "9MB"


@pytest.mark.slow
@needs("pg_autoctl")
def test_pg_auto_failover_lets_nodes_go_whether_they_run_or_not() -> None:
    up = outlast("up", "pg_auto_failover", "--profile", "fast", "--set", "ports={}", "--set", "services=[]")
    assert up.code == 0, up.err
    try:
        assert outlast("remove-node", "postgres-replica2").code == 0
        assert slots() == {"pgautofailover_standby_2"}
        added = outlast("add-node", "--json")
        assert (added.code, added.json["node"]["state"]) == (0, "secondary"), added.err
        assert outlast("inject", "host_power_off", "--on", "postgres-replica1").code == 0
        assert outlast("remove-node", "postgres-replica1").code == 0
        assert "pgautofailover_standby_2" not in slots()
        refused(outlast("remove-node", "postgres-primary"), "is the primary")
        healed = outlast("heal", "--json")  # what was injected into a node that has gone needs no healing
        assert (healed.code, healed.json["failed"]) == (0, []), healed.err
        assert outlast("status", "--json").json["ready"]
    finally:
        assert outlast("down", "--json").json["residue"] == []
