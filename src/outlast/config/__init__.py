"""What a person writes, made into frozen, validated values.

    preset or file ─▶ document ─▶ with --set ─▶ validated ─▶ ClusterSpec, DrillSpec

`document` reads text under limits and remembers lines; `overrides` sets single keys; `validate` turns a
document into a model, or into one ConfigError that names file, key and line; `cluster` and `drill` are the
models, `loader` is the way in.
"""

from outlast.config.balancer import BackendSpec, BalancerCluster, BalancerSpec, PoolConfig, ReplicaSpec
from outlast.config.cluster import ClusterSpec, NodeSpec, PostgresqlSpec, ServiceSpec
from outlast.config.drill import (
    SYMBOLIC_TARGETS,
    ClientsSpec,
    ClusterNeeds,
    DrillSpec,
    TimelineEntry,
    WorkloadSpec,
    check_targets,
)
from outlast.config.envfile import EnvSettings, load_env_file
from outlast.config.loader import (
    drill_names,
    drill_suites,
    load_any,
    load_balancers,
    load_cluster,
    load_clusters,
    load_drill,
    preset_names,
    stored_cluster,
    stored_drill,
)
from outlast.config.overrides import split_overrides
from outlast.config.serialise import to_document
from outlast.config.settings import Setting, settings

__all__ = [
    "SYMBOLIC_TARGETS",
    "BackendSpec",
    "BalancerCluster",
    "BalancerSpec",
    "ClientsSpec",
    "ClusterNeeds",
    "ClusterSpec",
    "DrillSpec",
    "EnvSettings",
    "NodeSpec",
    "PoolConfig",
    "PostgresqlSpec",
    "ReplicaSpec",
    "ServiceSpec",
    "Setting",
    "TimelineEntry",
    "WorkloadSpec",
    "check_targets",
    "drill_names",
    "drill_suites",
    "load_any",
    "load_balancers",
    "load_cluster",
    "load_clusters",
    "load_drill",
    "load_env_file",
    "preset_names",
    "settings",
    "split_overrides",
    "stored_cluster",
    "stored_drill",
    "to_document",
]
