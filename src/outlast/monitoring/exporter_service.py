"""Starts the exporter on its host, with a role of its own in the database, and Debian's exporters beside it."""

from __future__ import annotations

from typing import Final

from outlast.config.cluster import ClusterSpec
from outlast.errors import ClusterError
from outlast.history.live import POINTER
from outlast.hosts.base import Host, Program
from outlast.monitoring import postgres_exporter
from outlast.monitoring.exporter import config
from outlast.monitoring.exporter.config import ExporterConfig, ExporterTarget
from outlast.monitoring.jobs import WITHOUT_SERVERS
from outlast.systems import credentials
from outlast.systems.base import Cluster, HasPrimary, HasServers
from outlast.systems.etcd.member import CLIENT_PORT
from outlast.systems.pg_auto_failover.settings import MONITOR_DATABASE, MONITOR_USER
from outlast.systems.pgpool.settings import MAIN_PORT
from outlast.systems.postgres.bootstrap import literal
from outlast.systems.postgres.scram import verifier
from outlast.systems.postgres.seed import POSTGRES_UID
from outlast.systems.postgres.settings import POSTGRES_PORT
from outlast.systems.programs import missing
from outlast.systems.raftlog.settings import ADMIN_PORT

PORT: Final = config.PORT
PROCESS: Final = "exporter"
LOG: Final = "log/exporter.log"
ROLE: Final = "outlast_monitor"
"""The exporters' role in the database: a member of pg_monitor, which may look and not touch."""


async def start(cluster: Cluster, host: Host, running: set[str]) -> None:
    """Start what does not run. The first time the role is made, which needs a primary; raises ClusterError without."""
    spec = cluster.spec
    has_servers = isinstance(cluster, HasServers) and spec.system not in WITHOUT_SERVERS
    if not (host.folder / credentials.PASSFILE).exists():
        password = await _make_role(cluster) if has_servers else ""
        lines = [f"*:*:*:{ROLE}:{password}"]
        if spec.system == "pgpool":
            lines.append(f"*:*:*:{spec.user}:{cluster.credentials.password(spec.user)}")
        if MONITOR_USER in cluster.credentials.passwords:
            lines.append(f"*:*:*:{MONITOR_USER}:{cluster.credentials.password(MONITOR_USER)}")
        await host.put(credentials.PASSFILE, "".join(f"{line}\n" for line in lines).encode())
        await host.put(postgres_exporter.PASSWORD_FILE, password.encode())
        await host.put(POINTER, b"")  # asks runs to say here where they are
    told = _told(spec, cluster.lab.name, host, has_servers)
    if PROCESS not in running:
        path = await host.put(config.FILE, told.to_json())
        argv = ["outlast.monitoring.exporter.main:main", str(path)]
        await host.spawn(Program(PROCESS, argv, LOG, uid=POSTGRES_UID, module=True))
    if missing(postgres_exporter.PROGRAM) is None:
        await postgres_exporter.start_all(host, told, running)


def _told(spec: ClusterSpec, lab: str, host: Host, has_servers: bool) -> ExporterConfig:
    monitor = next((service for service in spec.services if service.kind == "monitor"), None)
    pool = next((service for service in spec.services if service.kind == "pgpool"), None)
    members, port = (spec.nodes, CLIENT_PORT) if spec.system == "etcd" else (spec.dcs, CLIENT_PORT)
    if spec.system == "raftlog":
        members, port = spec.nodes, ADMIN_PORT
    return ExporterConfig(
        lab=lab,
        system=spec.system,
        scope=spec.name,
        address=host.address,
        port=PORT,
        nodes=tuple(ExporterTarget(node.name, node.address, POSTGRES_PORT) for node in spec.nodes)
        if has_servers
        else (),
        candidates=tuple(node.name for node in spec.nodes if node.role != "read-only" and node.priority != 0),
        dcs=tuple(ExporterTarget(node.name, node.address, port) for node in members),
        monitor=ExporterTarget(monitor.name, monitor.address, POSTGRES_PORT) if monitor else None,
        monitor_database=MONITOR_DATABASE,
        monitor_user=MONITOR_USER,
        balancer=ExporterTarget(pool.name, pool.address, MAIN_PORT) if pool else None,
        balancer_user=spec.user,
        database=spec.database,
        user=ROLE,
        passfile=str(host.folder / credentials.PASSFILE),
        sync=spec.sync,
    )


async def _make_role(cluster: Cluster) -> str:
    """Make the exporters' role on the primary and return its password."""
    known = credentials.load(cluster.lab.folder)
    password = credentials.generate(cluster.lab.folder, [*known.passwords, ROLE]).password(ROLE)
    primary = await cluster.primary() if isinstance(cluster, HasPrimary) else None
    if primary is None or not isinstance(cluster, HasServers):
        raise ClusterError("no node takes writes, so the exporter's role cannot be made")
    connection = await cluster.connect(primary, timeout_s=10.0)
    try:
        there = await connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (ROLE,))
        if await there.fetchone() is None:
            await connection.execute(f"CREATE ROLE {ROLE} LOGIN IN ROLE pg_monitor".encode())
        # ALTER ROLE takes no parameter.
        await connection.execute(f"ALTER ROLE {ROLE} PASSWORD {literal(verifier(password))}".encode())
    finally:
        await connection.close()
    return password
