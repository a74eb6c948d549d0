"""The JSON of the balancer clusters, accepted as it is: balancers, each with a primary and replicas.

Its keys keep the names that the documents give them. `clusters` says in our terms what each balancer stands
before. Source: requirements of the cluster manager, and pgbalancer_cluster_simple.json of the project it describes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from pydantic import Field
from pydantic.dataclasses import dataclass

from outlast.config.addressing import check_address
from outlast.config.cluster import ClusterSpec, NodeSpec, PostgresqlSpec, ServiceSpec
from outlast.config.fields import (
    STRICT,
    HostAddress,
    Name,
    NodeId,
    Parameter,
    Port,
    Size,
    Subnet,
    Switch,
    problem,
)
from outlast.config.formats.base import Path

BALANCERS_MAX = 16
REPLICAS_MAX = 16

_PARAMETERS: Mapping[str, Parameter] = {"wal_level": "replica", "max_wal_senders": 10, "max_connections": 200}
"""What the document's init script sets on every server."""


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class BalancerNetwork:
    """The network of the cluster."""

    name: Name
    subnet: Subnet


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class PoolConfig:
    """Settings of one balancer, named as in pgpool.conf."""

    num_init_children: Size = 32
    max_pool: Size = 4
    load_balance_mode: Switch = True


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class BackendSpec:
    """A PostgreSQL server behind a balancer. port: the published one."""

    host: Name
    port: Port
    ip_address: HostAddress
    container_name: Name | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class ReplicaSpec(BackendSpec):
    """A replica. node_id: its backend number; 0 is the primary's."""

    node_id: NodeId


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class BalancerSpec:
    """One balancer and the servers behind it. All ports are published ones."""

    name: Name
    ip_address: HostAddress
    port: Port
    pcp_port: Port
    rest_api_port: Port
    primary: BackendSpec
    replicas: tuple[ReplicaSpec, ...] = Field(max_length=REPLICAS_MAX)
    container_name: Name | None = None
    config: PoolConfig = Field(default_factory=PoolConfig)

    def __post_init__(self) -> None:
        if not self.replicas:
            raise problem("a balancer needs at least one replica to spread reads over", "replicas")
        seen: set[int] = set()
        for index, replica in enumerate(self.replicas):
            if replica.node_id in seen:
                raise problem(f"node_id {replica.node_id} is taken", "replicas", index, "node_id")
            seen.add(replica.node_id)


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class BalancerCluster:
    """What such a file describes. No name, address or port is used twice; addresses are in the subnet."""

    cluster_name: Name
    network: BalancerNetwork
    balancers: tuple[BalancerSpec, ...] = Field(max_length=BALANCERS_MAX)

    def __post_init__(self) -> None:
        if not self.balancers:
            raise problem("a cluster needs at least one balancer", "balancers")
        if len(self.cluster_name) + max(len(one.name) for one in self.balancers) > 62:
            raise problem("is too long: with a balancer's name it must stay below 64 letters", "cluster_name")
        taken: dict[str | int, str] = {}
        for path, owner, value in self._used():
            if path[-1] == "ip_address":
                check_address(self.network.subnet, str(value), path)
            if value in taken:
                raise problem(f"{value} is taken by {taken[value]}", *path)
            taken[value] = owner

    def _used(self) -> Iterator[tuple[Path, str, str | int]]:
        """Yield what must be unique: where it stands, whose it is, and the value itself."""
        for index, balancer in enumerate(self.balancers):
            at: Path = ("balancers", index)
            yield (*at, "name"), balancer.name, balancer.name
            for key in ("ip_address", "port", "pcp_port", "rest_api_port"):
                yield (*at, key), balancer.name, getattr(balancer, key)
            servers: list[tuple[Path, BackendSpec]] = [((*at, "primary"), balancer.primary)]
            servers += [((*at, "replicas", number), one) for number, one in enumerate(balancer.replicas)]
            for where, server in servers:
                for key in ("host", "ip_address", "port"):
                    yield (*where, key), server.host, getattr(server, key)

    def clusters(self) -> tuple[ClusterSpec, ...]:
        """Return one Pgpool-II cluster per balancer; of several, each carries its balancer's name."""
        specs = tuple(self._cluster(balancer) for balancer in self.balancers)
        return specs if len(specs) > 1 else (replace(specs[0], name=self.cluster_name),)

    def _cluster(self, balancer: BalancerSpec) -> ClusterSpec:
        primary = NodeSpec(
            name=balancer.primary.host,
            address=balancer.primary.ip_address,
            role="primary",
            port=balancer.primary.port,
            tags={"node_id": 0},
        )
        replicas = (
            NodeSpec(name=one.host, address=one.ip_address, port=one.port, tags={"node_id": one.node_id})
            for one in balancer.replicas
        )
        return ClusterSpec(
            name=f"{self.cluster_name}-{balancer.name}",
            system="pgpool",
            nodes=(primary, *replicas),
            services=(ServiceSpec(name=balancer.name, kind="pgpool", address=balancer.ip_address),),
            ports={
                balancer.name: balancer.port,
                f"{balancer.name}/pcp": balancer.pcp_port,
                f"{balancer.name}/rest": balancer.rest_api_port,
            },
            subnet=self.network.subnet,
            network=self.network.name,
            database="testdb",
            dataset="shop",
            postgresql=PostgresqlSpec(parameters=_PARAMETERS),
            pgpool={
                "num_init_children": balancer.config.num_init_children,
                "max_pool": balancer.config.max_pool,
                "load_balance_mode": balancer.config.load_balance_mode,
            },
        )
