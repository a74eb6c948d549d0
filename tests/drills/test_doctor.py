"""The doctor finds each trouble that it knows, provoked on a real cluster, and nothing on a healthy one."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator

import pytest

from outlast.clusters import cluster_checks as examinations
from outlast.clusters.cluster_checks import examine
from outlast.clusters.diagnosis import CheckState, Diagnosis
from outlast.hosts.netns.lab import NetnsLab
from outlast.systems.base import Cluster
from outlast.systems.patroni.cluster import PatroniCluster
from outlast.systems.wait import wait_for, wait_until_ready

pytestmark = pytest.mark.lab


@contextlib.asynccontextmanager
async def restored(cluster: Cluster) -> AsyncIterator[PatroniCluster]:
    """Give a whole cluster to provoke something on, and wait until it is whole again."""
    assert isinstance(cluster, PatroniCluster)
    await wait_until_ready(cluster, 60)
    try:
        yield cluster
    finally:
        await wait_until_ready(cluster, 60)


async def trouble(cluster: Cluster, check: str, words: str) -> Diagnosis:
    """Wait until the doctor finds it: what was provoked takes a moment to show."""
    found: list[Diagnosis] = []

    async def missing() -> str:
        found[:] = [one for one in await examine(cluster) if one.state is not CheckState.OK]
        return "" if any(one.check == check and words in one.said for one in found) else str(found)

    await wait_for(missing, 40, f"{check}: {words}")
    one = next(one for one in found if one.check == check and words in one.said)
    assert one.remedy
    return one


async def standby_of(cluster: Cluster) -> str:
    view = await cluster.view()
    return next(node.name for node in view.nodes if node.role == "standby")


async def test_a_healthy_cluster_has_nothing(cluster: Cluster) -> None:
    async with restored(cluster):
        assert [one for one in await examine(cluster) if one.state is not CheckState.OK] == []


async def test_a_node_that_does_not_run_is_named_with_its_last_words(cluster: Cluster) -> None:
    async with restored(cluster) as up:
        node = await standby_of(up)
        host = up.lab.hosts[node]
        (manager,) = await up.process_ids(node, "patroni")
        await host.signal(signal.SIGKILL, pids=[manager])
        await host.signal(signal.SIGKILL, pids=await up.process_ids(node, "postgres"))
        one = await trouble(up, "nodes run", node)
        assert f"--- postgresql on {node}" in one.said
        await up.start_node(node)


async def test_a_node_that_is_off_is_said_to_be_off(cluster: Cluster) -> None:
    async with restored(cluster) as up:
        node = await standby_of(up)
        await up.lab.hosts[node].power_off()
        await trouble(up, "nodes run", f"the host of {node} is off")
        await up.lab.hosts[node].power_on()
        await up.start_node(node)


async def test_a_store_without_quorum_and_a_failover_that_cannot_happen_are_found(cluster: Cluster) -> None:
    async with restored(cluster) as up:
        member = up.spec.dcs[0].name
        await up.lab.hosts[member].signal(signal.SIGSTOP, pids=await up.process_ids(member, "etcd"))
        try:
            await trouble(up, "consensus store", "no quorum: 0 of 1 members answer")
            await trouble(up, "leader and failover", "the consensus store does not answer")
        finally:
            await up.lab.hosts[member].signal(signal.SIGCONT, pids=await up.process_ids(member, "etcd"))


async def test_a_paused_manager_makes_a_failover_impossible(cluster: Cluster) -> None:
    async with restored(cluster) as up:
        primary = await up.primary()
        assert primary is not None
        await up.rest(primary, "PATCH", "/config", {"pause": True})
        try:
            await trouble(up, "leader and failover", "Patroni is paused")
        finally:
            await up.rest(primary, "PATCH", "/config", {"pause": None})


async def test_a_stalled_replication_is_found(cluster: Cluster) -> None:
    async with restored(cluster) as up:
        node, primary = await standby_of(up), await up.primary()
        assert primary is not None
        connection = await up.connect(node)
        async with connection:
            query = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'"
            row = await (await connection.execute(query)).fetchone()
        assert row is not None
        await up.lab.hosts[node].signal(signal.SIGSTOP, pids=[row[0]])
        try:
            connection = await up.connect(primary, timeout_s=20)
            async with connection:
                await connection.execute(
                    "CREATE TABLE stalled AS SELECT repeat('x', 100) FROM generate_series(1, 30000)"
                )
                await trouble(up, "replication", "bytes behind and does not move")
                await connection.execute("DROP TABLE stalled")
        finally:
            await up.lab.hosts[node].signal(signal.SIGCONT, pids=[row[0]])


async def test_rows_that_one_node_holds_otherwise_are_found(cluster: Cluster) -> None:
    """The block of a table is overwritten on a standby with that of an older state: no checksum can tell."""
    async with restored(cluster) as up:
        primary = await up.primary()
        assert primary is not None
        connection = await up.connect(primary, database=up.spec.database)
        async with connection:
            await connection.execute("CREATE TABLE doctored AS SELECT 1 AS x")
            row = await (await connection.execute("SELECT pg_relation_filepath('doctored')")).fetchone()
            await connection.execute("CHECKPOINT")
        assert row is not None
        node = await standby_of(up)
        await _rewrite(up, node, row[0])
        try:
            await trouble(
                up, "same data", f"{node} holds other rows than {primary}: {up.spec.database}.public.doctored"
            )
        finally:
            connection = await up.connect(primary, database=up.spec.database)
            async with connection:
                await connection.execute("DROP TABLE doctored")


async def _rewrite(up: PatroniCluster, node: str, path: str) -> None:
    """Empty a table's file below a stopped standby; start it again."""
    host = up.lab.hosts[node]
    await until_settled(up, node)
    (manager,) = await up.process_ids(node, "patroni")
    await host.signal(signal.SIGKILL, pids=[manager])
    masters = await up.process_ids(node, "postgres")
    await host.signal(signal.SIGINT, pids=masters[:1])

    async def running() -> str:
        return "it still runs" if await up.process_ids(node, "postgres") else ""

    await wait_for(running, 20, "the standby to stop")
    file = host.folder / "data" / path
    file.write_bytes(b"\0" * file.stat().st_size)
    await up.start_node(node)
    await wait_until_ready(up, 60)


async def until_settled(up: PatroniCluster, node: str) -> None:
    """Make the standby's restart point as new as the primary's checkpoint, so that nothing is replayed again."""
    connection = await up.connect(node, timeout_s=20)
    async with connection:
        await connection.execute("CHECKPOINT")


async def test_a_published_port_that_another_program_holds_is_found(cluster: Cluster) -> None:
    async with restored(cluster) as up:
        lab = up.lab
        assert isinstance(lab, NetnsLab)
        port = next(iter(lab.published.values()))
        await lab.unpublish(port.name)
        try:
            with socket.create_server(("127.0.0.1", port.port)):
                lab.published[port.name] = port
                one = await trouble(up, "port conflict", f"port {port.port} of {port.name}")
                assert f"pid {os.getpid()}" in one.said
        finally:
            lab.published.pop(port.name, None)
            await lab.publish(port.name, port.address, port.target_port, port.port)


async def test_a_full_disk_is_found(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    # What it takes to be full is moved; tests/e2e/test_bad_days.py fills a real one.
    free = shutil.disk_usage(cluster.lab.folder).free
    monkeypatch.setattr(examinations, "DISK_BYTES_MIN", free * 2)
    async with restored(cluster) as up:
        await trouble(up, "disk full", "is full")
