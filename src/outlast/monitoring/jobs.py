"""What Prometheus asks in a lab, and whom Alertmanager tells: worked out from the specification alone."""

from __future__ import annotations

from typing import Final

from outlast.config.cluster import ClusterSpec
from outlast.monitoring import postgres_exporter
from outlast.monitoring.exporter.config import PORT as EXPORTER_PORT
from outlast.monitoring.prometheus import SLOW_SCRAPE_S, ScrapeJob
from outlast.routes.haproxy import STATS_PORT, has_metrics
from outlast.systems.etcd.member import CLIENT_PORT
from outlast.systems.programs import missing
from outlast.systems.raftlog.settings import ADMIN_PORT

WITHOUT_SERVERS: Final = ("etcd", "raftlog")
"""Systems whose nodes are no PostgreSQL servers."""

_POSTGRES_METRICS: Final = "outlast_pg_.*|pg_up|pg_exporter_last_scrape_.*"
_HAPROXY_METRICS: Final = "haproxy_(server|backend)_.*"
_ETCD_METRICS: Final = (
    "etcd_server_.*|etcd_disk_.*_(sum|count)|etcd_mvcc_db_.*|etcd_network_peer_sent_failures_total"
)


def jobs(spec: ClusterSpec) -> list[ScrapeJob]:
    """Return what Prometheus asks: the exporters, and what has metrics of its own."""
    found = []
    addresses = [service.address for service in spec.services if service.kind == "exporter"][:1]
    for address in addresses:
        found.append(ScrapeJob("outlast", {f"{address}:{EXPORTER_PORT}": {"lab": spec.name}}))
        if spec.system not in WITHOUT_SERVERS and missing(postgres_exporter.PROGRAM) is None:
            targets = {
                f"{address}:{postgres_exporter.FIRST_PORT + number}": {"node": node.name}
                for number, node in enumerate(spec.nodes)
            }
            found.append(ScrapeJob("postgres", targets, SLOW_SCRAPE_S, _POSTGRES_METRICS))
    if has_metrics():
        balancers = {
            f"{service.address}:{STATS_PORT}": {"balancer": service.name}
            for service in spec.services
            if service.kind == "haproxy"
        }
        if balancers:
            found.append(ScrapeJob("haproxy", balancers, keep=_HAPROXY_METRICS))
    members = spec.nodes if spec.system == "etcd" else spec.dcs
    if members:
        targets = {f"{node.address}:{CLIENT_PORT}": {"member": node.name} for node in members}
        found.append(ScrapeJob("etcd", targets, SLOW_SCRAPE_S, _ETCD_METRICS))
    if spec.system == "raftlog":
        found.append(
            ScrapeJob("raftlog", {f"{node.address}:{ADMIN_PORT}": {"node": node.name} for node in spec.nodes})
        )
    return found


def receiver(spec: ClusterSpec) -> str | None:
    """Return the URL that Alertmanager tells of every alert, None without an exporter."""
    address = next((service.address for service in spec.services if service.kind == "exporter"), None)
    return f"http://{address}:{EXPORTER_PORT}/alerts" if address else None
