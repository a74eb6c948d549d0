"""Puts what watches a cluster on hosts of its lab: exporter, Prometheus, Alertmanager, and Debian's exporters.

What is not installed is said, and the lab is without it; that never keeps a cluster from coming up.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from holdfast.errors import HoldfastError, HostError, UnavailableError
from holdfast.hosts.base import Host, Lab, Program
from holdfast.monitoring import alertmanager, postgres_exporter, prometheus
from holdfast.monitoring.exporter import config as exporter
from holdfast.monitoring.programs import find, need
from holdfast.monitoring.services import DEFAULT_PORTS, watchers
from holdfast.run.live import POINTER
from holdfast.spec.cluster import ClusterSpec, ServiceSpec
from holdfast.systems import credentials, http
from holdfast.systems.base import Cluster, HasPrimary, HasServers, Progress, Role
from holdfast.systems.etcd.member import CLIENT_PORT
from holdfast.systems.postgres.seed import POSTGRES_UID
from holdfast.systems.postgres.server import last_lines
from holdfast.systems.wait import until

MONITOR_ROLE: Final = "holdfast_monitor"
"""The exporters' role in the database: a member of pg_monitor, which may look and not touch."""

READY_TIMEOUT_S: Final = 20.0
PORTS_TRIED: Final = 100
EXPORTER_PROCESS: Final = "exporter"
HEALTH_PATHS: Final[Mapping[str, str]] = {
    "exporter": "/healthz",
    "prometheus": "/-/ready",
    "alertmanager": "/-/ready",
}


@dataclass(frozen=True, slots=True)
class _Watched:
    """A cluster and the services of its specification that can be started here, by kind."""

    cluster: Cluster
    services: Mapping[str, ServiceSpec]

    @property
    def lab(self) -> Lab:
        """The lab of both."""
        return self.cluster.lab


def left_out(spec: ClusterSpec) -> list[str]:
    """Return a line for each watching service that can't be started here, with the reason."""
    words = []
    for service in watchers(spec):
        if service.kind == "grafana":
            words.append(f"left out: {service.name}; write the dashboards for your own Grafana with: "
                         "holdfast dashboards FOLDER")  # fmt: skip
        elif service.kind != "exporter" and find(service.kind) is None:
            with contextlib.suppress(UnavailableError):
                words.append(f"left out: {service.name}; {service.kind} is not installed")
                need(service.kind)
    return words


async def deploy(cluster: Cluster, progress: Progress) -> None:
    """Start what the cluster's specification has of watching services, and wait until each answers.

    Raises HostError, UnavailableError (a pinned port that is in use).
    """
    spec = cluster.spec
    for words in left_out(spec):
        progress(words)
    wanted: dict[str, ServiceSpec] = {
        one.kind: one for one in reversed(watchers(spec)) if one.kind != "grafana"
    }
    found = {kind: one for kind, one in wanted.items() if kind == "exporter" or find(kind)}
    if not found:
        return
    progress(f"starting {', '.join(one.name for one in found.values())}")
    watched = _Watched(cluster, found)
    hosts = {kind: await watched.lab.add_host(one.name, one.address) for kind, one in found.items()}
    if "exporter" in hosts:
        await _start_exporter(watched, hosts["exporter"])
    if "alertmanager" in hosts:
        receiver = (
            f"http://{hosts['exporter'].address}:{exporter.PORT}/alerts" if "exporter" in hosts else None
        )
        await alertmanager.start(hosts["alertmanager"], alertmanager.configuration(receiver))
    if "prometheus" in hosts:
        address = f"{hosts['alertmanager'].address}:{alertmanager.PORT}" if "alertmanager" in hosts else None
        await prometheus.start(hosts["prometheus"], prometheus.configuration(_jobs(watched), address))
    await asyncio.gather(*(_until_ready(watched, kind, host) for kind, host in hosts.items()))
    for kind, one in found.items():
        await _publish(watched.lab, one, DEFAULT_PORTS[kind], pinned=spec.ports.get(one.name))


async def _start_exporter(watched: _Watched, host: Host) -> None:
    cluster, lab, spec = watched.cluster, watched.lab, watched.cluster.spec
    passfile = await _make_role(cluster, host)
    view = await cluster.view()
    servers = [node for node in view.nodes if node.role in (Role.PRIMARY, Role.STANDBY, Role.READ_ONLY)]
    monitors = [node for node in view.nodes if node.role is Role.MONITOR]
    members = spec.nodes if spec.system == "etcd" else spec.dcs
    told = exporter.ExporterConfig(
        lab=lab.name,
        system=spec.system,
        scope=spec.name,
        address=host.address,
        port=exporter.PORT,
        nodes=tuple(exporter.Target(node.name, node.address, node.port) for node in servers)
        if isinstance(cluster, HasServers)
        else (),
        candidates=tuple(node.name for node in spec.nodes if node.role != "read-only" and node.priority != 0),
        dcs=tuple(exporter.Target(one.name, one.address, CLIENT_PORT) for one in members),
        monitor=next((exporter.Target(one.name, one.address, one.port) for one in monitors), None),
        database=spec.database,
        user=MONITOR_ROLE,
        passfile=str(passfile),
        sync=spec.sync,
    )
    path = await host.put(exporter.FILE, told.to_json())
    await host.put(POINTER, b"")  # asks runs to say here where they are
    await host.spawn(
        Program(
            EXPORTER_PROCESS,
            ["holdfast.monitoring.exporter.main:main", str(path)],
            "log/exporter.log",
            uid=POSTGRES_UID,
            module=True,
        )
    )
    if find("postgres_exporter") is not None:
        for number, node in enumerate(told.nodes):
            password = credentials.load(lab.folder).password(MONITOR_ROLE)
            await postgres_exporter.start(host, node, number, told.database, MONITOR_ROLE, password)


async def _make_role(cluster: Cluster, host: Host) -> Path:
    """Make the exporters' role on the primary and return the file on host with its password."""
    known = credentials.load(cluster.lab.folder)
    words = credentials.generate(cluster.lab.folder, [*known.passwords, MONITOR_ROLE])
    password = words.password(MONITOR_ROLE)
    if isinstance(cluster, HasServers) and isinstance(cluster, HasPrimary):
        primary = await cluster.primary()
        if primary is None:
            raise HostError("no node takes writes, so the exporter's role cannot be made")
        connection = await cluster.connect(primary, timeout_s=10.0)
        try:
            there = await connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (MONITOR_ROLE,))
            if await there.fetchone() is None:
                await connection.execute(f"CREATE ROLE {MONITOR_ROLE} LOGIN IN ROLE pg_monitor".encode())
            # token_urlsafe: no quote in it; ALTER ROLE takes no parameter.
            await connection.execute(f"ALTER ROLE {MONITOR_ROLE} PASSWORD '{password}'".encode())
        finally:
            await connection.close()
    return await host.put(credentials.PASSFILE, f"*:*:*:{MONITOR_ROLE}:{password}\n".encode())


def _jobs(watched: _Watched) -> list[prometheus.Job]:
    """Return what Prometheus asks in this lab."""
    lab, spec = watched.lab, watched.cluster.spec
    slow = prometheus.SLOW_SCRAPE_S
    jobs = []
    if "exporter" in watched.services:
        host = lab.hosts[watched.services["exporter"].name]
        jobs.append(prometheus.Job("holdfast", {f"{host.address}:{exporter.PORT}": {"lab": lab.name}}))
        if find("postgres_exporter") is not None and isinstance(watched.cluster, HasServers):
            targets = {
                f"{host.address}:{postgres_exporter.FIRST_PORT + number}": {"node": node.name}
                for number, node in enumerate(spec.nodes)
            }
            jobs.append(prometheus.Job("postgres", targets, slow))
    members = spec.nodes if spec.system == "etcd" else spec.dcs
    if members:
        keep = "etcd_(server|disk|mvcc_db|network_peer).*"
        targets = {f"{one.address}:{CLIENT_PORT}": {"member": one.name} for one in members}
        jobs.append(prometheus.Job("etcd", targets, slow, keep))
    return jobs


async def _until_ready(watched: _Watched, kind: str, host: Host) -> None:
    async def missing() -> str:
        return await trouble(watched.lab, kind, host.address)

    try:
        await until(missing, READY_TIMEOUT_S, f"{kind} to answer")
    except HoldfastError as error:
        words = last_lines(host.folder / f"log/{kind}.log")
        raise HostError(f"{error.message}{f'; it says: {words}' if words else ''}") from error


async def trouble(lab: Lab, kind: str, address: str) -> str:
    """Return "" when a watching service answers, else what it does instead."""
    try:
        answer = await http.request(
            lab, address, DEFAULT_PORTS[kind], "GET", HEALTH_PATHS[kind], timeout_s=2.0
        )
    except OSError as error:
        return f"it does not answer ({error})"
    return "" if answer.status == 200 else f"it says {answer.status}"


async def _publish(lab: Lab, service: ServiceSpec, usual: int, pinned: int | None) -> None:
    """Publish a service at its pinned port, else at its usual one, else at the next that is free."""
    if pinned is not None:
        await lab.publish(service.name, service.address, usual, pinned)
        return
    for port in range(usual, usual + PORTS_TRIED):
        with contextlib.suppress(UnavailableError):
            await lab.publish(service.name, service.address, usual, port)
            return
    await lab.publish(service.name, service.address, usual, None)
