"""What a system is: a kind of cluster, which it brings up in a lab."""

from __future__ import annotations

from typing import Protocol, TypeVar

from outlast.config.cluster import ClusterSpec
from outlast.hosts.base import Lab
from outlast.systems.base import Cluster, Progress

ClusterT = TypeVar("ClusterT", bound=Cluster)


class System(Protocol[ClusterT]):
    """A kind of cluster."""

    @property
    def name(self) -> str:
        """``patroni``, ``streaming``, …"""
        ...

    @property
    def cluster_type(self) -> type[ClusterT]:
        """What its clusters are, so that their capabilities are known before there is one."""
        ...

    def illegal(self, spec: ClusterSpec) -> str | None:
        """Return what of spec no machine can give this system, or None."""
        ...

    def available(self, spec: ClusterSpec) -> str | None:
        """Return why this machine can't run spec, or None when it can."""
        ...

    async def deploy(self, lab: Lab, spec: ClusterSpec, progress: Progress) -> ClusterT:
        """Put the cluster on a fresh lab and return once its primary takes writes.

        Raises ClusterError, with the node's own last log lines, when it does not come up in time.
        """
        ...

    async def complete(self, cluster: ClusterT, progress: Progress) -> None:
        """Bring a deployed cluster to where view().ready holds, in its profile. Raises as deploy does."""
        ...

    def attach(self, lab: Lab, spec: ClusterSpec) -> ClusterT:
        """Return the cluster that runs in a lab that was deployed before."""
        ...


def no_tls(spec: ClusterSpec) -> str | None:
    """Say that this version sets no TLS up, where it is asked for; None where it is not."""
    return f"tls is not set up for {spec.system} by this version: tls=off" if spec.tls else None


def no_watchdog(spec: ClusterSpec) -> str | None:
    """Say that no manager is there for a watchdog to guard, where one is asked for; None where it is not."""
    return f"{spec.system} has no manager for a watchdog to guard: watchdog=off" if spec.watchdog else None
