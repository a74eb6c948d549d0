"""Brings a Patroni cluster up.

    etcd, import Patroni ─▶ hosts ─┐
    seed ─▶ copies, roles ─────────┴─▶ servers ─▶ Patroni adopts the primary ─▶ and the standbys ─▶ profile

The servers are started by us, while etcd elects. All start from copies of one stopped server, so a standby can follow
the primary from its first byte and needs no base backup. Patroni then takes over running servers, as its
documentation converts an existing cluster. It would take seconds more to do the same by itself: it looks once a
second whether a server that it has started accepts connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from outlast.config.cluster import ClusterSpec, NodeSpec
from outlast.errors import UnavailableError
from outlast.hosts.base import Lab
from outlast.systems import credentials
from outlast.systems.base import Progress
from outlast.systems.etcd import member as etcd
from outlast.systems.patroni import settings
from outlast.systems.patroni.cluster import PatroniCluster
from outlast.systems.postgres.bootstrap import make_data, not_streaming
from outlast.systems.postgres.install import find
from outlast.systems.postgres.parameter_check import refused_parameters
from outlast.systems.postgres.seed import SUPERUSER
from outlast.systems.postgres.server import PostgresServer
from outlast.systems.postgres.settings import POSTGRES_PORT, REPLICATOR, hba_lines, own_parameters
from outlast.systems.system import no_tls
from outlast.systems.wait import wait_for_with_logs


@dataclass(frozen=True, slots=True)
class PatroniTimeouts:
    """How long each part of a bring-up may take, seconds. Generous: what comes up in two may take thirty on a busy
    machine, and a wait ends as soon as it may."""

    dcs_s: float = 60.0
    primary_s: float = 120.0
    replica_s: float = 90.0


TIMEOUTS: Final = PatroniTimeouts()

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
    cluster_type = PatroniCluster

    def __init__(self, timeouts: PatroniTimeouts = TIMEOUTS) -> None:
        self._timeouts = timeouts

    def illegal(self, spec: ClusterSpec) -> str | None:
        """Return what of spec no machine can give it, None when it is sound."""
        return (
            settings.illegal_timing(spec)
            or settings.illegal_tags(spec)
            or no_tls(spec)
            or refused_parameters(spec)
        )

    def available(self, spec: ClusterSpec) -> str | None:
        """Return why this machine can't run spec, None when it can."""
        try:
            find(spec.version)
            etcd.etcd_program(spec.etcd)
        except UnavailableError as error:
            return error.message
        return self.illegal(spec)

    def attach(self, lab: Lab, spec: ClusterSpec) -> PatroniCluster:
        """Return the cluster that runs in a lab that was deployed before."""
        return PatroniCluster(lab, spec, credentials.load(lab.folder))

    async def deploy(self, lab: Lab, spec: ClusterSpec, progress: Progress) -> PatroniCluster:
        """Put the cluster on a fresh lab and return once Patroni leads a primary that takes writes."""
        install = find(spec.version)
        users = (SUPERUSER, REPLICATOR, settings.REST_USER, spec.user)
        cluster = PatroniCluster(lab, spec, credentials.generate(lab.folder, users))
        progress("starting etcd and the servers")
        servers = {}
        for node in spec.nodes:
            servers[node.name] = PostgresServer(await cluster.make_host(node), install)
        await asyncio.gather(
            self._start_hosts(cluster),
            make_data(lab, spec, cluster.credentials, servers, self._timeouts.primary_s),
        )
        await asyncio.gather(self._start_servers(cluster, servers), self._wait_for_etcd(cluster))
        progress("Patroni takes over")
        first = spec.primary()
        await cluster.start_patroni(first.name)
        await wait_for_with_logs(
            lambda: self._answers(cluster, first.name, "/leader"),
            self._timeouts.primary_s,
            f"Patroni on {first.name} to lead",
            cluster,
            [first.name],
        )
        return cluster

    async def complete(self, cluster: PatroniCluster, progress: Progress) -> None:
        """Start Patroni on the other nodes, wait until all is whole, and set the profile's timing."""
        spec = cluster.spec
        first = spec.primary()
        others = [node.name for node in spec.nodes if node is not first]
        progress(f"{len(others)} standbys join")
        await asyncio.gather(*(cluster.start_patroni(name) for name in others))
        await asyncio.gather(*(self._until_replica(cluster, name) for name in others))
        wanted = settings.timing(spec)
        # A change of the configuration also wakes the leader, who then names the synchronous standby at once.
        await self._configure(cluster, first, settings.BRING_UP_TIMING)
        await wait_for_with_logs(
            lambda: self._missing(cluster),
            self._timeouts.replica_s,
            "the cluster to be whole",
            cluster,
            others,
        )
        if wanted != settings.BRING_UP_TIMING:
            await self._configure(cluster, first, wanted)

    async def _start_hosts(self, cluster: PatroniCluster) -> None:
        """Start etcd; while it elects, have the lab import Patroni once for all nodes, then switch them on."""
        spec, lab = cluster.spec, cluster.lab
        for member in spec.dcs:
            await lab.add_host(member.name, member.address)
            await cluster.start_etcd(member.name)
            await lab.publish(member.name, member.address, etcd.CLIENT_PORT, member.port)
        await lab.preload(PRELOAD)
        for node in spec.nodes:
            await lab.hosts[node.name].power_on()
            await lab.publish(node.name, node.address, POSTGRES_PORT, node.port)
            if (rest := spec.ports.get(f"{node.name}/rest")) is not None:
                await lab.publish(f"{node.name}/rest", node.address, settings.REST_PORT, rest)

    async def _start_servers(self, cluster: PatroniCluster, servers: Mapping[str, PostgresServer]) -> None:
        """Start all servers from their copies of the seed: the others follow the primary from its first byte."""
        from patroni.dcs import (
            slot_name_from_member_name,
        )  # here: most commands need nothing of Patroni's code

        spec = cluster.spec
        primary = spec.primary()
        first = servers[primary.name]
        others = [node for node in spec.nodes if node is not primary]
        for node in spec.nodes:
            await servers[node.name].configure(own_parameters(spec, node), hba_lines(spec))
        await first.start(self._timeouts.primary_s)
        slots = {node.name: slot_name_from_member_name(node.name) for node in others}
        connection = await cluster.connect(primary.name, timeout_s=10.0)
        try:
            for slot in slots.values():
                await connection.execute("SELECT pg_create_physical_replication_slot(%s, true)", (slot,))
            for name, slot in slots.items():
                await servers[name].become_standby_of(primary.address, REPLICATOR, slot)
            await asyncio.gather(*(servers[name].start(self._timeouts.replica_s) for name in slots))
            # A slot in use survives Patroni's first look, which drops the slots of members it does not know yet.
            await wait_for_with_logs(
                lambda: not_streaming(connection, slots),
                self._timeouts.replica_s,
                "the standbys to stream",
                cluster,
                slots,
            )
        finally:
            await connection.close()

    async def _wait_for_etcd(self, cluster: PatroniCluster) -> None:
        async def elected() -> str:
            return "" if await etcd.leader(cluster.lab, cluster.spec.dcs) else "no member leads"

        await wait_for_with_logs(
            elected, self._timeouts.dcs_s, "etcd to elect", cluster, [cluster.spec.dcs[0].name]
        )

    async def _until_replica(self, cluster: PatroniCluster, node: str) -> None:
        await wait_for_with_logs(
            lambda: self._follows(cluster, node),
            self._timeouts.replica_s,
            f"{node} to follow",
            cluster,
            [node],
        )

    async def _follows(self, cluster: PatroniCluster, node: str) -> str:
        """Return "" once Patroni has adopted a running standby, else what it says.

        Its ``/replica`` answers where load balancers ask whether to send queries, and says 503 for some tags by design.
        """
        answer = await cluster.manager(node)
        if answer is None:
            return "its REST API does not answer"
        role, state = answer.field("role"), answer.field("state")
        return "" if role == "replica" and state in settings.FOLLOWING else f"it says {role}, {state}"

    async def _answers(self, cluster: PatroniCluster, node: str, path: str) -> str:
        """Return "" once Patroni's health check at path says 200, else what it says."""
        try:
            answer = await cluster.rest(node, "GET", path)
        except OSError as error:
            return f"its REST API does not answer ({error})"
        return "" if answer.status == 200 else f"it says {answer.status}: {answer.field('state')}"

    async def _missing(self, cluster: PatroniCluster) -> str:
        return (await cluster.view()).missing

    async def _configure(
        self, cluster: PatroniCluster, leader: NodeSpec, timing: settings.PatroniTiming
    ) -> None:
        wanted = {"ttl": timing.ttl, "loop_wait": timing.loop_wait, "retry_timeout": timing.retry_timeout}

        async def refused() -> str:
            """Its API resets connections while it takes in its own first settings, and says 503 before that."""
            try:
                answer = await cluster.rest(leader.name, "PATCH", "/config", wanted, timeout_s=10.0)
            except OSError as error:
                return f"its REST API does not answer ({error})"
            return "" if answer.status == 200 else f"it says {answer.status}"

        await wait_for_with_logs(
            refused, self._timeouts.replica_s, f"Patroni to take its timing {wanted}", cluster, [leader.name]
        )


SYSTEM: Final = PatroniSystem()
