"""A cluster and what runs beside it, as one: whoever starts, kills, looks at or reads the log of a member need not
know whether it belongs to the system or is a service.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from outlast.config.cluster import ServiceSpec
from outlast.errors import OutlastError, UnavailableError
from outlast.hosts.base import Lab
from outlast.monitoring.services import SERVICES as WATCHERS
from outlast.routes.registry import SERVICES as BALANCERS
from outlast.systems.base import Cluster, ClusterView, HasLogs, Killable, NodeView, Progress, Role
from outlast.systems.service import Refreshable, Service

SERVICES: Final[Mapping[str, Service]] = {**BALANCERS, **WATCHERS}
"""All services that run beside any system, by kind."""

OWNERS: Final = {"monitor": "pg_auto_failover", "pgpool": "pgpool"}
"""Kinds of services that a system runs itself, with its system."""

PORTS_TRIED: Final = 100


@dataclass(frozen=True, slots=True)
class BalancerView:
    """A balancer as ``status`` prints it. Ports: published on 127.0.0.1, None for what it has not."""

    name: str
    address: str
    port: int | None
    pcp_port: int | None
    rest_port: int | None
    healthy: bool


def service_of(cluster: Cluster, name: str) -> tuple[ServiceSpec, Service] | None:
    """Return the service of that name with its kind; None for what is none, or belongs to the system itself."""
    for service in cluster.spec.services:
        if service.name == name and service.kind in SERVICES:
            return service, SERVICES[service.kind]
    return None


async def start_services(cluster: Cluster, progress: Progress) -> None:
    """Give each service of the spec its host, start it and publish its ports; one that can't run here is left out.

    Raises ClusterError when one does not start, UnavailableError when a port is in use.
    """
    # One after another: PgBouncer leads through HAProxy.
    for service in cluster.spec.services:
        if service.kind not in SERVICES:
            if OWNERS.get(service.kind) != cluster.spec.system:
                owner = OWNERS.get(service.kind, "another version")
                progress(f"left out: {service.name}, because only {owner} has a {service.kind}")
            continue
        kind = SERVICES[service.kind]
        if reason := kind.available(cluster.spec):
            progress(f"left out: {service.name}, because {reason}")
            continue
        progress(f"starting {service.name}")
        lab = cluster.lab
        await lab.add_host(service.name, service.address)
        await kind.start(cluster, service)
        for purpose, port in kind.ports.items():
            name = f"{service.name}/{purpose}" if purpose else service.name
            await _publish(lab, name, service, port, cluster.spec.ports.get(name))


async def _publish(lab: Lab, name: str, service: ServiceSpec, port: int, pinned: int | None) -> None:
    """Publish a service's port where the spec says, else at a free one; what watches a cluster at the port it is
    known by, else at the next that is free."""
    if pinned is None and service.kind in WATCHERS:
        for usual in range(port, port + PORTS_TRIED):
            with contextlib.suppress(UnavailableError):
                await lab.publish(name, service.address, port, usual)
                return
    await lab.publish(name, service.address, port, pinned)


async def refresh_services(cluster: Cluster) -> None:
    """Tell the services which nodes there are, after one was added or removed. Raises ClusterError."""
    for service in cluster.spec.services:
        host = cluster.lab.hosts.get(service.name)
        kind: object = SERVICES.get(service.kind)
        if host is not None and host.is_on and isinstance(kind, Refreshable):
            await kind.refresh(cluster, service)


async def start_member(cluster: Cluster, name: str) -> None:
    """Start what belongs on a member's host and does not run there; the host is on."""
    found = service_of(cluster, name)
    if found is None:
        await cluster.start_node(name)
    else:
        service, kind = found
        await kind.start(cluster, service)


def process_names(cluster: Cluster, name: str) -> tuple[str, ...]:
    """Return the processes of a member that can be told apart."""
    found = service_of(cluster, name)
    if found is not None:
        return found[1].processes
    return cluster.process_names(name) if isinstance(cluster, Killable) else ()


async def process_ids(cluster: Cluster, name: str, process: str) -> list[int]:
    """Return the pids of a process of a member, in its host's namespace; [] when it does not run."""
    if service_of(cluster, name) is not None:
        running = await cluster.lab.hosts[name].processes()
        return [one.pid for one in running if one.name == process and one.state != "Z"]
    return await cluster.process_ids(name, process) if isinstance(cluster, Killable) else []


def log_files(cluster: Cluster, name: str) -> Mapping[str, Path]:
    """Return a member's logs by name; {} for one that has none."""
    found = service_of(cluster, name)
    host = cluster.lab.hosts.get(name)
    if host is None:
        return {}
    if found is not None:
        return {log: host.folder / path for log, path in found[1].logs.items()}
    return cluster.log_files(name) if isinstance(cluster, HasLogs) else {}


async def with_services(cluster: Cluster) -> ClusterView:
    """Return what the cluster shows now, its services among the nodes."""
    view, services = await asyncio.gather(cluster.view(), service_views(cluster))
    return replace(view, nodes=(*view.nodes, *services))


async def service_views(cluster: Cluster) -> tuple[NodeView, ...]:
    """Return what each service that has a host shows now, all asked at once."""

    async def look(service: ServiceSpec, kind: Service) -> NodeView:
        healthy = await is_healthy(cluster, service, kind)
        published = cluster.lab.published.get(service.name)
        return NodeView(
            service.name,
            kind.role,
            service.address,
            kind.ports.get("", 0),
            published.port if published else None,
            "running" if healthy else "unreachable",
            healthy,
        )

    found = [
        service_of(cluster, service.name)
        for service in cluster.spec.services
        if service.name in cluster.lab.hosts
    ]
    return tuple(await asyncio.gather(*(look(*one) for one in found if one is not None)))


async def is_healthy(cluster: Cluster, service: ServiceSpec, kind: Service) -> bool:
    """Return whether a service serves; one whose host is off or fails us does not."""
    try:
        return cluster.lab.hosts[service.name].is_on and await kind.is_healthy(cluster, service)
    except (OutlastError, OSError, TimeoutError):
        return False


def balancer_views(cluster: Cluster, view: ClusterView) -> tuple[BalancerView, ...]:
    """Return the balancers among the nodes of what with_services saw."""
    published = {name: port.port for name, port in cluster.lab.published.items()}
    return tuple(
        BalancerView(
            node.name,
            node.address,
            published.get(node.name),
            published.get(f"{node.name}/pcp"),
            published.get(f"{node.name}/rest"),
            node.healthy,
        )
        for node in view.nodes
        if node.role is Role.BALANCER
    )
