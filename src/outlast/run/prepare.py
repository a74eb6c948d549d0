"""Prepares a drill: what it says makes sense, its plan is made, it can be run here, and who judges it is known.

    DrillSpec ─▶ plan_drill ─▶ PlannedDrill ─▶ prepare_drill ─▶ PreparedDrill
                 before there is a lab          on the cluster

Each is done once; what comes after is handed the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from outlast.checkers.base import Checker
from outlast.config import ClusterSpec, DrillSpec
from outlast.config.drill import check_targets
from outlast.errors import ConfigError, UnavailableError
from outlast.faults.registry import fault
from outlast.routes.registry import check_route, own_route
from outlast.run.checks import Terms, make_checkers, validate_checks
from outlast.run.plan import PlannedInjection, make_plan
from outlast.run.restored_final_read import check_restorable
from outlast.run.routed_load import load_route
from outlast.systems.base import CAPABILITIES, Cluster, HasServers
from outlast.workloads import WORKLOADS
from outlast.workloads.base import Workload, with_defaults
from outlast.workloads.protocol_client import Routed


@dataclass(frozen=True, slots=True)
class PlannedDrill:
    """A drill that makes sense, and its plan. There need not be a cluster yet."""

    drill: DrillSpec
    plan: tuple[PlannedInjection, ...]


@dataclass(frozen=True, slots=True)
class PreparedDrill:
    """A drill that can be run on one cluster. spec: the cluster's. route: the kind its clients take."""

    drill: DrillSpec
    plan: tuple[PlannedInjection, ...]
    spec: ClusterSpec
    checkers: tuple[Checker, ...]
    route: str


def plan_drill(drill: DrillSpec, spec: ClusterSpec | None) -> PlannedDrill:
    """Return the drill with its plan, or say what of it makes no sense on such a cluster: there need not be one yet.

    spec: whose members it may name, None where that is not known. Raises ConfigError for an unknown workload,
    parameter, capability, fault, target or check.
    """
    for name, workload in drill.workload.items():
        if name not in WORKLOADS:
            raise ConfigError(
                f"there is no workload {name}",
                file=f"drill {drill.name}",
                key="workload",
                hint=f"choose from: {', '.join(sorted(WORKLOADS))}",
            )
        with_defaults(WORKLOADS[name], workload.params)
    for need in drill.needs:
        if need not in CAPABILITIES:
            raise ConfigError(
                f"there is no capability {need}",
                file=f"drill {drill.name}",
                key="needs",
                hint=f"choose from: {', '.join(CAPABILITIES)}",
            )
    if spec is not None:
        check_targets(drill, spec)
    plan = make_plan(drill)
    validate_checks(drill)
    return PlannedDrill(drill, plan)


def prepare_drill(planned: PlannedDrill, cluster: Cluster) -> PreparedDrill:
    """Return the drill ready to run on this cluster, or say why it can't be, before anything is touched.

    Raises UnavailableError for a fault, capability or route that this cluster lacks, ConfigError for a restore that
    would prove nothing.
    """
    drill = planned.drill
    route = drill.route or own_route(cluster)
    for name in drill.workload:
        _check_way(WORKLOADS[name], route, cluster)
    for need in drill.needs:
        if not isinstance(cluster, CAPABILITIES[need]):
            raise UnavailableError(f"{drill.name} needs {need}, which {cluster.spec.system} lacks")
    check_restorable(drill, cluster)
    for step in planned.plan:
        reason = fault(step.fault).available(cluster)
        if reason is not None:
            raise UnavailableError(f"the fault {step.fault} cannot be injected here: {reason}")
    return PreparedDrill(
        drill, planned.plan, cluster.spec, cluster_checkers(drill, len(planned.plan), cluster), route
    )


def prepared_again(prepared: PreparedDrill, cluster: Cluster) -> PreparedDrill:
    """Return a drill as its cluster is now: nodes may have been added, removed or given another priority meanwhile."""
    if cluster.spec == prepared.spec:
        return prepared
    checkers = cluster_checkers(prepared.drill, len(prepared.plan), cluster)
    return replace(prepared, spec=cluster.spec, checkers=checkers)


def cluster_checkers(drill: DrillSpec, planned: int, cluster: Cluster) -> tuple[Checker, ...]:
    """Return the checkers of a drill on a cluster. planned: injections in its plan."""
    model = cluster.model
    terms = Terms(drill, model.outage_s, planned, priorities(cluster.spec), model.relink_s)
    return make_checkers(terms)


def priorities(spec: ClusterSpec) -> Mapping[str, int]:
    """Return the priorities for promotion by node; read-only nodes are never promoted."""
    return {
        node.name: node.priority
        for node in spec.nodes
        if node.role != "read-only" and node.priority is not None
    }


def _check_way(workload: Workload, route: str, cluster: Cluster) -> None:
    """Raise UnavailableError when a workload's clients have no way to this cluster."""
    if isinstance(workload, Routed):
        load_route(cluster, workload)
    elif not isinstance(cluster, HasServers):
        raise UnavailableError(
            f"the workload {workload.name} needs PostgreSQL servers, which {cluster.spec.system} lacks",
            hint="workloads log and kv speak other protocols",
        )
    else:
        check_route(cluster, route)
