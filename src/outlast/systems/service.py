"""What runs beside the nodes on a host of its own: a balancer, a pooler, an exporter.

A cluster's spec lists its services. Kinds that belong to a system (a monitor, a Pgpool-II) are that system's own
business; any other kind is a Service, found by name in ``clusters/service_registry.py``, and works beside every system.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from outlast.config.cluster import ClusterSpec, ServiceSpec
from outlast.systems.base import Cluster, Role


class Service(Protocol):
    """A kind of service. Stateless: what runs is asked of the host."""

    @property
    def kind(self) -> str:
        """Its name in a spec: ``haproxy``."""
        ...

    @property
    def role(self) -> Role:
        """What ``status`` calls it."""
        ...

    @property
    def ports(self) -> Mapping[str, int]:
        """Where it listens, by purpose; "" is its main port. Each is published, as NAME or NAME/PURPOSE."""
        ...

    @property
    def processes(self) -> tuple[str, ...]:
        """The names of its processes, in the order in which they are started."""
        ...

    @property
    def logs(self) -> Mapping[str, str]:
        """Its logs by name: paths below its host's folder."""
        ...

    def available(self, spec: ClusterSpec) -> str | None:
        """Return why it can't be run here beside this cluster, None when it can."""
        ...

    async def start(self, cluster: Cluster, service: ServiceSpec) -> None:
        """Start, on its host, whichever of its processes does not run, and return once it serves or time is up.

        Raises ClusterError with its own words when it does not start; a cluster without a primary is no error.
        """
        ...

    async def is_healthy(self, cluster: Cluster, service: ServiceSpec) -> bool:
        """Return whether it serves now."""
        ...


@runtime_checkable
class Refreshable(Protocol):
    """A service that is told which nodes there are, and can be told anew while it serves."""

    async def refresh(self, cluster: Cluster, service: ServiceSpec) -> None:
        """Have it know the spec's nodes; what it carries goes on. Raises ClusterError when it does not serve after."""
        ...
