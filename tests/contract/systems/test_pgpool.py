"""A real Pgpool-II before real servers: it spreads reads, follows the primary, and never leads to two."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from labs import ODD_FOLDER, lab_up
from skips import needs
from waiting import for_s, until_async

from outlast.clusters import lifecycle
from outlast.clusters import operation as operate
from outlast.config import load_cluster
from outlast.systems.base import Role
from outlast.systems.pgpool.cluster import PgpoolCluster
from outlast.systems.pgpool.system import TOOLS
from outlast.systems.streaming.cluster import StreamingCluster
from outlast.systems.wait import wait_for, wait_until_ready

READS = 300
_COUNT = (
    "SELECT coalesce(seq_scan, 0) + coalesce(idx_scan, 0) FROM pg_stat_user_tables WHERE relname = 'read_me'"
)

needs_pgpool = needs(*TOOLS)


@pytest.fixture(scope="module")
def _state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    state = tmp_path_factory.mktemp("pgpool") / ODD_FOLDER
    with lab_up(state, "balanced", load_cluster("pgpool", ["profile=fast"])):
        yield state


@pytest.fixture
def cluster(_state: Path, monkeypatch: pytest.MonkeyPatch) -> PgpoolCluster:
    """A cluster that the tests of this file share."""
    monkeypatch.setenv("OUTLAST_STATE", str(_state))
    found = lifecycle.attach("balanced")
    assert isinstance(found, PgpoolCluster)
    return found


async def through(cluster: PgpoolCluster) -> psycopg.AsyncConnection[tuple[object, ...]]:
    """Connect through the balancer, as the application's user."""
    user = cluster.spec.user
    return await psycopg.AsyncConnection.connect(
        host="127.0.0.1",
        port=cluster.published(cluster.balancer.name),
        dbname=cluster.spec.database,
        user=user,
        password=cluster.credentials.password(user),
        autocommit=True,
    )


async def scans(cluster: PgpoolCluster) -> dict[str, int]:
    """Return how often each server itself says that the table was read."""
    found = {}
    for node in cluster.spec.nodes:
        connection = await cluster.connect(node.name, database=cluster.spec.database)
        async with connection:
            row = await (await connection.execute(_COUNT)).fetchone()
        found[node.name] = 0 if row is None else int(row[0])
    return found


@needs_pgpool
def test_reads_are_spread_over_the_servers_as_they_count_them_themselves(cluster: PgpoolCluster) -> None:
    async def work() -> None:
        connection = await through(cluster)
        async with connection:
            await connection.execute("CREATE TABLE read_me (x int)")
            await connection.execute("INSERT INTO read_me VALUES (1)")
        await wait_until_ready(cluster, 20)
        before = await scans(cluster)
        connection = await through(cluster)
        async with connection:
            for _ in range(READS):
                await connection.execute("SELECT x FROM read_me", prepare=False)
        total = 0
        counted: dict[str, int] = {}

        async def unmet() -> str:  # a backend tells its counts when its session ends, or once a second
            nonlocal total, counted
            now = await scans(cluster)
            counted = {name: now[name] - before.get(name, 0) for name in now}
            total = sum(counted.values())
            return "" if total >= READS else f"{counted}"

        await wait_for(unmet, 20, "the servers to have counted every read")
        assert min(counted.values()) >= READS / 10, counted

    asyncio.run(work())


async def detached(cluster: PgpoolCluster) -> list[str]:
    """Return the nodes to which the balancer leads nobody, as it says itself."""
    led_to = {one.address for one in await cluster.pcp.nodes() if one.attached}
    return [node.name for node in cluster.spec.nodes if node.address not in led_to]


@needs_pgpool
async def test_maintenance_and_reseed_return_once_the_balancer_leads_to_the_node_again(
    cluster: PgpoolCluster,
) -> None:
    await wait_until_ready(cluster, 30)
    standby = next(node.name for node in (await cluster.view()).nodes if node.role is Role.STANDBY)
    await operate.set_maintenance(cluster, standby, True, print)
    assert standby in await detached(cluster)
    await operate.set_maintenance(cluster, standby, False, print)
    assert await detached(cluster) == []
    assert (await cluster.view()).missing == ""
    await operate.reseed(cluster, standby, print)
    assert await detached(cluster) == []
    assert (await cluster.view()).missing == ""


@pytest.mark.slow
@needs_pgpool
async def test_a_node_joins_and_leaves_while_clients_write_through_the_balancer(
    cluster: PgpoolCluster,
) -> None:
    await wait_until_ready(cluster, 30)
    async with await through(cluster) as connection:
        await connection.execute("CREATE TABLE joined (x int)")
    acked = tried = 0

    async def write() -> None:
        """Pgpool-II ends sessions when a node is detached, so this connects again, as clients do."""
        nonlocal acked, tried
        while True:
            with contextlib.suppress(psycopg.Error, OSError):
                async with await through(cluster) as connection:
                    while True:
                        tried += 1
                        await connection.execute("INSERT INTO joined VALUES (1)", prepare=False)
                        acked += 1
            await until_async(for_s(0.05), "the next attempt")

    writing = asyncio.create_task(write())
    try:
        added = await operate.add_node(cluster, None, print)
        assert (added.state, added.assigned_state in ("up", "waiting")) == ("streaming", True)
        before = acked
        await operate.remove_node(cluster, added.name, print)

        async def unmet() -> str:
            return "" if acked > before > 0 else f"{acked} acknowledged, {before} before"

        await wait_for(unmet, 10, "clients to write again")
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    await wait_until_ready(cluster, 30)
    primary = await cluster.primary()
    assert primary is not None
    async with await cluster.connect(primary, database=cluster.spec.database) as asked:
        row = await (await asked.execute("SELECT count(*) FROM joined")).fetchone()
    assert row is not None
    assert acked <= row[0] <= tried


@needs_pgpool
def test_a_switchover_and_the_loss_of_a_server_leave_one_writable_node_behind_the_balancer(
    cluster: PgpoolCluster,
) -> None:
    async def work() -> None:
        assert await cluster.switchover("pg-node-3") == "pg-node-3"
        await wait_until_ready(cluster, 30)
        for pid in await cluster.server_pids("pg-node-3"):
            await cluster.lab.hosts["pg-node-3"].signal(9, pids=[pid])  # type: ignore[arg-type]

        async def unmet() -> str:
            primary = await cluster.primary()
            return "" if primary not in (None, "pg-node-3") else f"{primary} leads"

        await wait_for(unmet, 30, "Pgpool-II to fail over")
        await wait_until_ready(cluster, 60)
        view = await cluster.view()
        assert [node.name for node in view.nodes if node.role is Role.PRIMARY] == [view.primary]
        connection = await through(cluster)
        async with connection:
            await connection.execute("CREATE TABLE after_the_failover (x int)")
        assert all(node.assigned_state in ("up", "waiting") for node in view.nodes if node.lsn is not None)

    asyncio.run(work())


@needs_pgpool
@pytest.mark.slow
def test_a_primary_that_dies_while_a_standby_is_attached_is_replaced(cluster: PgpoolCluster) -> None:
    """Pgpool-II finds no primary then, and asks for a failover without naming one."""

    async def work() -> None:
        await wait_until_ready(cluster, 60)
        old = await cluster.primary()
        assert old is not None
        standby = next(node.name for node in cluster.spec.nodes if node.name != old)
        await cluster.pcp.detach(cluster.number(standby))

        async def detached() -> str:
            state = (await cluster.pcp.node(cluster.number(standby))).status
            return "" if state == "down" else f"{standby} is {state}"

        await wait_for(detached, 10, "the standby to be detached")
        for pid in await cluster.server_pids(old):
            await cluster.lab.hosts[old].signal(9, pids=[pid])  # type: ignore[arg-type]
        await cluster.pcp.attach(cluster.number(standby))

        async def unmet() -> str:
            return "" if await cluster.primary() not in (None, old) else "nobody new leads"

        await wait_for(unmet, 40, "Pgpool-II to fail over")
        await wait_until_ready(cluster, 60)

    asyncio.run(work())


def test_without_the_program_the_servers_come_up_and_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTLAST_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(
        "outlast.systems.pgpool.system.missing", lambda *_names: "pgpool is not installed (make systems)"
    )
    said: list[str] = []

    async def work() -> None:
        spec = load_cluster("pgpool", ["profile=fast"])
        async with lifecycle.temporary(spec, "bare", said.append, keep=False) as up:
            assert isinstance(up.cluster, StreamingCluster)
            assert (await up.cluster.view()).ready
            assert isinstance(lifecycle.attach("bare"), StreamingCluster)

    asyncio.run(work())
    assert any("left out: pgpool, because pgpool is not installed" in words for words in said)
