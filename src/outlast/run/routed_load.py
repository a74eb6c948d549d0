"""Loads that are sent over a route of a system's own instead of libpq: their workers' configs."""

from __future__ import annotations

from dataclasses import replace

from outlast.config import WorkloadSpec
from outlast.errors import UnavailableError
from outlast.systems.base import Cluster, HasRoutes, RouteView
from outlast.workloads.base import Workload
from outlast.workloads.config import WorkerConfig
from outlast.workloads.protocol_client import Routed


def load_route(cluster: Cluster, workload: Routed) -> RouteView:
    """Return the cluster's route for a workload. Raises UnavailableError when it has none."""
    routes = cluster.routes() if isinstance(cluster, HasRoutes) else ()
    taken = next((route for route in routes if route.name == workload.route), None)
    if taken is None:
        names = ", ".join(route.name for route in routes) or "none"
        raise UnavailableError(
            f"{cluster.spec.system} has no route {workload.route}, which this load takes",
            hint=f"its own routes: {names}",
        )
    return taken


def routed_configs(
    cluster: Cluster, workload: Workload, spec: WorkloadSpec, base: WorkerConfig
) -> list[WorkerConfig]:
    """Return the workers of a load; the first one's target is what the final read reads.

    base: what all have in common. Pinned clients keep to their node, whoever leads.
    """
    assert isinstance(workload, Routed)
    taken = load_route(cluster, workload)
    first = replace(
        base,
        dsn=taken.dsn,
        transport=taken.kind,
        target=f"outlast-{workload.name}-{base.epoch_ns:x}",
        nodes={host.address: name for name, host in cluster.lab.hosts.items()},
    )
    if not spec.clients.pinned:
        return [first]
    addresses = dict(part.rpartition(":")[::2] for part in taken.dsn.split(","))
    rate = None if spec.rate_per_s is None else spec.rate_per_s / max(1, spec.clients.follow)
    return [
        first,
        *(
            replace(
                first,
                name=f"{base.name}-at-{node.name}",
                dsn=f"{node.address}:{addresses[node.address]}",
                clients=1,
                rate_per_s=rate,
                pinned=True,
            )
            for node in cluster.spec.nodes
        ),
    ]
