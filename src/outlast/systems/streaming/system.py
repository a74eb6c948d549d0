"""Brings up plain streaming replication: copies of one seed, a primary, and the others behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from outlast.config.cluster import ClusterSpec
from outlast.errors import UnavailableError
from outlast.hosts.base import Lab
from outlast.systems import credentials
from outlast.systems.base import Progress
from outlast.systems.postgres import standby_server
from outlast.systems.postgres.bootstrap import make_data, not_streaming
from outlast.systems.postgres.install import find
from outlast.systems.postgres.parameter_check import refused_parameters
from outlast.systems.postgres.seed import SUPERUSER
from outlast.systems.postgres.settings import POSTGRES_PORT, REPLICATOR
from outlast.systems.streaming import settings
from outlast.systems.streaming.cluster import StreamingCluster
from outlast.systems.streaming.leadership import Record
from outlast.systems.streaming.replication import ReplicationCluster
from outlast.systems.system import no_tls, no_watchdog
from outlast.systems.wait import wait_for, wait_until_ready

PRIMARY_TIMEOUT_S: Final = 120.0
REPLICA_TIMEOUT_S: Final = 90.0


class StreamingSystem:
    """PostgreSQL's own replication, with nobody in charge."""

    name = "streaming"
    cluster_type = StreamingCluster

    def illegal(self, spec: ClusterSpec) -> str | None:
        """Return what of spec no machine can give it, None when it is sound."""
        return no_tls(spec) or no_watchdog(spec) or refused_parameters(spec)

    def available(self, spec: ClusterSpec) -> str | None:
        """Return why this machine can't run spec, None when it can."""
        try:
            find(spec.version)
        except UnavailableError as error:
            return error.message
        return self.illegal(spec)

    def attach(self, lab: Lab, spec: ClusterSpec) -> StreamingCluster:
        """Return the cluster that runs in a lab that was deployed before."""
        return StreamingCluster(lab, spec, credentials.load(lab.folder))

    async def deploy(self, lab: Lab, spec: ClusterSpec, progress: Progress) -> StreamingCluster:
        """Put the cluster on a fresh lab and return once its primary takes writes."""
        cluster = StreamingCluster(lab, spec, credentials.generate(lab.folder, users(spec)))
        await start_servers(cluster, progress)
        return cluster

    async def complete(self, cluster: StreamingCluster, progress: Progress) -> None:
        """Wait until every standby streams and, where commits wait for one, the primary has chosen it."""
        await wait_until_ready(cluster, REPLICA_TIMEOUT_S)


def users(spec: ClusterSpec) -> tuple[str, ...]:
    """Return the roles that a cluster has."""
    return (SUPERUSER, REPLICATOR, spec.user)


async def start_servers(cluster: ReplicationCluster, progress: Progress, preload: Sequence[str] = ()) -> None:
    """Make the hosts, the data and the record, start the primary and the standbys behind it.

    preload: Python modules that programs of the hosts will need. Raises ClusterError.
    """
    lab, spec = cluster.lab, cluster.spec
    progress(f"starting {len(spec.nodes)} servers")
    primary = spec.primary()
    waits_for = settings.eligible(spec, primary.name) if spec.sync != "off" else ()
    cluster.leadership.write(Record(primary.name, 1, waits_for))
    for node in spec.nodes:
        await cluster.make_host(node)
    configs = {node.name: cluster.server_config(node.name) for node in spec.nodes}
    servers = {name: config.server for name, config in configs.items()}
    await asyncio.gather(
        _switch_on(cluster, preload), make_data(lab, spec, cluster.credentials, servers, PRIMARY_TIMEOUT_S)
    )
    others = [name for name in configs if name != primary.name]
    await standby_server.configure(configs[primary.name], None)
    await servers[primary.name].start(PRIMARY_TIMEOUT_S)
    connection = await cluster.connect(primary.name, timeout_s=10.0)
    async with connection:
        for name in others:
            slot = standby_server.slot_name(name)
            await connection.execute("SELECT pg_create_physical_replication_slot(%s, true)", (slot,))
            await standby_server.configure(configs[name], primary.address)
        await asyncio.gather(*(servers[name].start(REPLICA_TIMEOUT_S) for name in others))
        await wait_for(lambda: not_streaming(connection, others), REPLICA_TIMEOUT_S, "the standbys to stream")


async def _switch_on(cluster: ReplicationCluster, preload: Sequence[str]) -> None:
    if preload:
        await cluster.lab.preload(preload)
    for node in cluster.spec.nodes:
        await cluster.lab.hosts[node.name].power_on()
        await cluster.lab.publish(node.name, node.address, POSTGRES_PORT, node.port)


SYSTEM: Final = StreamingSystem()
