"""raftlog and etcd as systems, from outside: up, status, switchover, down."""

from __future__ import annotations

import pytest
from program import holdfast

either = pytest.mark.parametrize("system", ["raftlog", "etcd"])


@either
def test_members_come_up_hand_over_and_go_without_a_trace(system: str) -> None:
    pytest.importorskip("kio", reason="the optional extra raftlog is not installed")
    up = holdfast("up", system, "--json")
    assert up.code == 0, up.err
    assert [node["role"] for node in up.json["nodes"]].count("primary") == 1
    try:
        shown = holdfast("status", "--json").json
        assert shown["ready"]
        assert {node["timeline"] for node in shown["nodes"]} == {shown["nodes"][0]["timeline"]}
        moved = holdfast("switchover", "--json")
        assert moved.code == 0, moved.err
        assert moved.json["primary"] != shown["primary"]
        refused = holdfast("psql", "-c", "select 1")
        assert refused.code == 64
        assert "no PostgreSQL" in refused.err
    finally:
        down = holdfast("down", "--json")
    assert down.json["residue"] == []
