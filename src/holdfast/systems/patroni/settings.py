"""What Patroni is told. Source: Patroni documentation, "YAML Configuration Settings" and "Dynamic
Configuration Settings"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from holdfast.hosts.base import Host
from holdfast.spec.cluster import ClusterSpec, NodeSpec
from holdfast.systems.base import Credentials, OutageModel
from holdfast.systems.etcd.member import CLIENT_PORT
from holdfast.systems.postgres.install import PostgresInstall
from holdfast.systems.postgres.seed import SUPERUSER
from holdfast.systems.postgres.server import NODE_SETTING, SOCKET_DIR

POSTGRES_PORT: Final = 5432
REST_PORT: Final = 8008
REPLICATOR: Final = "replicator"
REST_USER: Final = "patroni"
FAILOVER_MARGIN_S: Final = 5.0

DYNAMIC_KEYS: Final = (
    "failsafe_mode",
    "maximum_lag_on_failover",
    "maximum_lag_on_syncnode",
    "check_timeline",
    "primary_start_timeout",
    "primary_stop_timeout",
)
"""What Patroni reads from the DCS alone: a person's ``patroni.failsafe_mode`` belongs there."""

Document = dict[str, object]


@dataclass(frozen=True, slots=True)
class PatroniTiming:
    """Seconds. Patroni holds ttl ≥ 20, loop_wait ≥ 1, retry_timeout ≥ 3, loop_wait + 2 × retry_timeout ≤ ttl."""

    ttl: int
    loop_wait: int
    retry_timeout: int


TIMINGS: Final[Mapping[str, PatroniTiming]] = {
    "default": PatroniTiming(30, 10, 10),
    "fast": PatroniTiming(20, 1, 3),
}

BRING_UP_TIMING: Final = TIMINGS["fast"]
"""While a cluster is brought up the loop is short, whatever the profile: less waiting for the next round."""


def outage_model(spec: ClusterSpec) -> OutageModel:
    """Return what the settings promise: the leader's key expires, a round of the loop passes, a promotion."""
    timing = TIMINGS[spec.profile]
    return OutageModel(
        timing.ttl + timing.loop_wait + FAILOVER_MARGIN_S,
        f"ttl {timing.ttl} s + loop_wait {timing.loop_wait} s + {FAILOVER_MARGIN_S:g} s",
    )


def scope(spec: ClusterSpec) -> str:
    """Return the cluster's name in the DCS."""
    return spec.name


def server_parameters(spec: ClusterSpec) -> dict[str, str]:
    """Return postgresql.conf parameters, the person's own last."""
    parameters = {
        "cluster_name": scope(spec),
        "wal_level": "replica",
        "hot_standby": "on",
        "max_connections": "100",
        "max_wal_senders": "12",
        "max_replication_slots": "12",
        "max_prepared_transactions": "0",
        "max_locks_per_transaction": "64",
        "max_worker_processes": "8",
        "track_commit_timestamp": "off",
        "wal_log_hints": "on",  # pg_rewind needs it where there are no checksums
        "wal_keep_size": "128MB",
        "shared_buffers": "64MB",
        "password_encryption": "scram-sha-256",
        "unix_socket_directories": SOCKET_DIR,
        "log_line_prefix": "%m [%p] ",
        "log_checkpoints": "off",
        # A standby whose slot its leader has not made yet tries again after this long, not after 5 s.
        "wal_retrieve_retry_interval": "500ms",
        "fsync": "on" if spec.fsync else "off",
    }
    parameters.update({name: _text(value) for name, value in spec.postgresql.parameters.items()})
    return parameters


def own_parameters(spec: ClusterSpec, node: NodeSpec) -> dict[str, str]:
    """Return the parameters of one node's server, as it is started before Patroni takes over."""
    return {**server_parameters(spec), "listen_addresses": listen_addresses(node), NODE_SETTING: node.name}


def hba_lines(spec: ClusterSpec) -> list[str]:
    """Return pg_hba.conf: the person's lines first, then passwords for all of the lab and nobody else."""
    return [
        *spec.postgresql.pg_hba,
        "local all all scram-sha-256",
        "local replication all scram-sha-256",
        "host all all 127.0.0.1/32 scram-sha-256",
        f"host all all {spec.subnet} scram-sha-256",
        f"host replication {REPLICATOR} 127.0.0.1/32 scram-sha-256",
        f"host replication {REPLICATOR} {spec.subnet} scram-sha-256",
    ]


def listen_addresses(node: NodeSpec) -> str:
    """Return where a node's server listens: in the lab, and on its own loopback."""
    return f"{node.address},127.0.0.1"


def dynamic_document(spec: ClusterSpec, timing: PatroniTiming) -> Document:
    """Return the part of the configuration that lives in the DCS."""
    parameters = server_parameters(spec)
    parameters.pop("cluster_name")  # Patroni sets it itself, to the scope
    parameters.pop("unix_socket_directories")
    document: Document = {
        "ttl": timing.ttl,
        "loop_wait": timing.loop_wait,
        "retry_timeout": timing.retry_timeout,
        "maximum_lag_on_failover": 1048576,
        "synchronous_mode": {"off": False, "on": True, "strict": True, "quorum": "quorum"}[spec.sync],
        "synchronous_mode_strict": spec.sync == "strict",
        "postgresql": {"use_pg_rewind": True, "use_slots": True, "parameters": parameters},
    }
    return document | {key: spec.patroni[key] for key in DYNAMIC_KEYS if key in spec.patroni}


def member_document(
    spec: ClusterSpec,
    node: NodeSpec,
    install: PostgresInstall,
    credentials: Credentials,
    host: Host,
) -> Document:
    """Return one node's patroni.yml."""
    folder = host.folder
    etcd_hosts = [f"{member.address}:{CLIENT_PORT}" for member in spec.dcs]
    tags: Document = dict(node.tags)
    if node.role == "read-only":
        tags = {"nofailover": True, "nosync": True, **tags}
    if node.priority is not None:
        tags.setdefault("failover_priority", node.priority)
    document: Document = {
        "scope": scope(spec),
        "name": node.name,
        "log": {"level": "INFO"},
        "restapi": {
            "listen": f"{node.address}:{REST_PORT}",
            "connect_address": f"{node.address}:{REST_PORT}",
            "authentication": {"username": REST_USER, "password": credentials.password(REST_USER)},
        },
        "etcd3": {"hosts": etcd_hosts},
        "bootstrap": {"dcs": dynamic_document(spec, BRING_UP_TIMING)},
        "postgresql": {
            "listen": f"{listen_addresses(node)}:{POSTGRES_PORT}",
            "connect_address": f"{node.address}:{POSTGRES_PORT}",
            "data_dir": str(folder / "data"),
            "bin_dir": str(install.bin_dir),
            "pgpass": str(folder / "patroni.pgpass"),
            "use_unix_socket": True,
            "authentication": {
                "superuser": {"username": SUPERUSER, "password": credentials.password(SUPERUSER)},
                "replication": {"username": REPLICATOR, "password": credentials.password(REPLICATOR)},
            },
            "parameters": {"unix_socket_directories": SOCKET_DIR, NODE_SETTING: node.name},
            "basebackup": [{"checkpoint": "fast"}, *([] if spec.disks else ["no-sync"])],
        },
        "watchdog": {"mode": "off"},
        "tags": tags,
    }
    return merge(document, {key: value for key, value in spec.patroni.items() if key not in DYNAMIC_KEYS})


def merge(base: Mapping[str, object], over: Mapping[str, object]) -> Document:
    """Return base with over's values; mappings are merged, everything else is replaced."""
    merged: Document = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = (
            merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
        )
    return merged


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)
