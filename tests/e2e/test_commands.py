"""The program from outside: what a person types, what it prints, how it exits."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from program import USERS, outlast

any_user = pytest.mark.parametrize("user", USERS)


@any_user
def test_a_cluster_comes_up_answers_and_goes_without_a_trace(user: str) -> None:
    up = outlast("up", "patroni", "--profile", "fast", "--json", user=user)
    assert up.code == 0, up.err
    assert up.json["system"] == "patroni"
    assert 0 < up.json["writable_s"] <= up.json["ready_s"]
    try:
        status = outlast("status", "--json", user=user)
        assert status.code == 0, status.err
        shown = status.json
        assert (shown["ready"], shown["primary"], shown["profile"]) == (True, "pg-node-1", "fast")
        roles = [node["role"] for node in shown["nodes"]]
        assert roles == ["primary", "standby", "standby", "dcs"]
        standbys = [node for node in shown["nodes"] if node["role"] == "standby"]
        assert all(node["state"] == "streaming" and node["slot_active"] for node in standbys)
        (sync,) = [node["name"] for node in standbys if node["sync"] == "sync"]
        for node in shown["nodes"][:3]:
            asked = outlast(
                "psql", "--node", node["name"], "-At", "-c", "select inet_server_addr()", user=user
            )
            assert asked.out.strip() == node["address"], asked.err
        wrote = outlast("psql", "-c", "create table t as select 1 as x", user=user)
        assert wrote.code == 0, wrote.err
        moved = outlast("switchover", "--to", sync, "--json", user=user)
        assert moved.code == 0, moved.err
        assert moved.json["primary"] == sync
        assert outlast("status", "--json", user=user).json["primary"] == sync
        lines = outlast("logs", "pg-node-3", "--json", user=user).json["logs"]
        assert any("pg-node-3" in line for log in lines for line in log["lines"])
        watched = outlast("status", "--watch", "--for", "0.5", user=user)
        assert watched.code == 0, watched.err
        assert f"{sync} primary running" in watched.out
        inside = outlast("exec", "pg-node-1", "hostname", user=user)
        assert (inside.code, inside.out) == (0, "pg-node-1\n")
    finally:
        down = outlast("down", "--json", user=user)
    assert down.code == 0, down.err
    assert down.json["residue"] == []
    assert [lab["lab"] for lab in down.json["labs"]] == ["patroni"]
    assert outlast("down", "--all", "--json", user=user).json == {"labs": [], "residue": []}


@pytest.mark.parametrize(
    "user", [USERS[0], *(pytest.param(one, marks=pytest.mark.slow) for one in USERS[1:])]
)
def test_a_drill_prints_its_verdict_and_can_be_reported_and_judged_again(user: str, tmp_path: Path) -> None:
    drill = tmp_path / "quick.yaml"
    drill.write_text(
        "workload: {append: {clients: 8, rate: 100/s}}\n"
        "timeline:\n  - {at: 1s, fault: process_kill, on: primary}\n"
        "duration: 5s\n"
    )
    report = tmp_path / "report.xml"
    words = ("--profile", "fast", "--seed", "5", "--json", "--junit", str(report))
    ran = outlast("drill", str(drill), *words, user=user)
    assert ran.code == 0, ran.err
    document = ran.json
    assert (document["verdict"], document["acked_lost"], document["replicas_equal"]) == ("pass", 0, True)
    assert document["replay"].endswith("--seed 5")
    suite = ElementTree.parse(report).getroot()[0]
    assert suite.get("failures") == suite.get("errors") == "0"
    assert [case.get("name") for case in suite.iter("testcase")] == [
        *(check["name"] for check in document["checks"]),
        "verdict",
    ]
    assert document["ops"]["ok"] == document["acked"] > 100
    store = document["store"]
    assert outlast("check", store, "--json", user=user).json["verdict"] == "pass"
    again = outlast("report", Path(store).name, "--json", user=user).json
    assert {key: again[key] for key in ("acked", "outage_s", "faults")} == {
        key: document[key] for key in ("acked", "outage_s", "faults")
    }
    told = outlast("report", store, user=user)
    assert told.out.startswith("PASS  quick on patroni")
    assert outlast("ls", "labs", "--json", user=user).json == {"labs": []}


def test_a_second_lab_of_the_same_name_is_refused() -> None:
    assert outlast("up", "patroni", "--profile", "fast", "--name", "one").code == 0
    try:
        again = outlast("up", "patroni", "--name", "one")
        assert again.code == 64
        assert "there is a lab one already" in again.err
        taken = outlast("status", "--lab", "one", "--json").json["nodes"][0]["published_port"]
        pinned = outlast("up", "patroni", "--name", "two", "--set", f"ports={{pg-node-1: {taken}}}")
        assert pinned.code == 64
        assert str(taken) in pinned.err
        assert outlast("ls", "labs", "--json").json == {"labs": [{"name": "one"}]}
    finally:
        assert outlast("down", "--lab", "one", "--json").json["residue"] == []
