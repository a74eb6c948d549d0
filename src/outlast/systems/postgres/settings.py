"""What every server of a cluster is told, whoever manages it."""

from __future__ import annotations

from typing import Final

from outlast.config.cluster import ClusterSpec, NodeSpec
from outlast.systems.postgres.server import NODE_SETTING, SOCKET_DIR

POSTGRES_PORT: Final = 5432
REPLICATOR: Final = "replicator"


def server_parameters(spec: ClusterSpec) -> dict[str, str]:
    """Return postgresql.conf parameters, the person's own last."""
    parameters = {
        "cluster_name": spec.name,
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
    own = {name: text(value) for name, value in spec.postgresql.parameters.items()}
    if spec.system == "patroni" and "wal_keep_segments" in own:
        # PostgreSQL 13 lost it, and Patroni converts it there; a segment has 16 MB.
        kept = own.pop("wal_keep_segments")
        own.setdefault("wal_keep_size", f"{int(kept) * 16}MB" if kept.isdecimal() else kept)
    return {**parameters, **own}


def own_parameters(spec: ClusterSpec, node: NodeSpec) -> dict[str, str]:
    """Return the parameters of one node's server, as it is started by us."""
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


def text(value: object) -> str:
    """Return a setting's value as PostgreSQL and its kin write it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)
