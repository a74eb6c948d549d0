"""Brings an etcd cluster up: one member a host."""

from __future__ import annotations

import asyncio
from typing import Final

from outlast.config.cluster import ClusterSpec
from outlast.errors import UnavailableError
from outlast.hosts.base import Lab
from outlast.systems import credentials
from outlast.systems.base import Progress
from outlast.systems.consensus import come_up
from outlast.systems.etcd import member
from outlast.systems.etcd.cluster import EtcdCluster
from outlast.systems.system import no_tls, no_watchdog


class EtcdSystem:
    """etcd, as a database of its own."""

    name = "etcd"
    cluster_type = EtcdCluster

    def illegal(self, spec: ClusterSpec) -> str | None:
        """Return what of spec no machine can give it, None when it is sound."""
        return no_tls(spec) or no_watchdog(spec)

    def available(self, spec: ClusterSpec) -> str | None:
        """Return why this machine can't run spec, None when it can."""
        try:
            member.etcd_program(spec.etcd)
        except UnavailableError as error:
            return f"{error.message}; {error.hint}"
        return self.illegal(spec)

    def attach(self, lab: Lab, spec: ClusterSpec) -> EtcdCluster:
        """Return the cluster that runs in a lab that was deployed before."""
        return EtcdCluster(lab, spec, credentials.load(lab.folder))

    async def deploy(self, lab: Lab, spec: ClusterSpec, progress: Progress) -> EtcdCluster:
        """Put the cluster on a fresh lab and return once a majority confirms its leader."""
        cluster = EtcdCluster(lab, spec, credentials.generate(lab.folder, ()))
        progress("starting the members")
        for node in spec.nodes:
            await lab.add_host(node.name, node.address)
            await lab.publish(node.name, node.address, member.CLIENT_PORT, node.port)
        await asyncio.gather(*(cluster.start_server(node) for node in spec.nodes))
        await come_up(cluster, cluster.takes_writes, "the members to elect a leader")
        return cluster

    async def complete(self, cluster: EtcdCluster, progress: Progress) -> None:
        """Wait until every member follows."""
        await come_up(cluster, cluster.missing, "every member to follow")


SYSTEM: Final = EtcdSystem()
