"""What an operator does to a pg_auto_failover cluster that runs: settings, reseed, maintenance, a node more or less.

The monitor does what it has a word for. It has none for a copy made anew: the node is dropped and registered again.
Source: pg_auto_failover documentation, "Operating pg_auto_failover".
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

import psycopg

from outlast.clock import now_ns, seconds_between
from outlast.config.cluster import NodeSpec, without_node
from outlast.errors import ClusterError
from outlast.hosts.base import Host
from outlast.systems import credentials
from outlast.systems.pg_auto_failover import keeper, settings
from outlast.systems.postgres.server import PostgresServer
from outlast.systems.postgres.settings import POSTGRES_PORT
from outlast.systems.postgres.views import Connection, slot_names
from outlast.systems.wait import wait_for, wait_for_with_logs

if TYPE_CHECKING:
    from outlast.systems.pg_auto_failover.cluster import PgAutoFailoverCluster

STOP_TIMEOUT_S: Final = 60.0
COPY_TIMEOUT_S: Final = 900.0
MAINTENANCE_TIMEOUT_S: Final = 60.0
SLOT_TIMEOUT_S: Final = 10.0
SETTINGS_TIMEOUT_S: Final = 60.0
NUDGE_S: Final = 1.0
OUT: Final = frozenset(("maintenance", "prepare_maintenance", "wait_maintenance"))
"""The monitor's words for a node that is out, or on its way."""


async def set_parameters(cluster: PgAutoFailoverCluster, parameters: Mapping[str, str]) -> None:
    """Write parameters to every node's own file and have the servers read it."""
    for node in cluster.spec.nodes:
        host = cluster.lab.hosts[node.name]
        known = {**cluster.spec.postgresql.parameters, **parameters}
        await host.put(settings.NODE_CONF, settings.node_conf(node, known).encode())
        with contextlib.suppress(psycopg.Error, OSError, TimeoutError):  # it reads the file when it starts
            async with await cluster.connect(node.name) as connection:
                await connection.execute("SELECT pg_reload_conf()")


async def set_sync(cluster: PgAutoFailoverCluster) -> None:
    """Set number-sync-standbys; the monitor refuses while the primary applies other settings."""
    if len(cluster.spec.nodes) < 3:
        return  # with fewer than two standbys it is 0 and can be nothing else
    wanted = settings.number_sync_standbys(cluster.spec)

    async def refused() -> str:
        try:
            await cluster.monitor.ask("set_formation_number_sync_standbys", settings.FORMATION, wanted)
        except ClusterError as error:
            return error.message
        return ""

    await wait_for(refused, SETTINGS_TIMEOUT_S, f"number-sync-standbys {wanted}")


async def reseed(cluster: PgAutoFailoverCluster, node: str) -> None:
    """Drop a standby, remove its data, and register it again: pg_autoctl then makes a base backup."""
    host = await _standby(cluster, node, "reseeded")
    if node in await cluster.in_maintenance():
        raise ClusterError(f"{node} is in maintenance", hint=f"outlast maintenance {node} off")
    await _drop(cluster, node)
    for place in ("data", "backup", "home"):
        await asyncio.to_thread(shutil.rmtree, host.folder / place, True)
    await _join(cluster, next(one for one in cluster.spec.nodes if one.name == node))


async def add_node(cluster: PgAutoFailoverCluster, node: NodeSpec) -> None:
    """Make a host for a node and have pg_autoctl copy the primary to it."""
    lab = cluster.lab
    host = lab.hosts.get(node.name) or await lab.add_host(node.name, node.address)
    await host.put(credentials.PASSFILE, cluster.credentials.passfile.read_bytes())
    conf = settings.node_conf(node, cluster.spec.postgresql.parameters)
    await host.put(settings.NODE_CONF, conf.encode())
    if node.name not in lab.published:
        await lab.publish(node.name, node.address, POSTGRES_PORT, node.port)
    await _join(cluster, node)


async def remove_node(cluster: PgAutoFailoverCluster, node: str) -> None:
    """Stop a node in order, have the monitor and the primary forget it, and remove its host."""
    spec = cluster.spec
    if node in cluster.lab.hosts:
        await _standby(cluster, node, "removed", must_be_on=False)
        if spec.sync in ("strict", "quorum") and len(spec.nodes) <= 3:
            raise ClusterError(
                f"{node} cannot go: sync={spec.sync} needs two standbys", hint="outlast add-node first"
            )
        node_id = await _drop(cluster, node)
        await cluster.lab.remove_host(node)
        if node_id is not None:
            await _forget_slot(cluster, f"pgautofailover_standby_{node_id}")
    primary = await cluster.primary()
    left = [one.name for one in spec.nodes if one.name != node]
    cluster.spec = without_node(spec, node, primary or left[0])


async def set_maintenance(cluster: PgAutoFailoverCluster, node: str, on: bool) -> None:
    """Have the monitor take a standby out and stop its server, or have it join again."""
    if on:
        await _standby(cluster, node, "taken out")
    row = next((row for row in await cluster.rows() or () if row.name == node), None)
    if row is None:
        raise ClusterError(
            f"the monitor {cluster.monitor.name} does not answer, or does not know {node}",
            hint="outlast doctor --lab",
        )
    await cluster.monitor.ask("start_maintenance" if on else "stop_maintenance", row.node_id)

    async def not_out() -> str:
        rows = {one.name: one.state for one in await cluster.rows() or ()}
        return "" if rows.get(node) == "maintenance" else f"the monitor says {rows.get(node)}"

    if on:
        await wait_for_with_logs(not_out, MAINTENANCE_TIMEOUT_S, f"{node} to go out", cluster, [node])
        # Its keeper lets go of the server, and leaves what is to be done with it to whoever asked.
        _program, install = keeper.find(cluster.spec.version)
        await PostgresServer(cluster.lab.hosts[node], install).stop(STOP_TIMEOUT_S)
    else:
        await _until_streams(cluster, node)


async def _join(cluster: PgAutoFailoverCluster, node: NodeSpec) -> None:
    """Register a node without data and wait until it streams."""
    host = cluster.lab.hosts[node.name]
    await keeper.start(cluster.spec, host, keeper.node_words(cluster.spec, node, host))
    await _until_streams(cluster, node.name)
    await keeper.set_time_outs(cluster.spec, host)
    await set_sync(cluster)  # the monitor raises it by itself when a second standby joins


async def _until_streams(cluster: PgAutoFailoverCluster, node: str) -> None:
    """Wait until a node streams. Its base backup waits for a checkpoint that takes its time unless it is asked for."""
    nudged = now_ns()

    async def unmet() -> str:
        nonlocal nudged
        view = await cluster.view()
        shown = view.node(node)
        if shown.state == "secondary" and shown.healthy:
            return ""
        if view.primary is not None and seconds_between(nudged, now_ns()) > NUDGE_S:
            with contextlib.suppress(psycopg.Error, OSError, TimeoutError):
                async with await cluster.connect(view.primary, timeout_s=STOP_TIMEOUT_S) as connection:
                    await connection.execute("CHECKPOINT")
            nudged = now_ns()
        return f"it is {shown.state}"

    await wait_for_with_logs(unmet, COPY_TIMEOUT_S, f"{node} to stream", cluster, [node])


async def _standby(cluster: PgAutoFailoverCluster, node: str, what: str, *, must_be_on: bool = True) -> Host:
    """Return a node's host. Raises ClusterError when the node is the primary, or there is none to follow."""
    view = await cluster.view()
    if await cluster.rows() is None:
        raise ClusterError(
            f"the monitor {cluster.monitor.name} does not answer, so {node} cannot be {what}",
            hint="outlast heal",
        )
    return cluster.standby_host(node, what, view.primary, *view.primaries, must_be_on=must_be_on)


async def _drop(cluster: PgAutoFailoverCluster, node: str) -> int | None:
    """Stop pg_autoctl on a node and have the monitor forget the node; returns the id it had there."""
    row = next((row for row in await cluster.rows() or () if row.name == node), None)
    if cluster.lab.hosts[node].is_on:
        await cluster.end_processes(node, keeper.PROCESS, cluster.process_names(node), STOP_TIMEOUT_S)
    if row is None:
        return None
    await cluster.monitor.ask("remove_node", row.node_id, True)
    return row.node_id


async def _forget_slot(cluster: PgAutoFailoverCluster, slot: str) -> None:
    """Have the slot of a node that has left go: keepers drop it by themselves, and we do where they do not.

    A node that does not answer has its keeper drop it once it is back.
    """
    for node in cluster.spec.nodes:
        host = cluster.lab.hosts.get(node.name)
        if host is None or not host.is_on:
            continue
        with contextlib.suppress(psycopg.OperationalError, OSError, TimeoutError, ClusterError):
            connection = await cluster.connect(node.name)
            async with connection:
                await wait_for(partial(_holds, connection, slot), SLOT_TIMEOUT_S, "the slot to go")
        with contextlib.suppress(psycopg.Error, OSError, TimeoutError):
            async with await cluster.connect(node.name) as connection:
                if await _holds(connection, slot):
                    await connection.execute("SELECT pg_drop_replication_slot(%s)", (slot,))


async def _holds(connection: Connection, slot: str) -> str:
    return f"{slot} is there" if slot in await slot_names(connection) else ""
