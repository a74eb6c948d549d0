"""Brings a Patroni cluster up.

    etcd ─────────────┐
    seed ─▶ primary ──┴─▶ Patroni adopts it ─▶ Patroni on the others: base backups, streaming ─▶ profile

The first server is started from the cached seed by us while etcd elects; Patroni then takes over the running
server, the way its documentation converts a standalone one. Everything after that is Patroni's.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from typing import Final

from ruamel.yaml import YAML

from holdfast.errors import ClusterError, UnavailableError
from holdfast.hosts.base import Host, Lab, Program
from holdfast.spec.cluster import ClusterSpec, NodeSpec
from holdfast.systems import credentials
from holdfast.systems.base import Progress
from holdfast.systems.etcd import member as etcd
from holdfast.systems.patroni import settings
from holdfast.systems.patroni.cluster import PatroniCluster
from holdfast.systems.postgres.install import PostgresInstall, find
from holdfast.systems.postgres.seed import POSTGRES_UID, SUPERUSER, ensure_seed
from holdfast.systems.postgres.server import PostgresServer, last_lines
from holdfast.systems.postgres.views import standby_views
from holdfast.systems.wait import until

DCS_TIMEOUT_S: Final = 60.0
PRIMARY_TIMEOUT_S: Final = 120.0
REPLICA_TIMEOUT_S: Final = 90.0
COPY_TIMEOUT_S: Final = 60.0

# All that Patroni imports while it starts, without patroni.__main__ itself, which runs as the program.
PRELOAD: Final = (
    "patroni.api",
    "patroni.config",
    "patroni.config_generator",
    "patroni.daemon",
    "patroni.dcs.etcd3",
    "patroni.ha",
    "patroni.log",
    "patroni.postgresql",
    "patroni.request",
    "patroni.watchdog.linux",
)


class PatroniSystem:
    """PostgreSQL under Patroni."""

    name = "patroni"

    def available(self, spec: ClusterSpec) -> str | None:
        """Return why this machine can't run spec, None when it can."""
        try:
            find(spec.version)
            etcd.etcd_program()
        except UnavailableError as error:
            return error.message
        return None

    def attach(self, lab: Lab, spec: ClusterSpec) -> PatroniCluster:
        """Return the cluster that runs in a lab that was deployed before."""
        return PatroniCluster(lab, spec, credentials.load(lab.folder))

    async def deploy(self, lab: Lab, spec: ClusterSpec, progress: Progress) -> PatroniCluster:
        """Put the cluster on a fresh lab and return once its primary takes writes and Patroni leads it.

        The standbys are still cloning then: cluster.view().ready says when it is whole.
        """
        install = find(spec.version)
        users = (SUPERUSER, settings.REPLICATOR, settings.REST_USER, spec.user)
        cluster = PatroniCluster(lab, spec, credentials.generate(lab.folder, users))
        progress("starting etcd")
        pace = etcd.timing(len(spec.dcs), spec.profile)
        for member in spec.dcs:
            host = await lab.add_host(member.name, member.address)
            await etcd.start_member(host, spec.dcs, pace)
            await lab.publish(member.name, member.address, etcd.CLIENT_PORT, member.port)
        await lab.preload(PRELOAD)
        for node in spec.nodes:
            host = await lab.add_host(node.name, node.address)
            document = settings.member_document(spec, node, install, cluster.credentials, host.folder)
            await host.put("patroni.yml", _yaml(document))
            await lab.publish(node.name, node.address, settings.POSTGRES_PORT, node.port)
        first = spec.primary()
        progress("starting the first server")
        await asyncio.gather(
            self._start_first(cluster, lab.hosts[first.name], install), self._wait_for_etcd(cluster)
        )
        progress("Patroni takes over")
        await cluster.start_patroni(first.name)
        await self._until(
            lambda: self._leads(cluster, first.name),
            PRIMARY_TIMEOUT_S,
            f"Patroni on {first.name} to lead",
            cluster,
            first.name,
        )
        return cluster

    async def complete(self, cluster: PatroniCluster, progress: Progress) -> None:
        """Start the other nodes, wait until all is whole, and set the profile's timing.

        Raises ClusterError naming the node that is late, with its last log lines.
        """
        spec = cluster.spec
        first = spec.primary()
        others = [node for node in spec.nodes if node is not first]
        for node in others:
            await cluster.start_patroni(node.name)
        progress(f"{len(others)} standbys are cloning")
        await self._wait_for_standbys(cluster, first, others)
        wanted = settings.TIMINGS[spec.profile]
        # A change of the configuration also wakes the leader, who then names the synchronous standby at once.
        await self._configure(cluster, first, settings.BRING_UP_TIMING)
        await self._until(
            lambda: self._is_whole(cluster), REPLICA_TIMEOUT_S, "the cluster to be whole", cluster
        )
        if wanted != settings.BRING_UP_TIMING:
            await self._configure(cluster, first, wanted)

    async def _start_first(self, cluster: PatroniCluster, host: Host, install: PostgresInstall) -> None:
        spec = cluster.spec
        seed = await ensure_seed(host, install, checksums=spec.checksums)
        copied = await host.run(
            Program(
                "cp", ["cp", "-a", "--reflink=auto", str(seed), str(host.folder / "data")], "log/seed.log"
            ),
            timeout_s=COPY_TIMEOUT_S,
        )
        if copied.code != 0:
            raise ClusterError(f"the seed could not be copied to {host.name}: {copied.stderr.strip()}")
        server = PostgresServer(host, install, cluster.credentials.passfile)
        parameters = settings.server_parameters(spec)
        parameters["listen_addresses"] = settings.listen_addresses(spec.primary())
        await server.configure(parameters, settings.hba_lines(spec))
        await _create_roles(cluster, host, install)
        await server.start(PRIMARY_TIMEOUT_S)

    async def _wait_for_etcd(self, cluster: PatroniCluster) -> None:
        async def elected() -> str:
            return "" if await etcd.leader(cluster.lab, cluster.spec.dcs) else "no member leads"

        await self._until(elected, DCS_TIMEOUT_S, "etcd to elect", cluster, cluster.spec.dcs[0].name)

    async def _leads(self, cluster: PatroniCluster, node: str) -> str:
        try:
            answer = await cluster.rest(node, "GET", "/leader")
        except OSError as error:
            return f"its REST API does not answer ({error})"
        return "" if answer.status == 200 else f"it says {answer.status}: {answer.field('state')}"

    async def _wait_for_standbys(
        self, cluster: PatroniCluster, first: NodeSpec, others: list[NodeSpec]
    ) -> None:
        connection = await cluster.connect(first.name, timeout_s=10.0)
        try:
            seen: dict[str, str] = {}

            async def streaming() -> str:
                seen.clear()
                seen.update({one.name: one.state for one in await standby_views(connection)})
                late = [node.name for node in others if seen.get(node.name) != "streaming"]
                return f"{late[0]} is {seen.get(late[0], 'not connected')}" if late else ""

            await self._until(
                streaming,
                REPLICA_TIMEOUT_S,
                "all standbys to stream",
                cluster,
                *(node.name for node in others),
            )
        finally:
            await connection.close()

    async def _is_whole(self, cluster: PatroniCluster) -> str:
        return (await cluster.view()).missing

    async def _configure(
        self, cluster: PatroniCluster, leader: NodeSpec, timing: settings.PatroniTiming
    ) -> None:
        wanted = {"ttl": timing.ttl, "loop_wait": timing.loop_wait, "retry_timeout": timing.retry_timeout}
        answer = await cluster.rest(leader.name, "PATCH", "/config", wanted, timeout_s=10.0)
        if answer.status != 200:
            raise ClusterError(f"Patroni did not take its timing {wanted}: {answer.status} {answer.body}")

    async def _until(
        self,
        missing: Callable[[], Awaitable[str]],
        timeout_s: float,
        what: str,
        cluster: PatroniCluster,
        *suspects: str,
    ) -> None:
        """Wait until missing() returns "", else raise ClusterError with the suspects' last log lines."""
        try:
            await until(missing, timeout_s, what)
        except ClusterError as error:
            words = "".join(
                f"\n--- {name} on {suspect}\n{last_lines(path)}"
                for suspect in suspects
                for name, path in cluster.log_files(suspect).items()
            )
            raise ClusterError(error.message + words) from error


async def _create_roles(cluster: PatroniCluster, host: Host, install: PostgresInstall) -> None:
    """Give the superuser its password and make the other roles and the database, before any server listens.

    In single-user mode: no window in which a password is not asked for, and none in argv.
    """
    spec, words = cluster.spec, cluster.credentials
    statements = [
        f"ALTER ROLE {SUPERUSER} PASSWORD {_literal(words.password(SUPERUSER))}",
        f"CREATE ROLE {settings.REPLICATOR} REPLICATION LOGIN PASSWORD {_literal(words.password(settings.REPLICATOR))}",
        f"CREATE ROLE {_identifier(spec.user)} LOGIN PASSWORD {_literal(words.password(spec.user))}",
        f"CREATE DATABASE {_identifier(spec.database)} OWNER {_identifier(spec.user)}",
    ]
    data = str(host.folder / "data")
    argv = [install.program("postgres"), "--single", "-D", data, "-c", "log_statement=none", "postgres"]
    done = await host.run(
        Program("postgres", argv, "log/roles.log", uid=POSTGRES_UID),
        timeout_s=PRIMARY_TIMEOUT_S,
        stdin="".join(f"{statement};\n" for statement in statements).encode(),
    )
    if done.code != 0 or "ERROR" in done.stderr:
        raise ClusterError(f"the roles could not be made on {host.name}: {done.stderr.strip()}")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _identifier(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _yaml(document: settings.Document) -> bytes:
    stream = io.BytesIO()
    YAML(typ="safe").dump(document, stream)
    return stream.getvalue()
