"""pg_auto_failover as a system: brought up by pg_autoctl itself, from our own data directories.

    monitor ─▶ first node registers ─▶ the others register and stream ─▶ sync

All data directories are copies of one seed, so pg_autoctl sees that a standby's data belongs to the primary's cluster
and needs no base backup, which would wait for a checkpoint spread over minutes.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from outlast.config.cluster import ClusterSpec, NodeSpec, ServiceSpec
from outlast.errors import UnavailableError
from outlast.hosts.base import Lab
from outlast.systems import credentials
from outlast.systems.base import Progress
from outlast.systems.pg_auto_failover import keeper, settings
from outlast.systems.pg_auto_failover.cluster import PgAutoFailoverCluster
from outlast.systems.postgres.bootstrap import identifier, literal, make_data, password, the_seed
from outlast.systems.postgres.install import PostgresInstall
from outlast.systems.postgres.parameter_check import refused_parameters
from outlast.systems.postgres.seed import SUPERUSER, copy_seed, run_single_user
from outlast.systems.postgres.server import PostgresServer, postmaster_pids
from outlast.systems.postgres.settings import POSTGRES_PORT, REPLICATOR
from outlast.systems.wait import wait_for_with_logs


@dataclass(frozen=True, slots=True)
class KeeperTimeouts:
    """How long each part of a bring-up may take, seconds."""

    monitor_s: float = 60.0
    primary_s: float = 120.0
    replica_s: float = 120.0
    settings_s: float = 60.0


TIMEOUTS: Final = KeeperTimeouts()


class PgAutoFailoverSystem:
    """PostgreSQL under pg_auto_failover."""

    name = "pg_auto_failover"
    cluster_type = PgAutoFailoverCluster

    def __init__(self, timeouts: KeeperTimeouts = TIMEOUTS) -> None:
        self._timeouts = timeouts

    def illegal(self, spec: ClusterSpec) -> str | None:
        """Return what of spec no machine can give it, None when it is sound."""
        return settings.illegal(spec) or refused_parameters(spec, lambda version: keeper.find(version)[1])

    def available(self, spec: ClusterSpec) -> str | None:
        """Return why this machine can't run spec, None when it can."""
        try:
            keeper.find(spec.version)
        except UnavailableError as error:
            return f"{error.message} ({error.hint})"
        return self.illegal(spec)

    def attach(self, lab: Lab, spec: ClusterSpec) -> PgAutoFailoverCluster:
        """Return the cluster that runs in a lab that was deployed before."""
        return PgAutoFailoverCluster(lab, spec, credentials.load(lab.folder))

    async def deploy(self, lab: Lab, spec: ClusterSpec, progress: Progress) -> PgAutoFailoverCluster:
        """Put the cluster on a fresh lab and return once its first node takes writes."""
        _program, install = keeper.find(spec.version)
        users = (SUPERUSER, REPLICATOR, settings.REPLICATOR, settings.MONITOR_USER, spec.user)
        words = credentials.generate(lab.folder, users)
        cluster = PgAutoFailoverCluster(lab, spec, words)
        progress("starting the monitor and the first server")
        watcher = settings.monitor(spec)
        members: tuple[NodeSpec | ServiceSpec, ...] = (*spec.nodes, watcher)
        for member in members:
            host = await lab.add_host(member.name, member.address)
            await host.put(credentials.PASSFILE, words.passfile.read_bytes())
            await lab.publish(member.name, member.address, POSTGRES_PORT, member.port)
        for node in spec.nodes:
            await lab.hosts[node.name].put(settings.NODE_CONF, settings.node_conf(node).encode())
        await the_seed(lab, spec, install)
        await asyncio.gather(self._start_monitor(cluster, install), self._make_data(cluster, install))
        first = spec.primary()
        await self._register(cluster, first.name)
        await wait_for_with_logs(
            lambda: self._writable(cluster, first.name),
            self._timeouts.primary_s,
            f"pg_autoctl to make {first.name} a single primary",
            cluster,
            [first.name, watcher.name],
        )
        return cluster

    async def complete(self, cluster: PgAutoFailoverCluster, progress: Progress) -> None:
        """Have the other nodes join, highest priority first, and set what the formation waits for."""
        spec = cluster.spec
        others = [node for node in spec.nodes if node is not spec.primary()]
        progress(f"{len(others)} standbys join")
        for node in sorted(others, key=settings.priority, reverse=True):
            await self._register(cluster, node.name)
        names = [node.name for node in spec.nodes]
        monitor = cluster.monitor.name
        await wait_for_with_logs(
            lambda: self._missing(cluster),
            self._timeouts.replica_s,
            "the cluster to be whole",
            cluster,
            [*names, monitor],
        )
        await asyncio.gather(*(keeper.set_time_outs(spec, cluster.lab.hosts[name]) for name in names))
        await cluster.set_sync()
        await wait_for_with_logs(
            lambda: self._missing(cluster),
            self._timeouts.settings_s,
            "the primary to apply its settings",
            cluster,
            [spec.primary().name],
        )
        host = cluster.lab.hosts[monitor]
        await host.put(settings.MONITOR_CONF, settings.monitor_conf(spec).encode())
        await host.signal(signal.SIGHUP, pids=await postmaster_pids(host, host.folder / "data"))

    async def _start_monitor(self, cluster: PgAutoFailoverCluster, install: PostgresInstall) -> None:
        spec, lab = cluster.spec, cluster.lab
        host = lab.hosts[cluster.monitor.name]
        server = PostgresServer(host, install)
        await copy_seed(lab, await the_seed(lab, spec, install), server.data)
        statements = [
            f"ALTER ROLE {SUPERUSER} {password(cluster.credentials, SUPERUSER)}",
            f"CREATE ROLE {identifier(settings.MONITOR_USER)} LOGIN "
            f"{password(cluster.credentials, settings.MONITOR_USER)}",
        ]
        await run_single_user(lab, install, server.data, statements, self._timeouts.monitor_s)
        await server.configure(settings.monitor_parameters(spec), settings.monitor_hba_lines(spec))
        await host.put(settings.MONITOR_CONF, settings.monitor_conf(spec, settings.BRING_UP).encode())
        await keeper.start(spec, host, keeper.monitor_words(spec, host))

        async def silent() -> str:
            return "it does not answer" if await cluster.rows() is None else ""

        await wait_for_with_logs(
            silent, self._timeouts.monitor_s, f"the monitor {host.name} to answer", cluster, [host.name]
        )

    async def _make_data(self, cluster: PgAutoFailoverCluster, install: PostgresInstall) -> None:
        spec, lab = cluster.spec, cluster.lab
        servers: Mapping[str, PostgresServer] = {
            node.name: PostgresServer(lab.hosts[node.name], install) for node in spec.nodes
        }
        roles = [
            f"CREATE ROLE {settings.REPLICATOR} REPLICATION LOGIN "
            f"{password(cluster.credentials, settings.REPLICATOR)}",
            f"CREATE ROLE {settings.HEALTH_USER} LOGIN PASSWORD {literal(settings.HEALTH_USER)}",
            *settings.rewind_grants(),
        ]
        await make_data(lab, spec, cluster.credentials, servers, self._timeouts.primary_s, roles=roles)
        for server in servers.values():
            await server.configure(settings.node_parameters(spec), settings.hba_lines(spec))

    async def _register(self, cluster: PgAutoFailoverCluster, name: str) -> None:
        node = next(node for node in cluster.spec.nodes if node.name == name)
        host = cluster.lab.hosts[name]
        await keeper.start(cluster.spec, host, keeper.node_words(cluster.spec, node, host))

    async def _writable(self, cluster: PgAutoFailoverCluster, name: str) -> str:
        rows = {row.name: row for row in await cluster.rows() or ()}
        if name not in rows or rows[name].state != "single":
            return f"the monitor says {rows[name].state if name in rows else 'nothing'}"
        return "" if await cluster.primary() == name else "it takes no writes"

    async def _missing(self, cluster: PgAutoFailoverCluster) -> str:
        return (await cluster.view()).missing


SYSTEM: Final = PgAutoFailoverSystem()
