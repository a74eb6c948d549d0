"""What a route is: a way for clients in the lab to reach whichever node holds a role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from outlast.config.cluster import ClusterSpec, ServiceSpec
from outlast.hosts.base import PublishedPort
from outlast.systems.base import Role, RouteView
from outlast.systems.postgres.dsn import multi_host_dsn

ROLES: Final[Mapping[Role, str]] = {Role.PRIMARY: "read-write", Role.STANDBY: "prefer-standby"}
"""The roles that a route leads to, and what libpq calls the wish for it. It also asks through a balancer: one that
has not noticed yet that its server was demoted would lead to a node that refuses writes."""


class Route(Protocol):
    """A kind of route. Stateless."""

    @property
    def kind(self) -> str:
        """Its name: what ``--route`` takes."""
        ...

    @property
    def services(self) -> tuple[str, ...]:
        """The kinds of services that it leads through, in the order in which they start; () for none."""
        ...

    @property
    def prepared(self) -> bool:
        """Whether a statement that a client has prepared is there when it comes back."""
        ...

    def views(self, spec: ClusterSpec, published: Mapping[str, PublishedPort]) -> tuple[RouteView, ...]:
        """Return the route to each role, () where the spec lacks what it leads through."""
        ...


def services_of(spec: ClusterSpec, kind: str) -> tuple[ServiceSpec, ...]:
    """Return a spec's services of a kind."""
    return tuple(service for service in spec.services if service.kind == kind)


def view(
    kind: str,
    role: Role,
    hosts: Sequence[tuple[str, int]],
    spec: ClusterSpec,
    published: PublishedPort | None = None,
    database: str | None = None,
) -> RouteView:
    """Return the route to a role over any of hosts. database: where it differs from the cluster's."""
    dsn = multi_host_dsn(hosts, database or spec.database, spec.user, ROLES[role])
    return RouteView(f"{kind}-{role}", kind, dsn, published.port if published else None)
