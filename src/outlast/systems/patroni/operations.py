"""What an operator does to a Patroni cluster while it runs: settings, reseed, maintenance, a node more or less.

Each asks Patroni where Patroni has a word for it. It has none for a node that leaves for good: its member key would
stay until its lease ends, and its slot, which holds WAL back, for member_slots_ttl, half an hour.
Source: Patroni documentation, "Patroni REST API" and "Dynamic Configuration Settings".
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from outlast.config.cluster import NodeSpec, without_node
from outlast.errors import ClusterError
from outlast.hosts.base import Host
from outlast.systems import credentials, maintenance
from outlast.systems.base import Role
from outlast.systems.etcd import member as etcd
from outlast.systems.patroni import settings
from outlast.systems.postgres.install import find
from outlast.systems.postgres.settings import POSTGRES_PORT
from outlast.systems.postgres.views import slot_names
from outlast.systems.wait import wait_for, wait_for_with_logs

if TYPE_CHECKING:
    from outlast.systems.patroni.cluster import PatroniCluster

ASK_TIMEOUT_S: Final = 10.0
READ_MARGIN_S: Final = 20.0
STOP_TIMEOUT_S: Final = 60.0
REST_TIMEOUT_S: Final = 30.0
COPY_TIMEOUT_S: Final = 900.0
"""For a base backup of whatever size a lab's database has."""

SLOT_TIMEOUT_S: Final = 30.0
OLD_DATA: Final = "outlast.old"
"""A file in a data directory that is to be replaced: when it is gone, so is the old data."""


async def set_parameters(cluster: PatroniCluster, parameters: Mapping[str, str]) -> None:
    """Put parameters into Patroni's configuration and wait until every Patroni has read it."""
    asked = int(time.time())
    await configure(cluster, {"postgresql": {"parameters": dict(parameters)}})

    async def unmet() -> str:
        for node in cluster.spec.nodes:
            answer = await cluster.manager(node.name)
            if answer is None:
                continue  # it reads the configuration when it starts
            if answer.field("pending_restart"):
                continue
            seen = answer.field("dcs_last_seen")
            # In whole seconds; what it has read takes effect at the end of the same round of its loop.
            if not isinstance(seen, int) or seen <= asked + 1:
                return f"{node.name} has not read it"
        return ""

    await wait_for(
        unmet, settings.timing(cluster.spec).loop_wait * 2 + READ_MARGIN_S, "Patroni's new settings"
    )


async def configure(cluster: PatroniCluster, change: settings.Document) -> None:
    """Change Patroni's configuration in its store. Raises ClusterError when nobody takes it."""
    said = "no Patroni answers"
    for node in cluster.spec.nodes:
        try:
            answer = await cluster.rest(node.name, "PATCH", "/config", change, timeout_s=ASK_TIMEOUT_S)
        except OSError:
            continue
        if answer.status == 200:
            return
        said = f"{node.name}: {answer.status} {answer.body}"
    raise ClusterError(f"Patroni did not take {json.dumps(change)}: {said}")


async def reseed(cluster: PatroniCluster, node: str) -> None:
    """Have Patroni copy the primary anew to a node."""
    host = await _standby(cluster, node, "reseeded")
    if maintenance.is_out(host):
        raise ClusterError(f"{node} is in maintenance", hint=f"outlast maintenance {node} off")
    await cluster.start_node(node)
    data = host.folder / "data"
    if data.is_dir():
        await host.put(f"data/{OLD_DATA}", b"")

    async def refused() -> str:
        try:
            answer = await cluster.rest(
                node, "POST", "/reinitialize", {"force": True, "from_leader": True}, timeout_s=ASK_TIMEOUT_S
            )
        except OSError as error:
            return f"its REST API does not answer ({error})"
        return "" if answer.status == 200 else f"it says {answer.status}: {answer.body}"

    await wait_for_with_logs(refused, REST_TIMEOUT_S, f"Patroni on {node} to reseed it", cluster, [node])

    async def unmet() -> str:
        if (data / OLD_DATA).exists():
            return "its old data is there yet"
        return await _not_streaming(cluster, node)

    await wait_for_with_logs(unmet, COPY_TIMEOUT_S, f"{node} to stream from a new copy", cluster, [node])


async def add_node(cluster: PatroniCluster, node: NodeSpec) -> None:
    """Make a host for a node and have Patroni copy the primary to it."""
    lab, spec = cluster.lab, cluster.spec
    host = lab.hosts.get(node.name) or await lab.add_host(node.name, node.address, power=False)
    document = settings.member_document(spec, node, find(spec.version), cluster.credentials, host)
    await host.put("patroni.yml", json.dumps(document, indent=1).encode())
    await host.put(settings.NODE_CONF, settings.node_conf(node).encode())
    await host.put(credentials.PASSFILE, cluster.credentials.passfile.read_bytes())
    if not host.is_on:
        await host.power_on()
    if node.name not in lab.published:
        await lab.publish(node.name, node.address, POSTGRES_PORT, node.port)
    await cluster.start_node(node.name)
    await wait_for_with_logs(
        lambda: _not_streaming(cluster, node.name),
        COPY_TIMEOUT_S,
        f"{node.name} to stream",
        cluster,
        [node.name],
    )


async def remove_node(cluster: PatroniCluster, node: str) -> None:
    """Stop a node in order, have Patroni and every server forget it, and remove its host."""
    from patroni.dcs import slot_name_from_member_name  # here: most commands need nothing of Patroni's code

    spec = cluster.spec
    left = [one for one in spec.nodes if one.name != node]
    if cluster.lab.hosts.get(node) is not None:
        await _standby(cluster, node, "removed", must_be_on=False)
        if spec.sync == "strict" and len(left) == 1:
            raise ClusterError(
                f"{node} is the last standby, and sync=strict refuses writes without one",
                hint="outlast add-node first",
            )
        await _stop(cluster, node)
        await cluster.lab.remove_host(node)
    primary = await cluster.primary()
    cluster.spec = without_node(spec, node, primary or left[0].name)
    await etcd.delete(cluster.lab, spec.dcs, f"/service/{spec.name}/members/{node}")
    await _forget_slot(cluster, slot_name_from_member_name(node))


async def set_maintenance(cluster: PatroniCluster, node: str, on: bool) -> None:
    """Stop a node's Patroni, and with it its server; or start both and wait until it streams."""
    host = cluster.lab.hosts[node]
    if on:
        await _standby(cluster, node, "taken out")
        await maintenance.take_out(host)
        await _stop(cluster, node)
        return
    if not host.is_on:
        raise ClusterError(f"the host of {node} is off", hint="outlast heal")
    maintenance.put_back(host)
    await cluster.start_node(node)
    await wait_for_with_logs(
        lambda: _not_streaming(cluster, node), COPY_TIMEOUT_S, f"{node} to stream again", cluster, [node]
    )


async def _standby(cluster: PatroniCluster, node: str, what: str, *, must_be_on: bool = True) -> Host:
    """Return a node's host. Raises ClusterError when the node is the primary, or there is none to follow."""
    view = await cluster.view()
    try:
        leader = await cluster.leader_record()
    except ConnectionError as error:
        raise ClusterError(
            "etcd does not answer, so nothing can be changed", hint="outlast doctor"
        ) from error
    return cluster.standby_host(node, what, view.primary, leader, *view.primaries, must_be_on=must_be_on)


async def _stop(cluster: PatroniCluster, node: str) -> None:
    """Stop Patroni on a node in order; it stops its server, and first gives up being the synchronous standby."""
    if not cluster.lab.hosts[node].is_on:
        return
    await cluster.end_processes(node, "patroni", cluster.process_names(node), STOP_TIMEOUT_S)


async def _forget_slot(cluster: PatroniCluster, slot: str) -> None:
    """Have Patroni drop the slot of a member that has left, on every node.

    It drops those of all absent members, so nothing is done while another is absent: then the slot goes by itself
    after member_slots_ttl.
    """
    view = await cluster.view()
    if any(not node.healthy for node in view.nodes if node.role is not Role.DCS):
        return
    before = cluster.spec.patroni.get("member_slots_ttl")
    await configure(cluster, {"member_slots_ttl": 0})

    async def held() -> str:
        for node in cluster.spec.nodes:
            connection = await cluster.connect(node.name)
            async with connection:
                if slot in await slot_names(connection):
                    return f"{node.name} has it"
        return ""

    try:
        await wait_for(held, SLOT_TIMEOUT_S, f"the slot {slot} to go")
    finally:
        await configure(cluster, {"member_slots_ttl": before})


async def _not_streaming(cluster: PatroniCluster, node: str) -> str:
    view = await cluster.view()
    shown = view.node(node)
    return "" if shown.state == "streaming" and shown.healthy else f"it is {shown.state}"
