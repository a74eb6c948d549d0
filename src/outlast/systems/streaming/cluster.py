"""A running cluster of plain streaming replication, with nobody in charge but an operator."""

from __future__ import annotations

from outlast.config.cluster import ClusterSpec
from outlast.hosts.base import Lab
from outlast.systems.base import Progress
from outlast.systems.credentials import Credentials
from outlast.systems.streaming import failover, settings
from outlast.systems.streaming.operator import Operator
from outlast.systems.streaming.replication import ReplicationCluster


class StreamingCluster(ReplicationCluster):
    """Servers that stream, whose primary is moved when a person asks for it, or by the operator of a drill."""

    def __init__(self, lab: Lab, spec: ClusterSpec, credentials: Credentials) -> None:
        super().__init__(lab, spec, credentials, lab.folder)
        self.model = settings.outage_model(spec)

    async def switchover(self, target: str | None) -> str:
        """Stop the primary in order, have target take over with all it wrote, and return the new primary."""
        return await failover.switchover(self, target)

    async def failover(self, target: str | None) -> str:
        """Fence the primary, have target (None: the standby that holds most) take over; returns it."""
        return await failover.failover(self, target, comes_back=True)

    async def operate(self, say: Progress) -> None:
        """Be the operator until cancelled: look at the cluster, and act when its primary is lost."""
        await Operator(self, say).watch()
