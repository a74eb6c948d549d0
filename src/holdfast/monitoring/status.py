"""What ``status`` shows of the hosts that watch a cluster."""

from __future__ import annotations

import asyncio

from holdfast.monitoring.deploy import HEALTH_PATHS, trouble
from holdfast.monitoring.services import DEFAULT_PORTS, watchers
from holdfast.spec.cluster import ServiceSpec
from holdfast.systems.base import Cluster, NodeView, Role


async def watcher_views(cluster: Cluster) -> tuple[NodeView, ...]:
    """Return each watching service that was started, as status prints a node; all asked at once."""
    lab = cluster.lab
    there = [one for one in watchers(cluster.spec) if one.name in lab.hosts and one.kind in HEALTH_PATHS]
    return tuple(await asyncio.gather(*(_view(cluster, one) for one in there)))


async def _view(cluster: Cluster, service: ServiceSpec) -> NodeView:
    host = cluster.lab.hosts[service.name]
    wrong = await trouble(cluster.lab, service.kind, host.address) if host.is_on else "its host is off"
    port = cluster.lab.published.get(service.name)
    return NodeView(
        service.name,
        Role.EXPORTER,
        host.address,
        DEFAULT_PORTS[service.kind],
        port.port if port else None,
        "unreachable" if wrong else "running",
        not wrong,
    )


def addresses(cluster: Cluster) -> list[str]:
    """Return a line for each watching service that a person can open."""
    lines = []
    for service in watchers(cluster.spec):
        port = cluster.lab.published.get(service.name)
        if port is not None:
            path = "/metrics" if service.kind == "exporter" else ""
            lines.append(f"{service.kind}: http://127.0.0.1:{port.port}{path}")
    return lines
