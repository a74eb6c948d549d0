"""Brings a raftlog cluster up: one process a host, which elect among themselves."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from typing import Final

from outlast.config.cluster import ClusterSpec
from outlast.hosts.base import Lab
from outlast.systems import credentials
from outlast.systems.base import Progress
from outlast.systems.consensus import come_up
from outlast.systems.raftlog import settings
from outlast.systems.raftlog.cluster import RaftlogCluster
from outlast.systems.system import no_tls

PACKAGES: Final = ("aiokafka", "boto3", "h11", "kio", "uvloop", "zstandard")
"""What the optional extra ``raftlog`` brings."""

PRELOAD: Final = (
    "uvloop",
    "raftlog.cli",
    "raftlog.admin.api",
    "raftlog.admin.http",
    "raftlog.kafka.server",
    "raftlog.node.node",
)


class RaftlogSystem:
    """The Raft-replicated log."""

    name = "raftlog"
    cluster_type = RaftlogCluster

    def illegal(self, spec: ClusterSpec) -> str | None:
        """Return what of spec no machine can give it, None when it is sound."""
        return no_tls(spec)

    def available(self, spec: ClusterSpec) -> str | None:
        """Return why this machine can't run spec, None when it can."""
        absent = [package for package in PACKAGES if find_spec(package) is None]
        if absent:
            return f"not installed: {', '.join(absent)}; pip install 'outlast[raftlog]' brings what raftlog needs"
        return self.illegal(spec)

    def attach(self, lab: Lab, spec: ClusterSpec) -> RaftlogCluster:
        """Return the cluster that runs in a lab that was deployed before."""
        return RaftlogCluster(lab, spec, credentials.load(lab.folder))

    async def deploy(self, lab: Lab, spec: ClusterSpec, progress: Progress) -> RaftlogCluster:
        """Put the cluster on a fresh lab and return once a majority confirms its leader."""
        cluster = RaftlogCluster(lab, spec, credentials.generate(lab.folder, ()))
        progress("starting the members")
        await lab.preload(PRELOAD)
        published = {}
        for node in spec.nodes:
            await lab.add_host(node.name, node.address)
            kafka = await lab.publish(node.name, node.address, settings.PUBLISHED_PORT, node.port)
            published[node.name] = kafka.port
            await lab.publish(
                f"{node.name}/admin", node.address, settings.ADMIN_PORT, spec.ports.get(f"{node.name}/admin")
            )
        for node in spec.nodes:
            await lab.hosts[node.name].put(settings.CONFIG, settings.config(spec, node, published).encode())
        await asyncio.gather(*(cluster.start_server(node) for node in spec.nodes))
        await come_up(cluster, cluster.takes_writes, "the members to elect a leader")
        return cluster

    async def complete(self, cluster: RaftlogCluster, progress: Progress) -> None:
        """Wait until every member follows."""
        await come_up(cluster, cluster.missing, "every member to follow")


SYSTEM: Final = RaftlogSystem()
