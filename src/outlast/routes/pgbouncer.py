"""PgBouncer in transaction mode, on a host of its own, through HAProxy: few connections to servers for many clients.

A client's connection survives a failover; what it had open does not. A statement that was prepared on one server
connection is not on the next, so clients that come this way prepare none. Source: PgBouncer's manual, "Features".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from outlast.config.cluster import ClusterSpec, ServiceSpec
from outlast.errors import ClusterError
from outlast.hosts.base import Program, PublishedPort
from outlast.routes.base import services_of, view
from outlast.routes.haproxy import READ_PORT, WRITE_PORT
from outlast.systems.base import Cluster, Role, RouteView
from outlast.systems.postgres.answering import answers_query
from outlast.systems.postgres.seed import POSTGRES_UID
from outlast.systems.postgres.server import last_lines
from outlast.systems.programs import missing, program
from outlast.systems.wait import wait_for

CLIENT_PORT: Final = 6432
READ_SUFFIX: Final = "_read"
PROCESS: Final = "pgbouncer"
START_TIMEOUT_S: Final = 10.0
LOOK_TIMEOUT_S: Final = 1.0


class PgbouncerRoute:
    """Through every PgBouncer of the spec. Reads have a database of their own: the name with ``_read`` after it."""

    kind = "pgbouncer"
    services: tuple[str, ...] = ("haproxy", "pgbouncer")
    prepared = False

    def views(self, spec: ClusterSpec, published: Mapping[str, PublishedPort]) -> tuple[RouteView, ...]:
        """Return the route to each role; both lead over one port."""
        found = services_of(spec, self.kind)
        if not found or not services_of(spec, "haproxy"):
            return ()
        hosts = [(one.address, CLIENT_PORT) for one in found]
        port = published.get(found[0].name)
        return (
            view(self.kind, Role.PRIMARY, hosts, spec, port),
            view(self.kind, Role.STANDBY, hosts, spec, port, spec.database + READ_SUFFIX),
        )


class PgbouncerService:
    """The program."""

    kind = "pgbouncer"
    role = Role.BALANCER
    ports: Mapping[str, int] = {"": CLIENT_PORT}
    processes: tuple[str, ...] = (PROCESS,)
    logs: Mapping[str, str] = {"pgbouncer": "log/pgbouncer.log"}

    def available(self, spec: ClusterSpec) -> str | None:
        """Needs the program, and an HAProxy that knows the primary."""
        if not services_of(spec, "haproxy"):
            return "it leads through HAProxy, and the cluster has none: add {name: haproxy, kind: haproxy} to services"
        return missing("pgbouncer")

    async def start(self, cluster: Cluster, service: ServiceSpec) -> None:
        """Start it where it does not run, and wait until it accepts connections."""
        host = cluster.lab.hosts[service.name]
        if PROCESS not in {process.name for process in await host.processes() if process.state != "Z"}:
            spec = cluster.spec
            words = {spec.user: cluster.credentials.password(spec.user)}
            users = await host.put("userlist.txt", userlist(words).encode())
            config = await host.put("pgbouncer.ini", pgbouncer_config(spec, service, str(users)).encode())
            argv = [program("pgbouncer"), str(config)]
            await host.spawn(Program(PROCESS, argv, self.logs["pgbouncer"], uid=POSTGRES_UID))

        async def deaf() -> str:  # its port is not published yet, so no query can be asked
            try:
                (await cluster.lab.dial(service.address, CLIENT_PORT, LOOK_TIMEOUT_S)).close()
            except OSError:
                return "it accepts no connection"
            return ""

        try:
            await wait_for(deaf, START_TIMEOUT_S, f"{service.name} to serve")
        except ClusterError as error:
            said = last_lines(host.folder / self.logs["pgbouncer"])
            raise ClusterError(error.message + (f"\n{said}" if said else "")) from error

    async def is_healthy(self, cluster: Cluster, service: ServiceSpec) -> bool:
        """Return whether a query through it is answered, by the primary or, while there is none, by a standby."""
        database = cluster.spec.database
        return await answers_query(
            cluster, [(service.name, database), (service.name, database + READ_SUFFIX)]
        )


def pgbouncer_config(spec: ClusterSpec, service: ServiceSpec, users: str) -> str:
    """Return pgbouncer.ini. users: the path of the file with the users' passwords."""
    hosts = ",".join(one.address for one in services_of(spec, "haproxy"))
    return f"""[databases]
{spec.database}{READ_SUFFIX} = host={hosts} port={READ_PORT} dbname={spec.database}
* = host={hosts} port={WRITE_PORT}
[pgbouncer]
listen_addr = {service.address}
listen_port = {CLIENT_PORT}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = transaction
max_client_conn = 1000
default_pool_size = 20
server_connect_timeout = 3
server_login_retry = 0.2
query_wait_timeout = 20
tcp_user_timeout = 3000
ignore_startup_parameters = extra_float_digits,options
log_connections = 0
log_disconnections = 0
"""


def userlist(passwords: Mapping[str, str]) -> str:
    """Return PgBouncer's file of users. Passwords in clear: it must log in to the servers with them."""
    return "".join(f"{_quoted(user)} {_quoted(word)}\n" for user, word in passwords.items())


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
