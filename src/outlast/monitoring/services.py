"""What watches a cluster from hosts of its lab: an exporter, Prometheus and Alertmanager, as services of its spec."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final

from outlast.config.cluster import MONITORING_KINDS, ClusterSpec, ServiceKind, ServiceSpec
from outlast.errors import ClusterError
from outlast.hosts.base import Host
from outlast.monitoring import alertmanager, exporter_service, prometheus
from outlast.monitoring.jobs import jobs, receiver
from outlast.systems import http
from outlast.systems.base import Cluster, Role
from outlast.systems.postgres.server import last_lines
from outlast.systems.programs import missing
from outlast.systems.service import Service
from outlast.systems.wait import wait_for

READY_TIMEOUT_S: Final = 20.0
LOOK_TIMEOUT_S: Final = 2.0
NEEDED: Final[tuple[ServiceKind, ...]] = ("exporter", "prometheus", "alertmanager")


class _HttpService:
    """One program that says over HTTP whether it serves."""

    kind: str
    role = Role.EXPORTER
    ports: Mapping[str, int]
    processes: tuple[str, ...]
    logs: Mapping[str, str]
    path: str

    async def start(self, cluster: Cluster, service: ServiceSpec) -> None:
        """Start the program when it does not run, and wait until it answers."""
        host = cluster.lab.hosts[service.name]
        running = {process.name for process in await host.processes() if process.state != "Z"}
        await self.launch(cluster, host, running)
        try:
            await wait_for(
                lambda: self._trouble(cluster, service), READY_TIMEOUT_S, f"{service.name} to answer"
            )
        except ClusterError as error:
            words = last_lines(host.folder / next(iter(self.logs.values())))
            raise ClusterError(error.message + (f"\n{words}" if words else "")) from error

    async def launch(self, cluster: Cluster, host: Host, running: set[str]) -> None:
        """Start what does not run on the host. running: names of the processes there."""
        raise NotImplementedError

    async def is_healthy(self, cluster: Cluster, service: ServiceSpec) -> bool:
        """Return whether it answers."""
        return not await self._trouble(cluster, service)

    async def _trouble(self, cluster: Cluster, service: ServiceSpec) -> str:
        try:
            answer = await http.request(
                cluster.lab, (service.address, self.ports[""]), "GET", self.path, timeout_s=LOOK_TIMEOUT_S
            )
        except OSError as error:
            return f"it does not answer ({error})"
        return "" if answer.status == 200 else f"it says {answer.status}"


class ExporterService(_HttpService):
    """Our exporter and, where it is installed, one of Debian's for each PostgreSQL server."""

    kind = "exporter"
    ports: Mapping[str, int] = {"": exporter_service.PORT}
    processes: tuple[str, ...] = (exporter_service.PROCESS,)
    logs: Mapping[str, str] = {"exporter": exporter_service.LOG}
    path = "/healthz"

    def available(self, spec: ClusterSpec) -> str | None:
        """It comes with the tool."""
        return None

    async def launch(self, cluster: Cluster, host: Host, running: set[str]) -> None:
        """Start the exporters."""
        await exporter_service.start(cluster, host, running)


class PrometheusService(_HttpService):
    """Prometheus, with our alerting rules."""

    kind = "prometheus"
    ports: Mapping[str, int] = {"": prometheus.PORT}
    processes: tuple[str, ...] = (prometheus.PROCESS,)
    logs: Mapping[str, str] = {"prometheus": prometheus.LOG}
    path = "/-/ready"

    def available(self, spec: ClusterSpec) -> str | None:
        """Needs the program."""
        return missing(prometheus.PROGRAM)

    async def launch(self, cluster: Cluster, host: Host, running: set[str]) -> None:
        """Start Prometheus; it asks what the spec has."""
        if prometheus.PROCESS not in running:
            found = watcher(cluster.spec, "alertmanager")
            there = found is not None and missing(alertmanager.PROGRAM) is None
            address = f"{found.address}:{alertmanager.PORT}" if found is not None and there else None
            await prometheus.start(host, prometheus.configuration(jobs(cluster.spec), address))


class AlertmanagerService(_HttpService):
    """Alertmanager: tells the exporter, and whom the person wants told."""

    kind = "alertmanager"
    ports: Mapping[str, int] = {"": alertmanager.PORT}
    processes: tuple[str, ...] = (alertmanager.PROCESS,)
    logs: Mapping[str, str] = {"alertmanager": alertmanager.LOG}
    path = "/-/ready"

    def available(self, spec: ClusterSpec) -> str | None:
        """Needs the program."""
        return missing(alertmanager.PROGRAM)

    async def launch(self, cluster: Cluster, host: Host, running: set[str]) -> None:
        """Start Alertmanager."""
        if alertmanager.PROCESS not in running:
            await alertmanager.start(host, alertmanager.configuration(receiver(cluster.spec)))


class GrafanaService(_HttpService):
    """Never started: there is no package of it to rest on. Its dashboards are written for a person's own."""

    kind = "grafana"
    ports: Mapping[str, int] = {"": 3000}
    processes: tuple[str, ...] = ()
    logs: Mapping[str, str] = {}
    path = "/"

    def available(self, spec: ClusterSpec) -> str | None:
        """Say where the dashboards are."""
        return "Grafana is not run here; its dashboards are: outlast dashboards FOLDER"


SERVICES: Final[dict[str, Service]] = {
    service.kind: service
    for service in (ExporterService(), PrometheusService(), AlertmanagerService(), GrafanaService())
}
"""The services of this room, by kind."""


def watcher(spec: ClusterSpec, kind: str) -> ServiceSpec | None:
    """Return the first service of a kind, None when there is none."""
    return next((service for service in spec.services if service.kind == kind), None)


def with_monitoring(spec: ClusterSpec) -> ClusterSpec:
    """Return a specification that has an exporter, Prometheus and Alertmanager; those it has stay as they are."""
    taken = {member.name for member in spec.members()}
    added = []
    for kind in NEEDED:
        if watcher(spec, kind) is None:
            names = (kind, *(f"{kind}-{number}" for number in range(2, 99)))
            added.append(ServiceSpec(name=next(name for name in names if name not in taken), kind=kind))
    return dataclasses.replace(spec, services=(*spec.services, *added)) if added else spec


def addresses(cluster: Cluster) -> list[str]:
    """Return a line for each watching service that a person can open."""
    lines = []
    for service in cluster.spec.services:
        port = cluster.lab.published.get(service.name)
        if service.kind in MONITORING_KINDS and port is not None:
            path = "/metrics" if service.kind == "exporter" else ""
            lines.append(f"{service.kind}: http://127.0.0.1:{port.port}{path}")
    return lines
