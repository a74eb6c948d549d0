"""Brings up servers that stream, and a Pgpool-II before them."""

from __future__ import annotations

import asyncio
from typing import Final

from outlast.config.cluster import ClusterSpec
from outlast.hosts.base import Lab
from outlast.systems import credentials
from outlast.systems.base import Progress
from outlast.systems.pgpool import settings
from outlast.systems.pgpool.cluster import PgpoolCluster
from outlast.systems.pgpool.rest import program as rest
from outlast.systems.postgres.parameter_check import refused_parameters
from outlast.systems.postgres.settings import text
from outlast.systems.programs import missing
from outlast.systems.streaming.cluster import StreamingCluster
from outlast.systems.streaming.replication import ReplicationCluster
from outlast.systems.streaming.system import StreamingSystem, start_servers, users
from outlast.systems.system import no_tls, no_watchdog
from outlast.systems.wait import wait_for_with_logs, wait_until_ready

WHOLE_TIMEOUT_S: Final = 90.0
REST_TIMEOUT_S: Final = 30.0
AGENT: Final = ("outlast.systems.pgpool.agent",)
TOOLS: Final = ("pgpool", "pcp_node_info", "pcp_attach_node")


class PgpoolSystem:
    """A Pgpool-II over a primary and its standbys. Without the program the servers come up alone."""

    name = "pgpool"
    cluster_type = ReplicationCluster

    def illegal(self, spec: ClusterSpec) -> str | None:
        """Return what of spec no machine can give it, None when it is sound."""
        if settings.balancer(spec) is None:
            return "the cluster has no service of kind pgpool"
        if unknown := settings.unknown(spec):
            return f"Pgpool-II has no setting {unknown}"
        if text(spec.pgpool.get("use_watchdog", "off")).lower() in ("on", "true", "yes", "1"):
            return "a lab has one Pgpool-II, and pgpool.use_watchdog is for several: use_watchdog=off"
        return no_tls(spec) or no_watchdog(spec) or refused_parameters(spec) or refused_parameters(spec)

    def available(self, spec: ClusterSpec) -> str | None:
        """Return why this machine can't run spec, None when it can. Pgpool-II itself may be missing."""
        return self.illegal(spec) or StreamingSystem().available(spec)

    def attach(self, lab: Lab, spec: ClusterSpec) -> ReplicationCluster:
        """Return the cluster that runs in a lab that was deployed before."""
        words = credentials.load(lab.folder)
        balancer = settings.balancer(spec)
        if balancer is None or (lab.hosts and balancer.name not in lab.hosts):
            return StreamingCluster(lab, spec, words)
        return PgpoolCluster(lab, spec, words)

    async def deploy(self, lab: Lab, spec: ClusterSpec, progress: Progress) -> ReplicationCluster:
        """Put the servers on a fresh lab, start Pgpool-II, and return once writes go through it."""
        words = credentials.generate(
            lab.folder, (*users(spec), settings.PCP_USER, settings.AGENT_USER, rest.REST_USER)
        )
        balancer = settings.balancer(spec)
        assert balancer is not None
        if reason := missing(*TOOLS):
            progress(f"left out: {balancer.name}, because {reason}; the servers come up without it")
            alone = StreamingCluster(lab, spec, words)
            await start_servers(alone, progress)
            return alone
        await lab.add_host(balancer.name, balancer.address, power=False)
        cluster = PgpoolCluster(lab, spec, words)
        await start_servers(cluster, progress, AGENT)
        await cluster.write_files()
        progress(f"starting {balancer.name}")
        await cluster.host.power_on()
        await asyncio.gather(
            cluster.start_node(balancer.name), *(cluster.start_agent(node.name) for node in spec.nodes)
        )
        for name, port in ((balancer.name, settings.MAIN_PORT), (f"{balancer.name}/pcp", settings.PCP_PORT)):
            await lab.publish(name, balancer.address, port, spec.ports.get(name))
        if reason := rest.unavailable():
            progress(f"left out: the REST API of {balancer.name}, because {reason}")
        else:
            name = f"{balancer.name}/rest"
            await lab.publish(name, balancer.address, settings.REST_PORT, spec.ports.get(name))
        return cluster

    async def complete(self, cluster: ReplicationCluster, progress: Progress) -> None:
        """Wait until every standby streams and Pgpool-II leads to all of them."""
        await wait_until_ready(cluster, WHOLE_TIMEOUT_S)
        if isinstance(cluster, PgpoolCluster) and rest.unavailable() is None:
            await wait_for_with_logs(
                cluster.rest_missing, REST_TIMEOUT_S, "the REST API", cluster, [cluster.balancer.name]
            )


SYSTEM: Final = PgpoolSystem()
