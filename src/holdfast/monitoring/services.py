"""Which hosts of a lab watch it, and the specification that has them."""

from __future__ import annotations

import dataclasses
from typing import Final

from holdfast.spec.cluster import MONITORING_KINDS, ClusterSpec, ServiceKind, ServiceSpec

DEFAULT_PORTS: Final[dict[str, int]] = {"exporter": 9187, "prometheus": 9090, "alertmanager": 9093}
"""Where each listens, in the lab and, when that is free, on the machine."""

NEEDED: Final[tuple[ServiceKind, ...]] = ("exporter", "prometheus", "alertmanager")


def watchers(spec: ClusterSpec) -> tuple[ServiceSpec, ...]:
    """Return the services of a specification that this room runs."""
    return tuple(one for one in spec.services if one.kind in MONITORING_KINDS)


def watcher(spec: ClusterSpec, kind: str) -> ServiceSpec | None:
    """Return the first service of a kind, None when there is none."""
    return next((one for one in spec.services if one.kind == kind), None)


def with_monitoring(spec: ClusterSpec) -> ClusterSpec:
    """Return a specification that has an exporter, Prometheus and Alertmanager; those it has stay as they are."""
    taken = {member.name for member in spec.members()}
    added = []
    for kind in NEEDED:
        if watcher(spec, kind) is None:
            name = next(
                one for one in (kind, *(f"{kind}-{number}" for number in range(2, 99))) if one not in taken
            )
            taken.add(name)
            added.append(ServiceSpec(name=name, kind=kind))
    return dataclasses.replace(spec, services=(*spec.services, *added)) if added else spec
