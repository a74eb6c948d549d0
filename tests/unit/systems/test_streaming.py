"""Who may be promoted, who leads, and what a commit waits for, without a running server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from waiting import for_s, until_async

from outlast.clusters.system_registry import system as registered_system
from outlast.config import ClusterSpec, load_cluster
from outlast.errors import ClusterError, HostError
from outlast.systems.base import ClusterView, NodeView, OperatedByHand, Role
from outlast.systems.streaming import settings
from outlast.systems.streaming.cluster import StreamingCluster
from outlast.systems.streaming.leadership import Leadership, Record
from outlast.systems.streaming.operator import trouble
from outlast.systems.streaming.promotion import Held, choose, synchronous_standby_names


def test_the_standby_that_holds_most_is_promoted_and_priority_decides_between_equals() -> None:
    held = {"a": Held(1, 10), "b": Held(1, 20), "c": Held(1, 20)}
    assert choose(held, ("a", "b"), ("a", "b", "c"), None) == "b"
    assert choose(held, (), ("c", "b", "a"), None) == "c"


def test_a_standby_that_may_hold_acknowledged_writes_must_answer() -> None:
    with pytest.raises(ClusterError, match="b may hold acknowledged writes"):
        choose({"a": Held(1, 99)}, ("a", "b"), ("a", "b"), None)
    assert choose({"a": Held(1, 99)}, (), ("a", "b"), None) == "a"


def test_a_standby_that_lacks_acknowledged_writes_is_not_promoted_even_when_named() -> None:
    held = {"a": Held(1, 10), "b": Held(1, 20)}
    with pytest.raises(ClusterError, match="a lacks writes that were acknowledged: 10 bytes"):
        choose(held, ("a", "b"), ("a", "b"), "a")
    assert choose(held, (), ("a", "b"), "a") == "a"


def test_a_newer_timeline_holds_more_than_a_longer_old_one() -> None:
    assert choose({"a": Held(2, 10), "b": Held(1, 20)}, ("a", "b"), ("a", "b"), None) == "a"


def test_nobody_is_promoted_when_nobody_answers() -> None:
    with pytest.raises(ClusterError, match="no standby to promote"):
        choose({}, (), ("a",), None)
    with pytest.raises(ClusterError, match="x does not answer"):
        choose({"a": Held(1, 1)}, (), ("a",), "x")


@pytest.mark.parametrize(
    ("sync", "setting"),
    [
        ("off", ""),
        ("on", 'FIRST 1 ("pg-node-2", "pg-node-3")'),
        ("strict", 'FIRST 1 ("pg-node-2", "pg-node-3")'),
        ("quorum", 'ANY 1 ("pg-node-2", "pg-node-3")'),
    ],
)
def test_sync_is_said_in_the_servers_own_terms(sync: str, setting: str) -> None:
    spec = ClusterSpec(system="streaming", sync=sync)
    names = settings.eligible(spec, "pg-node-1")
    assert synchronous_standby_names(sync, names) == setting
    assert synchronous_standby_names(sync, ()) == ""


def test_commits_never_wait_for_a_node_that_only_serves_reads() -> None:
    nodes = ["a", "b", {"name": "c", "role": "read-only"}]
    spec = ClusterSpec(system="streaming", nodes=nodes)
    assert settings.eligible(spec, "a") == ("b",)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    leadership = Leadership(tmp_path)
    with pytest.raises(HostError, match="who leads"):
        leadership.read()
    leadership.write(Record("a", 3, ("b", "c")))
    assert leadership.read() == Record("a", 3, ("b", "c"))


async def _two_at_once(folder: Path) -> list[str]:
    seen: list[str] = []

    async def act(name: str) -> None:
        async with Leadership(folder).held():
            seen.append(f"{name} begins")
            await until_async(for_s(0.05), "the end of the act")
            seen.append(f"{name} ends")

    await asyncio.gather(act("one"), act("two"))
    return seen


def test_two_operators_do_not_act_at_once(tmp_path: Path) -> None:
    seen = asyncio.run(_two_at_once(tmp_path))
    assert [line.split()[1] for line in seen] == ["begins", "ends", "begins", "ends"]
    assert seen[0].split()[0] == seen[1].split()[0]


def _node(name: str, role: Role, state: str, lsn: int | None = 1) -> NodeView:
    return NodeView(name, role, "", 0, None, state, True, lsn=lsn)


@pytest.mark.parametrize(
    ("primary", "nodes", "sign"),
    [
        ("a", [_node("b", Role.STANDBY, "streaming"), _node("c", Role.STANDBY, "running")], ""),
        ("a", [_node("b", Role.STANDBY, "running")], "no standby streams from a"),
        ("a", [_node("b", Role.STANDBY, "unreachable", None)], ""),  # the standbys are lost, not the primary
        (None, [_node("b", Role.STANDBY, "running")], "a takes no writes"),
        ("b", [], "a takes no writes"),
    ],
)
def test_the_operator_knows_a_lost_primary_by_two_signs(
    primary: str | None, nodes: list[NodeView], sign: str
) -> None:
    assert trouble(ClusterView(False, primary, tuple(nodes)), "a") == sign


def test_a_cluster_without_a_manager_says_that_somebody_must_act() -> None:
    assert issubclass(StreamingCluster, OperatedByHand)
    spec = load_cluster("streaming", ["profile=fast"])
    assert settings.outage_model(spec).outage_s == 10
    assert "operator who looks every 1 s" in settings.outage_model(spec).reason


@pytest.mark.parametrize("system", ["streaming", "pgpool", "etcd"])
def test_a_watchdog_is_refused_where_no_manager_could_die(system: str) -> None:
    spec = load_cluster(system, ["watchdog=on"])
    assert "watchdog=off" in str(registered_system(system).illegal(spec))
