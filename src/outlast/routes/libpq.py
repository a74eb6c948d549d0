"""The client's own library tries every node in turn: nothing stands between, and nothing has to be told."""

from __future__ import annotations

from collections.abc import Mapping

from outlast.config.cluster import ClusterSpec
from outlast.hosts.base import PublishedPort
from outlast.routes.base import ROLES, view
from outlast.systems.base import RouteView
from outlast.systems.postgres.settings import POSTGRES_PORT


class LibpqRoute:
    """A connection string that names all nodes and the session attributes that it wants."""

    kind = "libpq"
    services: tuple[str, ...] = ()
    prepared = True

    def views(self, spec: ClusterSpec, published: Mapping[str, PublishedPort]) -> tuple[RouteView, ...]:
        """Return the route to each role; there is one for every cluster of servers."""
        hosts = [(node.address, POSTGRES_PORT) for node in spec.nodes]
        return tuple(view(self.kind, role, hosts, spec) for role in ROLES)
