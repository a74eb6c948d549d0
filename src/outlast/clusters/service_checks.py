"""What is wrong with what stands beside a cluster: proxies, balancers, exporters, and dashboards that stay empty.

Parts of ``doctor --lab``; see clusters/cluster_checks.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from outlast.clusters import service_registry
from outlast.clusters.diagnosis import CheckState
from outlast.config.cluster import ServiceSpec
from outlast.monitoring import prometheus
from outlast.systems import http
from outlast.systems.base import Cluster, ClusterView, Role
from outlast.systems.postgres.server import last_lines

Wrong = tuple[CheckState, str, str | None]

LOOK_TIMEOUT_S: Final = 3.0
_SAMPLES: Final = 'count by (job) ({job!="", __name__!~"up|scrape_.*"})'
"""Series of each job but those that Prometheus makes of it even when it gets nothing."""


async def beside(cluster: Cluster, view: ClusterView) -> list[Wrong]:
    """A proxy, balancer or exporter that has a host and does not serve: with its own last words."""
    shown = {view.name: view for view in await service_registry.service_views(cluster)}
    shown |= {node.name: node for node in view.nodes if node.role is Role.BALANCER}
    wrong: list[Wrong] = []
    for name, one in shown.items():
        if one.healthy:
            continue
        if not cluster.lab.hosts[name].is_on:
            wrong.append((CheckState.BAD, f"the host of {name} is off", "outlast heal"))
            continue
        logs = service_registry.log_files(cluster, name)
        words = "".join(f"\n--- {log} on {name}\n{last_lines(path, 4)}" for log, path in logs.items())
        wrong.append(
            (CheckState.BAD, f"{name} does not serve{words}", "outlast heal starts it where it has ended")
        )
    return wrong


async def dashboards(cluster: Cluster, _view: ClusterView) -> list[Wrong]:
    """A Prometheus that gets nothing of what it asks: then a dashboard has nothing to show."""
    wrong: list[Wrong] = []
    for service in cluster.spec.services:
        host = cluster.lab.hosts.get(service.name)
        if service.kind != "prometheus" or host is None:
            continue
        if host.is_on:
            wrong += await _prometheus(cluster, service)
        else:
            said = f"the host of {service.name} is off, so dashboards are empty"
            wrong.append((CheckState.BAD, said, "outlast heal"))
    return wrong


async def _prometheus(cluster: Cluster, service: ServiceSpec) -> list[Wrong]:
    logs = f"outlast logs {service.name}"
    try:
        asked = await _ask(cluster, service, "/api/v1/targets?state=active")
        samples = await _ask(cluster, service, f"/api/v1/query?query={quote(_SAMPLES)}")
    except (OSError, ValueError) as error:
        return [
            (
                CheckState.BAD,
                f"{service.name} does not answer, so dashboards are empty: {error}",
                "outlast heal",
            )
        ]
    wrong: list[Wrong] = []
    jobs: dict[str, bool] = {}
    for target in asked.get("activeTargets", ()):
        job, place = target["labels"].get("job", ""), target.get("scrapeUrl", "")
        waits = target["health"] == "unknown"  # it has been asked for the first time only just now
        jobs[job] = jobs.get(job, False) or waits
        if target["health"] == "down":
            said = f"{service.name} gets nothing from {place}: {target.get('lastError', '')}"
            wrong.append((CheckState.BAD, f"{said}; its panels stay empty", f"{logs}; outlast heal"))
    if not jobs:
        wrong.append((CheckState.BAD, f"{service.name} has nothing to ask, so dashboards are empty", logs))
    filled = {row["metric"].get("job") for row in samples.get("result", ())}
    for job, waits in jobs.items():
        if job not in filled and not waits and not wrong:
            wrong.append(
                (CheckState.BAD, f"{service.name} has no figures of {job}: its panels stay empty", logs)
            )
    return wrong


async def _ask(cluster: Cluster, service: ServiceSpec, path: str) -> Mapping[str, Any]:
    """Return what Prometheus' API answers. Raises OSError, ValueError for an answer that is none."""
    answer = await http.request(
        cluster.lab, (service.address, prometheus.PORT), "GET", path, timeout_s=LOOK_TIMEOUT_S
    )
    data = answer.field("data")
    if answer.status != 200 or not isinstance(data, Mapping):
        raise ValueError(f"it says {answer.status}")
    return data


EXAMINATIONS: Final = {"services": beside, "dashboard empty": dashboards}
