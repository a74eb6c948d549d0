"""HAProxy on a host of its own: one port that leads to the primary, one to the standbys.

It asks each node over HTTP whether it is what the port is for, twice a second, and ends the sessions of a node that is
not any more: a client whose connection to a dead or demoted node stays open would wait for it.
Source: HAProxy configuration manual, "option httpchk" and "server and default-server options".
"""

from __future__ import annotations

import csv
import functools
import json
import subprocess
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from outlast.config.cluster import ClusterSpec, NodeSpec, ServiceSpec
from outlast.errors import ClusterError
from outlast.hosts.base import Host, Program, PublishedPort
from outlast.routes.base import services_of, view
from outlast.routes.health import CheckedNode, HealthConfig
from outlast.systems import http
from outlast.systems.base import Cluster, HasHealthChecks, Role, RouteView
from outlast.systems.credentials import PASSFILE
from outlast.systems.postgres.answering import answers_query
from outlast.systems.postgres.seed import POSTGRES_UID
from outlast.systems.postgres.server import last_lines
from outlast.systems.postgres.settings import POSTGRES_PORT
from outlast.systems.programs import missing, program
from outlast.systems.wait import wait_for

WRITE_PORT: Final = 5000
READ_PORT: Final = 5001
STATS_PORT: Final = 7000
PROCESS: Final = "haproxy"
HEALTH_PROCESS: Final = "health"
START_TIMEOUT_S: Final = 15.0
LOOK_TIMEOUT_S: Final = 1.0
CONNECTIONS_MAX: Final = 2000

METRICS_RULE: Final = "http-request use-service prometheus-exporter if { path /metrics }"
_ROLE_PORTS: Final = {Role.PRIMARY: WRITE_PORT, Role.STANDBY: READ_PORT}
_SECTIONS: Final = {Role.PRIMARY: "write", Role.STANDBY: "read"}
_FIRST_HEALTH_PORT: Final = 20_000
_HEALTH_PORTS: Final = 10_000
_UNKNOWN: Final = ("", "INI")


class HaproxyRoute:
    """Through every HAProxy of the spec, in turn when there are several."""

    kind = "haproxy"
    services: tuple[str, ...] = ("haproxy",)
    prepared = True

    def views(self, spec: ClusterSpec, published: Mapping[str, PublishedPort]) -> tuple[RouteView, ...]:
        """Return the route over the write port and the one over the read port."""
        found = services_of(spec, self.kind)
        if not found:
            return ()
        names = {Role.PRIMARY: found[0].name, Role.STANDBY: f"{found[0].name}/read"}
        return tuple(
            view(self.kind, role, [(one.address, port) for one in found], spec, published.get(names[role]))
            for role, port in _ROLE_PORTS.items()
        )


class HaproxyService:
    """The program. For a system whose nodes have no health check, a second one asks them for it."""

    kind = "haproxy"
    role = Role.BALANCER
    ports: Mapping[str, int] = {"": WRITE_PORT, "read": READ_PORT, "stats": STATS_PORT}
    processes: tuple[str, ...] = (HEALTH_PROCESS, PROCESS)
    logs: Mapping[str, str] = {"haproxy": "log/haproxy.log", "health": "log/health.log"}

    def available(self, spec: ClusterSpec) -> str | None:
        """Needs the program, and PostgreSQL servers to lead to."""
        if spec.system in ("etcd", "raftlog"):
            return f"{spec.system} has no PostgreSQL servers to lead to"
        return missing("haproxy")

    async def start(self, cluster: Cluster, service: ServiceSpec) -> None:
        """Start what does not run, and wait until HAProxy has checked every node once."""
        host = cluster.lab.hosts[service.name]
        running = {process.name for process in await host.processes() if process.state != "Z"}
        if not isinstance(cluster, HasHealthChecks):
            await self._start_health(cluster, host, is_running=HEALTH_PROCESS in running)
        if PROCESS not in running:
            await self._start_haproxy(cluster, service, ())
        await self._serving(cluster, service)

    async def refresh(self, cluster: Cluster, service: ServiceSpec) -> None:
        """Start a new HAProxy that takes the ports over; the old one ends with its last session, or after 3 s, because
        it checks no node any more."""
        host = cluster.lab.hosts[service.name]
        old = [
            str(process.pid)
            for process in await host.processes()
            if process.name == PROCESS and process.state != "Z"
        ]
        if not isinstance(cluster, HasHealthChecks):
            await self._start_health(cluster, host, is_running=True)
        await self._start_haproxy(cluster, service, ("-sf", *old) if old else ())
        await self._serving(cluster, service)

    async def _start_haproxy(self, cluster: Cluster, service: ServiceSpec, more: Sequence[str]) -> None:
        host = cluster.lab.hosts[service.name]
        config = await host.put("haproxy.cfg", haproxy_config(cluster, service).encode())
        argv = [program("haproxy"), "-db", "-f", str(config), *more]
        await host.spawn(Program(PROCESS, argv, self.logs["haproxy"], uid=POSTGRES_UID))

    async def _serving(self, cluster: Cluster, service: ServiceSpec) -> None:
        host = cluster.lab.hosts[service.name]
        try:
            await wait_for(lambda: _unchecked(cluster, service), START_TIMEOUT_S, f"{service.name} to serve")
        except ClusterError as error:
            words = last_lines(host.folder / self.logs["haproxy"])
            raise ClusterError(error.message + (f"\n{words}" if words else "")) from error

    async def is_healthy(self, cluster: Cluster, service: ServiceSpec) -> bool:
        """Return whether a query through it is answered, by the primary or, while there is none, by a standby."""
        database = cluster.spec.database
        return await answers_query(cluster, [(service.name, database), (f"{service.name}/read", database)])

    async def _start_health(self, cluster: Cluster, host: Host, *, is_running: bool) -> None:
        """Write down which nodes are asked; the program reads that again whenever it has changed."""
        await host.put(PASSFILE, cluster.credentials.passfile.read_bytes())
        spec = cluster.spec
        config = HealthConfig(
            tuple(
                CheckedNode(node.name, node.address, POSTGRES_PORT, _health_port(spec, node))
                for node in spec.nodes
            ),
            spec.database,
            spec.user,
            str(host.folder / PASSFILE),
        )
        path = await host.put("health.json", json.dumps(config.to_document()).encode())
        if is_running:
            return
        argv = ["outlast.routes.health:main", str(path)]
        await host.spawn(Program(HEALTH_PROCESS, argv, self.logs["health"], uid=POSTGRES_UID, module=True))


def haproxy_config(cluster: Cluster, service: ServiceSpec) -> str:
    """Return haproxy.cfg for a service of a cluster."""
    spec = cluster.spec
    listeners = {}
    for role, section in _SECTIONS.items():
        check = cluster.health_check(role) if isinstance(cluster, HasHealthChecks) else None
        lines = [
            f"listen {section}",
            f"    bind {service.address}:{_ROLE_PORTS[role]}",
            f"    option httpchk OPTIONS {check.path if check else f'/{role}'}",
            "    http-check expect status 200",
        ]
        if role is Role.STANDBY:  # reads are better served by the primary than not at all
            lines.append("    use_backend fallback if { nbsrv(read) eq 0 }")
        for node in spec.nodes:
            asked = f"port {check.port}" if check else f"addr 127.0.0.1 port {_health_port(spec, node)}"
            lines.append(f"    server {node.name} {node.address}:{POSTGRES_PORT} check {asked}")
        listeners[role] = "\n".join(lines)
    followers = "\n".join(
        f"    server {node.name} {node.address}:{POSTGRES_PORT} track write/{node.name}"
        for node in spec.nodes
    )
    return f"""global
    maxconn {CONNECTIONS_MAX}
    hard-stop-after 3s
    log stdout format iso daemon notice
defaults
    mode tcp
    log global
    timeout connect 2s
    timeout check 1s
    timeout client 1h
    timeout server 1h
    default-server inter 500ms fastinter 200ms downinter 250ms fall 2 rise 1 on-marked-down shutdown-sessions
listen stats
    mode http
    bind {service.address}:{STATS_PORT}
    {METRICS_RULE if has_metrics() else ""}
    stats enable
    stats uri /
{listeners[Role.PRIMARY]}
{listeners[Role.STANDBY]}
backend fallback
{followers}
"""


@functools.cache
def has_metrics() -> bool:
    """Return whether this HAProxy was built with its Prometheus exporter; without, it refuses a rule that names it."""
    if missing("haproxy"):
        return False
    done = subprocess.run(
        [program("haproxy"), "-vv"], capture_output=True, text=True, timeout=10, check=False
    )
    return "prometheus-exporter" in done.stdout


def _health_port(spec: ClusterSpec, node: NodeSpec) -> int:
    """Return where a node is asked about: by its address, which stays when others come and go."""
    offset = int(IPv4Address(node.address)) - int(IPv4Network(spec.subnet).network_address)
    return _FIRST_HEALTH_PORT + offset % _HEALTH_PORTS


async def server_states(cluster: Cluster, service: ServiceSpec) -> dict[tuple[str, str], tuple[str, str]]:
    """Return (status, check status) by (section, node), as HAProxy's statistics say them. Raises OSError."""
    answer = await http.request(
        cluster.lab, (service.address, STATS_PORT), "GET", "/;csv", timeout_s=LOOK_TIMEOUT_S
    )
    rows = csv.DictReader(str(answer.body).removeprefix("# ").splitlines())
    return {
        (row["pxname"], row["svname"]): (row["status"], row["check_status"].removeprefix("* "))
        for row in rows
        if row["svname"] not in ("FRONTEND", "BACKEND") and row["pxname"] in _SECTIONS.values()
    }


async def _unchecked(cluster: Cluster, service: ServiceSpec) -> str:
    """Return "" once every node was checked: until then HAProxy takes each for what is asked for."""
    try:
        states = await server_states(cluster, service)
    except OSError as error:
        return f"its statistics do not answer ({error})"
    waiting = [f"{section}/{node}" for (section, node), (_, check) in states.items() if check in _UNKNOWN]
    return f"{', '.join(waiting)} not checked yet" if waiting else ""
