"""Plain streaming replication on real servers: every way a primary moves leaves one writable node."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from outlast.clusters import lifecycle
from outlast.config import load_cluster
from outlast.errors import ClusterError
from outlast.systems.base import Role
from outlast.systems.streaming import failover
from outlast.systems.streaming.cluster import StreamingCluster
from outlast.systems.wait import wait_for, wait_until_ready


def on_a_cluster(
    work: Callable[[StreamingCluster], Awaitable[None]], state: Path, patch: pytest.MonkeyPatch
) -> None:
    """Run work on a fresh cluster whose removal leaves nothing."""
    patch.setenv("OUTLAST_STATE", str(state))

    async def run() -> None:
        spec = load_cluster("streaming", ["profile=fast"])
        async with lifecycle.temporary(spec, "streaming", lambda _words: None, keep=False) as up:
            assert isinstance(up.cluster, StreamingCluster)
            await work(up.cluster)

    asyncio.run(run())


async def writable(cluster: StreamingCluster) -> list[str]:
    return [node.name for node in (await cluster.view()).nodes if node.role is Role.PRIMARY]


def test_the_primary_moves_and_no_two_nodes_ever_take_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(cluster: StreamingCluster) -> None:
        assert await cluster.switchover("pg-node-2") == "pg-node-2"
        await wait_until_ready(cluster, 20)
        # A lost primary that comes back does so as a standby, with what only it had written taken back.
        await cluster.lab.hosts["pg-node-2"].plug(False)
        alone = cluster.server_config("pg-node-2").server
        await alone.ask("127.0.0.1", "SET synchronous_commit = local; CREATE TABLE only_here (x int)", 10)
        new = await failover.failover(cluster, None, comes_back=False)
        assert await writable(cluster) == [new]
        await cluster.lab.hosts["pg-node-2"].plug(True)
        await cluster.start_node("pg-node-2")
        await wait_until_ready(cluster, 20)
        assert await alone.ask("127.0.0.1", "SELECT to_regclass('only_here') IS NULL", 10) == "t"
        assert "pg_rewind says: pg_rewind: Done!" in (cluster.lab.folder / "operator.log").read_text()
        # With a standby silent that may hold the last acknowledged write, nobody is promoted.
        silent = next(node.name for node in cluster.spec.nodes if node.name != new)
        await cluster.lab.hosts[silent].power_off()
        with pytest.raises(ClusterError, match=f"{silent} may hold acknowledged writes"):
            await cluster.failover(None)
        assert await writable(cluster) == [new], "what is refused is refused before the primary is fenced"
        await cluster.lab.hosts[silent].power_on()
        await cluster.start_node(silent)
        await wait_until_ready(cluster, 20)

    on_a_cluster(work, tmp_path / "state", monkeypatch)


def test_a_server_that_cannot_be_rewound_is_copied_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(cluster: StreamingCluster) -> None:
        old = cluster.server_config("pg-node-1").server
        await cluster.lab.hosts["pg-node-1"].power_off()
        await failover.failover(cluster, "pg-node-3", comes_back=False)
        (old.data / "global/pg_control").unlink()
        await cluster.lab.hosts["pg-node-1"].power_on()
        await cluster.start_node("pg-node-1")
        await wait_until_ready(cluster, 30)
        assert (
            "pg-node-1 cannot be rewound, so it is copied anew"
            in (cluster.lab.folder / "operator.log").read_text()
        )

    on_a_cluster(work, tmp_path / "state", monkeypatch)


def test_the_operator_of_a_drill_acts_without_being_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(cluster: StreamingCluster) -> None:
        said: list[str] = []
        watch = asyncio.create_task(cluster.operate(said.append))
        await cluster.lab.hosts["pg-node-1"].power_off()

        async def unmet() -> str:
            there = await writable(cluster)
            return "" if len(there) == 1 and there != ["pg-node-1"] else f"{there} take writes"

        await wait_for(unmet, 20, "the operator to act")
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        assert any("has a standby promoted" in words for words in said)

    on_a_cluster(work, tmp_path / "state", monkeypatch)
