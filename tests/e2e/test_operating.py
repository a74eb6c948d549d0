"""What an operator does to a cluster that runs, from outside: a node more and less, reseed, maintenance, settings."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from program import Done, command, holdfast

from holdfast.systems.programs import missing


@pytest.fixture
def lab() -> Iterator[str]:
    up = holdfast("up", "patroni", "--profile", "fast", "--json")
    assert up.code == 0, up.err
    yield up.json["lab"]
    down = holdfast("down", "--json")
    assert down.json["residue"] == [], down.err


def nodes() -> dict[str, dict[str, object]]:
    return {node["name"]: node for node in holdfast("status", "--json").json["nodes"]}


def refused(done: Done, words: str, code: int = 1) -> None:
    assert (done.code, done.out) == (code, ""), (done.out, done.err)
    assert words in done.err
    assert "Traceback" not in done.err


def slots() -> set[str]:
    asked = holdfast("psql", "--superuser", "-At", "-c", "select slot_name from pg_replication_slots")
    return set(asked.out.split())


def test_a_node_joins_under_load_holds_the_same_rows_and_leaves_without_a_trace(lab: str) -> None:
    load = subprocess.Popen(
        command("load", "append", "--lab", lab, "--duration", "8s", "--rate", "300/s", "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        added = holdfast("add-node", "--json")
        assert added.code == 0, added.err
        assert (added.json["node"]["name"], added.json["node"]["state"]) == ("pg-node-4", "streaming")
    finally:
        out, err = load.communicate(timeout=60)
    judged = Done(load.returncode, out, err)
    assert judged.code == 0, err
    assert (judged.json["acked_lost"], judged.json["replicas_equal"]) == (0, True)
    stored = (Path(judged.json["store"]) / "run.json").read_text()
    assert "pg-node-4" in stored  # the final read has looked at it too
    assert nodes()["pg-node-4"]["slot_active"] is True
    refused(holdfast("add-node", "pg-node-4"), "there is a host pg-node-4 already", 64)
    taken = str(nodes()["pg-node-1"]["published_port"])
    refused(holdfast("add-node", "pg-node-9", "--port", taken), f"port {taken} for pg-node-9", 64)
    refused(holdfast("remove-node", "pg-node-1"), "is the primary")
    removed = holdfast("remove-node", "pg-node-4", "--json")
    assert removed.code == 0, removed.err
    assert removed.json["nodes"] == ["pg-node-1", "pg-node-2", "pg-node-3"]
    shown = holdfast("status", "--json").json
    assert shown["ready"]
    assert not {"pg-node-4", "pg-node-9"} & {node["name"] for node in shown["nodes"]}
    assert slots() == {"pg_node_2", "pg_node_3"}
    refused(holdfast("remove-node", "pg-node-4"), "there is no node pg-node-4", 64)


@pytest.mark.slow
def test_a_damaged_standby_is_reseeded_and_the_primary_is_not(lab: str) -> None:
    refused(holdfast("reseed", "pg-node-1"), "is the primary")
    refused(holdfast("reseed", "pg-node-7"), "there is no node pg-node-7", 64)
    # Its server cannot start: the file that says what it is made of is gone.
    gone = "pkill -KILL -x patroni; pkill -KILL -x postgres; sleep 1; rm $0/data/global/pg_control"
    folder = holdfast("logs", "pg-node-3", "--json").json["logs"][0]["path"].removesuffix("/log/patroni.log")
    holdfast("exec", "pg-node-3", "sh", "-c", gone, folder)
    done = holdfast("reseed", "pg-node-3", "--json")
    assert done.code == 0, done.err
    assert nodes()["pg-node-3"]["state"] == "streaming"


@pytest.mark.slow
def test_a_standby_in_maintenance_stays_stopped_and_comes_back(lab: str) -> None:
    refused(holdfast("maintenance", "pg-node-1", "on"), "is the primary")
    assert holdfast("maintenance", "pg-node-2", "on", "--json").json["maintenance"] is True
    shown = holdfast("status", "--json").json
    assert shown["ready"]
    assert {node["name"]: node["state"] for node in shown["nodes"]}["pg-node-2"] == "maintenance"
    assert holdfast("restart", "--json").json["restarted"] == ["pg-node-3", "pg-node-1"]
    assert holdfast("heal", "--json").code == 0
    assert nodes()["pg-node-2"]["state"] == "maintenance"
    assert holdfast("maintenance", "pg-node-2", "off", "--json").code == 0
    assert nodes()["pg-node-2"]["state"] == "streaming"


@pytest.mark.slow
def test_settings_change_on_every_node_and_go_back_when_one_does_not_take_them(lab: str) -> None:
    at_once = holdfast("set", "work_mem=9MB", "--json")
    assert at_once.json["restarted"] == [], at_once.err
    rolled = holdfast("set", "max_connections=120", "--json")
    assert rolled.json["restarted"] == ["pg-node-2", "pg-node-3", "pg-node-1"], rolled.err
    for node in ("pg-node-1", "pg-node-2", "pg-node-3"):
        asked = holdfast("psql", "--node", node, "-At", "-c", "show work_mem", "-c", "show max_connections")
        assert asked.out.split() == ["9MB", "120"]
    refused(holdfast("set", "work_mem=lots"), "invalid value", 64)
    refused(holdfast("set", "wrok_mem=1MB"), "wrok_mem", 64)
    refused(holdfast("set", "port=1"), "manager", 64)
    refused(holdfast("set", "work_mem"), "NAME=VALUE", 64)
    refused(holdfast("set", "shared_buffers=900GB"), "the old values are back")
    assert holdfast("status", "--json").json["ready"]
    assert holdfast("add-node", "late", "--json").code == 0
    asked = holdfast("psql", "--node", "late", "-At", "-c", "show work_mem")
    assert asked.out.strip() == "9MB"


@pytest.mark.slow
@pytest.mark.skipif(missing("pg_autoctl") is not None, reason=str(missing("pg_autoctl")))
def test_pg_auto_failover_lets_nodes_go_whether_they_run_or_not() -> None:
    up = holdfast("up", "pg_auto_failover", "--profile", "fast", "--set", "ports={}", "--set", "services=[]")
    assert up.code == 0, up.err
    try:
        assert holdfast("remove-node", "postgres-replica2").code == 0
        assert slots() == {"pgautofailover_standby_2"}
        added = holdfast("add-node", "--json")
        assert (added.code, added.json["node"]["state"]) == (0, "secondary"), added.err
        assert holdfast("inject", "host_power_off", "--on", "postgres-replica1").code == 0
        assert holdfast("remove-node", "postgres-replica1").code == 0
        assert "pgautofailover_standby_2" not in slots()
        refused(holdfast("remove-node", "postgres-primary"), "is the primary")
        healed = holdfast("heal", "--json")  # what was injected into a node that has gone needs no healing
        assert (healed.code, healed.json["failed"]) == (0, []), healed.err
        assert holdfast("status", "--json").json["ready"]
    finally:
        assert holdfast("down", "--json").json["residue"] == []
