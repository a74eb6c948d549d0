"""What a cluster is: the frozen description that a system deploys.

ClusterSpec is what a person writes, validated, and then completed: every member has a name, a role and an
address. One that exists is sound: names, addresses and published ports are its own, there is one primary, and
the DCS can have a majority.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, JsonValue, PlainValidator, ValidationInfo
from pydantic.dataclasses import dataclass

from outlast.config.addressing import check_addresses, place_members, spare_addresses
from outlast.config.document import did_you_mean, kind_of
from outlast.config.fields import (
    STRICT,
    Address,
    DatabaseName,
    Line,
    Name,
    OffAndOn,
    Parameter,
    ParameterName,
    Port,
    RoleName,
    Subnet,
    Switch,
    problem,
    whole,
)
from outlast.config.formats.base import Path

System = Literal["patroni", "pg_auto_failover", "streaming", "pgpool", "etcd", "raftlog"]
Role = Literal["primary", "standby", "read-only"]
Sync = Literal["off", "on", "strict", "quorum"]
Profile = Literal["default", "fast"]
Dataset = Literal["healthcare", "shop", "ha-test"]
EtcdChoice = Literal["any", "embedded", "machine"]
ServiceKind = Literal[
    "monitor", "exporter", "prometheus", "alertmanager", "grafana", "haproxy", "pgbouncer", "pgpool"
]
MONITORING_KINDS: tuple[ServiceKind, ...] = ("exporter", "prometheus", "alertmanager", "grafana")
"""Services that watch the cluster and are no part of it."""

NODES_MAX = 32
DCS_MAX = 7
DATASET_ROWS_MAX = 100_000_000

_NODE_PREFIX: Mapping[str, str] = {"etcd": "etcd-node", "raftlog": "raft-node"}
_NODES_DEFAULT: Any = 3  # what a person would write; the field's validator makes members of it
_DCS_DEFAULT: Any = None
_GROUPS = ("nodes", "dcs", "services")
_PORT_NAME = re.compile(r"(?P<member>[^/]+)(?:/[a-z][a-z0-9-]*)?")


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class NodeSpec:
    """A member of the cluster or of its DCS, on a host of its own.

    address: in the subnet; in a ClusterSpec it is always set. role: what it starts as. port: published
    on 127.0.0.1, or None for a free one. priority: higher is promoted first, None for the system's default.
    """

    name: Name
    address: Address = ""
    role: Role = "standby"
    port: Port | None = None
    priority: Annotated[int, PlainValidator(whole(0, 100))] | None = None
    tags: Mapping[str, Parameter] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class ServiceSpec:
    """A helper beside the nodes, on a host of its own: a monitor, a balancer, an exporter."""

    name: Name
    kind: ServiceKind
    address: Address = ""
    port: Port | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class PostgresqlSpec:
    """Settings of every PostgreSQL server. pg_hba: lines that come before our own."""

    parameters: Mapping[ParameterName, Parameter] = Field(
        default_factory=dict, description="postgresql.conf parameters, by name"
    )
    pg_hba: tuple[Line, ...] = Field(default=(), description="pg_hba.conf lines, before our own")


def _members(value: object, prefix: str, most: int) -> tuple[object, ...]:
    """Return node entries from a number of nodes or a list of names and entries; names are filled in."""
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value <= most:
            raise ValueError(f"must be a number of nodes from 0 to {most}, got {value}")
        value = [{} for _ in range(value)]
    if not isinstance(value, list | tuple):
        raise ValueError(f"must be a number of nodes or a list of them, got {kind_of(value)}")
    if len(value) > most:
        raise ValueError(f"must be at most {most} nodes, got {len(value)}")
    entries = [{"name": entry} if isinstance(entry, str) else entry for entry in value]
    return tuple(
        {"name": f"{prefix}-{number}", **entry} if isinstance(entry, dict) else entry
        for number, entry in enumerate(entries, start=1)
    )


def _nodes(value: object, info: ValidationInfo) -> tuple[object, ...]:
    entries = _members(value, _NODE_PREFIX.get(info.data.get("system", ""), "pg-node"), NODES_MAX)
    if not entries:
        raise ValueError("a cluster has at least one node")
    first = entries[0]
    roles = [
        entry.get("role") if isinstance(entry, dict) else getattr(entry, "role", None) for entry in entries
    ]
    if isinstance(first, dict) and "primary" not in roles and first.get("role") is None:
        return ({**first, "role": "primary"}, *entries[1:])
    return entries


def _dcs(value: object, info: ValidationInfo) -> tuple[object, ...]:
    system = info.data.get("system")
    if value is None:
        value = 1 if system == "patroni" else 0
    entries = _members(value, "etcd-node", DCS_MAX)
    if system == "patroni" and len(entries) % 2 == 0:
        raise ValueError(
            f"must be 1, 3, 5 or 7 members, so that a majority is more than half; got {len(entries)}"
        )
    if system not in ("patroni", None) and entries:
        raise ValueError(f"{system} uses no DCS")
    return entries


def _services(value: object, info: ValidationInfo) -> object:
    if info.data.get("system") != "pg_auto_failover" or not isinstance(value, list | tuple):
        return value
    kinds = [
        entry.get("kind") if isinstance(entry, dict) else getattr(entry, "kind", None) for entry in value
    ]
    return value if "monitor" in kinds else ({"name": "monitor", "kind": "monitor"}, *value)


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class ClusterSpec:
    """A cluster, complete and sound. Build one with outlast.config.load_cluster or from keyword arguments.

    Raises pydantic.ValidationError, which the loader turns into ConfigError. O(members) time.
    """

    name: Name = Field(default="lab", description="name of the lab")
    system: System = Field(default="patroni", description="what manages the cluster")
    nodes: Annotated[tuple[NodeSpec, ...], BeforeValidator(_nodes)] = Field(
        default=_NODES_DEFAULT,
        description="number of nodes, or a list of {name, address, role, port, priority, tags}",
    )
    dcs: Annotated[tuple[NodeSpec, ...], BeforeValidator(_dcs)] = Field(
        default=_DCS_DEFAULT,
        description="etcd members that hold the leader lock: 1, 3, 5 or 7, or a list; 1 for patroni",
    )
    services: Annotated[tuple[ServiceSpec, ...], BeforeValidator(_services)] = Field(
        default=(),
        validate_default=True,
        description="monitors, balancers and exporters: a list of {name, kind, address, port}",
    )
    sync: Annotated[Sync, OffAndOn] = Field(
        default="off", description="synchronous replication: off, on, strict or quorum; presets say on"
    )
    profile: Profile = Field(
        default="default", description="timing: the manager's default, or its fast legal minimum"
    )
    watchdog: Switch = Field(default=False, description="a watchdog fences a primary whose manager has died")
    fsync: Switch = Field(
        default=True, description="off is faster and loses acknowledged writes on power loss"
    )
    disks: Switch = Field(
        default=False,
        description="each node on a disk of its own, which can lose power or fill up; needs root",
    )
    clocks: Switch = Field(
        default=False,
        description="each node's programs follow a wall clock of its own, which can jump and drift",
    )
    checksums: Switch = Field(default=True, description="data checksums")
    backup: Switch = Field(
        default=False,
        description="pgBackRest archives all WAL beside the nodes, so that outlast backup and restore work",
    )
    tls: Switch = Field(default=False, description="TLS between members and to clients")
    version: Annotated[int, PlainValidator(whole(12, 40))] | None = Field(
        default=None, description="PostgreSQL major version; null takes the newest found"
    )
    etcd: EtcdChoice = Field(
        default="any",
        description="which etcd: embedded (3.5.1, from PyPI), machine (the one on PATH), any (the first of these)",
    )
    ports: Mapping[str, Port] = Field(
        default_factory=dict,
        description="pinned published ports: {NAME or NAME/PURPOSE: port}; others are free ones",
    )
    subnet: Subnet = Field(default="172.28.0.0/24", description="network of the lab")
    network: Name = Field(default="outlast", description="name of the lab's network")
    database: DatabaseName = Field(default="appdb", description="database for the application")
    user: RoleName = Field(default="appuser", description="role for the application")
    dataset: Dataset | None = Field(
        default=None, description="schema made at bring-up: healthcare, shop or ha-test"
    )
    sample_rows: Switch = Field(default=True, description="fill the dataset's schema with its sample rows")
    dataset_rows: Annotated[int, PlainValidator(whole(0, DATASET_ROWS_MAX))] = Field(
        default=0,
        description="further rows made for the dataset in all, the same ones always; healthcare alone",
    )
    postgresql: PostgresqlSpec = Field(default_factory=PostgresqlSpec, description="settings of every server")
    patroni: Mapping[str, JsonValue] = Field(
        default_factory=dict, description="merged into Patroni's configuration"
    )
    pg_auto_failover: Mapping[str, Parameter] = Field(
        default_factory=dict, description="settings of the pg_auto_failover monitor, without their prefix"
    )
    pgpool: Mapping[str, Parameter] = Field(
        default_factory=dict, description="pgpool.conf parameters, by name"
    )
    environment: Mapping[str, Line] = Field(
        default_factory=dict, repr=False, description="environment variables of the manager's processes"
    )

    def __post_init__(self) -> None:
        located = self._located()
        _check_names(located)
        _check_roles(self.nodes)
        check_addresses(self.subnet, located)
        ports = _published(self.ports, located)
        addresses = place_members(self.subnet, self.members())
        for group in _GROUPS:
            placed = tuple(
                dataclasses.replace(member, address=addresses[member.name], port=ports.get(member.name))
                for member in getattr(self, group)
            )
            object.__setattr__(self, group, placed)
        object.__setattr__(self, "ports", ports)

    def _located(self) -> list[tuple[Path, NodeSpec | ServiceSpec]]:
        return [((group, at), member) for group in _GROUPS for at, member in enumerate(getattr(self, group))]

    def members(self) -> tuple[NodeSpec | ServiceSpec, ...]:
        """Return all that has a host of its own: nodes, then DCS, then services."""
        return (*self.nodes, *self.dcs, *self.services)

    def primary(self) -> NodeSpec:
        """Return the node that starts as primary."""
        return next(node for node in self.nodes if node.role == "primary")

    def spare_addresses(self) -> Iterator[str]:
        """Yield the subnet's addresses that no member has, in order: for clients, proxies and added nodes."""
        return spare_addresses(self.subnet, self.members())


def with_node(spec: ClusterSpec, node: NodeSpec) -> ClusterSpec:
    """Return a cluster with a node more, given an address when it has none. Raises pydantic.ValidationError."""
    return dataclasses.replace(spec, nodes=(*spec.nodes, node))


def without_node(spec: ClusterSpec, name: str, primary: str) -> ClusterSpec:
    """Return a cluster without a node and its ports; primary starts as the primary where that was the node."""
    left = tuple(node for node in spec.nodes if node.name != name)
    if all(node.role != "primary" for node in left):
        left = tuple(
            dataclasses.replace(node, role="primary") if node.name == primary else node for node in left
        )
    ports = {key: port for key, port in spec.ports.items() if key.split("/")[0] != name}
    return dataclasses.replace(spec, nodes=left, ports=ports)


def _check_names(located: Sequence[tuple[Path, NodeSpec | ServiceSpec]]) -> None:
    seen: set[str] = set()
    for path, member in located:
        if member.name in seen:
            raise problem(f"the name {member.name!r} is taken", *path, "name")
        seen.add(member.name)


def _check_roles(nodes: Sequence[NodeSpec]) -> None:
    primaries = [index for index, node in enumerate(nodes) if node.role == "primary"]
    if not primaries:
        raise problem("no node has the role primary", "nodes")
    if len(primaries) > 1:
        raise problem("a cluster starts with one primary, this is a second", "nodes", primaries[1], "role")


def _published(
    asked: Mapping[str, int], located: Sequence[tuple[Path, NodeSpec | ServiceSpec]]
) -> dict[str, int]:
    """Return every pinned port: the ports mapping joined with what members say of themselves."""
    names = tuple(member.name for _, member in located)
    ports: dict[str, int] = {}
    taken: dict[int, str] = {}

    def pin(name: str, port: int, *path: str | int) -> None:
        if taken.setdefault(port, name) != name:
            raise problem(f"port {port} is taken by {taken[port]}", *path)
        if ports.setdefault(name, port) != port:
            raise problem(f"port {port} is not the {ports[name]} that ports gives {name}", *path)

    for name, port in asked.items():
        member = _PORT_NAME.fullmatch(name)
        if member is None or member["member"] not in names:
            hint = f"{did_you_mean(name, names)}; ports={{}} takes free ports for all"
            raise problem(f"no node or service is called {name!r}", "ports", name, hint=hint)
        pin(name, port, "ports", name)
    for path, one in located:
        if one.port is not None:
            pin(one.name, one.port, *path, "port")
    return ports
