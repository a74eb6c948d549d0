"""The routes there are, by name. A new one is a file in this folder and a line here."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from outlast.config.cluster import ClusterSpec, ServiceSpec
from outlast.errors import UnavailableError
from outlast.routes.base import ROLES, Route, services_of
from outlast.routes.haproxy import HaproxyRoute, HaproxyService
from outlast.routes.libpq import LibpqRoute
from outlast.routes.pgbouncer import PgbouncerRoute, PgbouncerService
from outlast.systems.base import Cluster, HasRoutes, HasServers, Role, RouteView
from outlast.systems.service import Service

ROUTES: Final[dict[str, Route]] = {
    route.kind: route for route in (LibpqRoute(), HaproxyRoute(), PgbouncerRoute())
}
"""Routes that lead to any cluster of PostgreSQL servers."""

SERVICES: Final[dict[str, Service]] = {
    service.kind: service for service in (HaproxyService(), PgbouncerService())
}
"""The services that they lead through, by kind."""


def own_route(cluster: Cluster) -> str:
    """Return the route that clients take unless they are told: through a balancer that belongs to the system,
    else libpq."""
    if isinstance(cluster, HasServers) and isinstance(cluster, HasRoutes):
        return next((route.kind for route in cluster.routes()), LibpqRoute.kind)
    return LibpqRoute.kind


def with_route(spec: ClusterSpec, kind: str | None) -> ClusterSpec:
    """Return the cluster with the services that a route leads through, those it lacks added.

    Raises UnavailableError when one of them cannot be run here.
    """
    if kind is None or kind not in ROUTES:
        return spec
    taken = {member.name for member in spec.members()}
    added = tuple(
        ServiceSpec(name=_free(service, taken), kind=service)  # type: ignore[arg-type]
        for service in ROUTES[kind].services
        if not services_of(spec, service)
    )
    spec = replace(spec, services=(*spec.services, *added)) if added else spec
    for service in ROUTES[kind].services:
        if reason := SERVICES[service].available(spec):
            raise UnavailableError(f"the route {kind} cannot be had here: {reason}")
    return spec


def routes(cluster: Cluster) -> tuple[RouteView, ...]:
    """Return all ways that lead to a role of a cluster now, a system's own last."""
    found: list[RouteView] = []
    if isinstance(cluster, HasServers):
        for route in ROUTES.values():
            if all(
                one.name in cluster.lab.hosts
                for kind in route.services
                for one in services_of(cluster.spec, kind)
            ):
                found += route.views(cluster.spec, cluster.lab.published)
    if isinstance(cluster, HasRoutes):
        found += [route for route in cluster.routes() if route.name not in {other.name for other in found}]
    return tuple(found)


def route(cluster: Cluster, kind: str, role: Role) -> RouteView:
    """Return the route of a kind to a role. Raises UnavailableError when this cluster lacks it."""
    found = routes(cluster)
    for one in found:
        if one.name == f"{kind}-{role}":
            return one
    there = ", ".join(dict.fromkeys(one.kind for one in found)) or "none"
    raise UnavailableError(
        f"there is no route {kind} to a {role} of {cluster.spec.name}",
        hint=f"its routes: {there}; a fresh lab gets what a route leads through, without --lab",
    )


def check_route(cluster: Cluster, kind: str) -> None:
    """Raise UnavailableError when clients cannot take a route to this cluster. Where there are no PostgreSQL servers
    they take the system's own, and libpq, the default, means that.
    """
    if isinstance(cluster, HasServers) or kind != LibpqRoute.kind:
        for role in ROLES:
            route(cluster, kind, role)


def carries_prepared(kind: str) -> bool:
    """Return whether statements that a client has prepared stay there on a route of this kind."""
    return ROUTES[kind].prepared if kind in ROUTES else True


def _free(name: str, taken: set[str]) -> str:
    number = 1
    free = name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free
