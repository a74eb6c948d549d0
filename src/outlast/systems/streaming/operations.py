"""What is done to servers that follow a recorded primary: settings, reseed, maintenance, a node more or less."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import psycopg

from outlast.config.cluster import NodeSpec, without_node
from outlast.errors import ClusterError
from outlast.hosts.base import Host
from outlast.systems import credentials, maintenance
from outlast.systems.postgres import standby_server
from outlast.systems.postgres.settings import POSTGRES_PORT
from outlast.systems.streaming import settings
from outlast.systems.streaming.leadership import Record
from outlast.systems.streaming.promotion import synchronous_standby_names
from outlast.systems.wait import wait_for

if TYPE_CHECKING:
    from outlast.systems.streaming.cluster import FollowingCluster

SHOW_TIMEOUT_S: Final = 10.0
STREAM_TIMEOUT_S: Final = 60.0
_DROP_SLOT: Final = (
    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s AND NOT active"
)


async def set_waits_for(cluster: FollowingCluster, wanted: Sequence[str]) -> None:
    """Have commits on the primary wait for one of wanted; the leadership's lock is held.

    The record always names at least those that the primary waits for: a name is added to it first, and taken off it
    last. Raises ClusterError when the primary does not take the setting.
    """
    record = cluster.leadership.read()
    if cluster.spec.sync == "off" or tuple(wanted) == record.waits_for:
        return
    both = tuple(dict.fromkeys((*record.waits_for, *wanted)))
    cluster.leadership.write(Record(record.primary, record.term, both))
    config = cluster.server_config(record.primary, wanted)
    await standby_server.configure(config, None)
    await config.server.reload()
    setting = synchronous_standby_names(cluster.spec.sync, wanted)

    async def unmet() -> str:
        try:
            connection = await cluster.connect(record.primary)
            async with connection:
                row = await (await connection.execute("SHOW synchronous_standby_names")).fetchone()
        except (psycopg.Error, OSError, TimeoutError) as error:
            return str(error)
        return "" if row is not None and row[0] == setting else f"it says {row}"

    await wait_for(unmet, SHOW_TIMEOUT_S, f"{record.primary} to take its list of standbys")
    cluster.leadership.write(Record(record.primary, record.term, tuple(wanted)))
    cluster.say(f"commits on {record.primary} wait for {setting or 'nobody'}")


async def set_parameters(cluster: FollowingCluster, parameters: Mapping[str, str]) -> None:
    """Write every running server's files anew with these parameters and have it read them."""
    kept = {**cluster.spec.postgresql.parameters, **parameters}
    cluster.spec = replace(cluster.spec, postgresql=replace(cluster.spec.postgresql, parameters=kept))
    async with cluster.leadership.held():
        record = cluster.leadership.read()
        for node in cluster.spec.nodes:
            leads = node.name == record.primary
            config = cluster.server_config(node.name, record.waits_for if leads else None)
            if not cluster.lab.hosts[node.name].is_on or not await config.server.pids():
                continue  # it gets its files before it starts
            await standby_server.configure(config, None if leads else cluster.address(record.primary))
            await config.server.reload()


async def reseed(cluster: FollowingCluster, node: str) -> None:
    """Throw a standby's data away and copy the primary's anew."""
    host = await _standby(cluster, node, "reseeded")
    if maintenance.is_out(host):
        raise ClusterError(f"{node} is in maintenance", hint=f"outlast maintenance {node} off")
    primary = cluster.leadership.read().primary
    await standby_server.reseed(cluster.server_config(node), cluster.address(primary), cluster.say)
    await _until_streams(cluster, node)


async def add_node(cluster: FollowingCluster, node: NodeSpec) -> None:
    """Make a host for a node, copy the primary to it, and have it follow; commits may wait for it from then on."""
    lab = cluster.lab
    host = lab.hosts.get(node.name) or await lab.add_host(node.name, node.address, power=False)
    await host.put(credentials.PASSFILE, cluster.credentials.passfile.read_bytes())
    if not host.is_on:
        await host.power_on()
    if node.name not in lab.published:
        await lab.publish(node.name, node.address, POSTGRES_PORT, node.port)
    primary = cluster.leadership.read().primary
    await standby_server.reseed(cluster.server_config(node.name), cluster.address(primary), cluster.say)
    await _until_streams(cluster, node.name)
    async with cluster.leadership.held():
        record = cluster.leadership.read()
        if node.name in settings.eligible(cluster.spec, record.primary):
            await set_waits_for(cluster, tuple(dict.fromkeys((*record.waits_for, node.name))))


async def remove_node(cluster: FollowingCluster, node: str) -> None:
    """Have nobody wait for a standby, stop it, drop its slot, and remove its host."""
    spec = cluster.spec
    if node in cluster.lab.hosts:
        host = await _standby(cluster, node, "removed", must_be_on=False)
        async with cluster.leadership.held():
            record = cluster.leadership.read()
            left = [name for name in record.waits_for if name != node]
            if record.waits_for and not left and spec.sync != "on":
                raise ClusterError(
                    f"{node} is the last standby, and sync={spec.sync} refuses writes without one",
                    hint="outlast add-node first",
                )
            await set_waits_for(cluster, left)
        config = cluster.server_config(node)
        if host.is_on and await config.server.pids():
            await config.server.stop(standby_server.STOP_TIMEOUT_S)
        await cluster.lab.remove_host(node)
    primary = cluster.leadership.read().primary
    connection = await cluster.connect(primary)
    async with connection:
        await connection.execute(_DROP_SLOT, (standby_server.slot_name(node),))
    cluster.spec = without_node(spec, node, primary)


async def set_maintenance(cluster: FollowingCluster, node: str, on: bool) -> None:
    """Stop a standby in order and keep it out, or start it and wait until it streams."""
    host = cluster.lab.hosts[node]
    if on:
        await _standby(cluster, node, "taken out")
        await maintenance.take_out(host)
        config = cluster.server_config(node)
        if await config.server.pids():
            await config.server.stop(standby_server.STOP_TIMEOUT_S)
        return
    if not host.is_on:
        raise ClusterError(f"the host of {node} is off", hint="outlast heal")
    maintenance.put_back(host)
    await cluster.start_node(node)
    await _until_streams(cluster, node)


async def _standby(cluster: FollowingCluster, node: str, what: str, *, must_be_on: bool = True) -> Host:
    """Return a standby's host. Raises ClusterError for the primary, and while there is none."""
    recorded = cluster.leadership.read().primary
    return cluster.standby_host(node, what, await cluster.primary(), recorded, must_be_on=must_be_on)


async def _until_streams(cluster: FollowingCluster, node: str) -> None:
    async def unmet() -> str:
        shown = await cluster.look_inside(cluster.leadership.read().primary)
        state = next((one.state for one in shown[1] if one.name == node), "not known")
        return "" if state == "streaming" else f"it is {state}"

    await wait_for(unmet, STREAM_TIMEOUT_S, f"{node} to stream")
