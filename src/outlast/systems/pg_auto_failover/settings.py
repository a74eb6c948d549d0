"""What pg_auto_failover is told. Source: its documentation, "Configuring pg_auto_failover"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from outlast.config.cluster import ClusterSpec, NodeSpec, ServiceSpec
from outlast.systems.base import OutageModel
from outlast.systems.postgres.server import NODE_SETTING, quote
from outlast.systems.postgres.settings import server_parameters, text

FORMATION: Final = "default"
GROUP: Final = 0
MONITOR_DATABASE: Final = "pg_auto_failover"
MONITOR_USER: Final = "autoctl_node"
"""The role as which keepers, and we, speak to the monitor."""

REPLICATOR: Final = "pgautofailover_replicator"
HEALTH_USER: Final = "pgautofailover_monitor"
"""The role of the monitor's health checks. Its password is its name, fixed in the monitor's code, so it is no secret:
the role may do nothing and may come from the monitor's address alone."""

SOCKET_DIR: Final = "/run/postgresql"
"""Where Debian's pg_autoctl looks for the server's socket, whatever it is told."""

NODE_CONF: Final = "node.conf"
"""Beside the data directory, for base backups and rewinds copy what is in it: what one node alone is told."""

PRIORITY_DEFAULT: Final = 50
MARGIN_S: Final = 5.0

MONITOR_DEFAULTS: Final[Mapping[str, int]] = {
    "health_check_period": 5000,
    "health_check_timeout": 5000,
    "health_check_max_retries": 2,
    "health_check_retry_delay": 2000,
    "node_considered_unhealthy_timeout": 20000,
    "primary_demote_timeout": 30000,
    "startup_grace_period": 10000,
    "promote_wal_log_threshold": 16777216,
    "enable_sync_wal_log_threshold": 16777216,
}
"""The monitor's settings with its own defaults: milliseconds, bytes, a count."""

KEEPER_DEFAULTS: Final[Mapping[str, int]] = {
    "network_partition_timeout": 20,
    "prepare_promotion_catchup": 30,
    "prepare_promotion_walreceiver": 5,
    "postgresql_restart_failure_timeout": 20,
    "postgresql_restart_failure_max_retries": 3,
}
"""The keepers' settings with their own defaults: seconds, a count."""

OUR_DEFAULTS: Final[Mapping[str, int]] = {"mend_fast_forward": 1}
"""What is ours to set. mend_fast_forward: 0 leaves pg_autoctl as it is, see fast_forward_fix.py."""

FAST: Final[Mapping[str, int]] = {
    "health_check_period": 500,
    "health_check_timeout": 500,
    "health_check_max_retries": 1,
    "health_check_retry_delay": 250,
    "node_considered_unhealthy_timeout": 1500,
    "primary_demote_timeout": 1000,
    "startup_grace_period": 1000,
    "network_partition_timeout": 2,
}
"""Tighter than this, nothing gets faster: keepers look once a second."""

BRING_UP: Final[Mapping[str, int]] = {"health_check_period": 200}
"""While a cluster is brought up, whatever the profile: nodes join once the monitor has seen them healthy."""

MONITOR_CONF: Final = "monitor.conf"
"""The monitor's own settings, beside its data directory: rewritten once the cluster is up."""

FAST_URI: Final = "&tcp_user_timeout=1000&keepalives_idle=1&keepalives_interval=1&keepalives_count=1"
"""How a keeper's connection to the monitor hears within a second that it is cut off; by the kernel's own time-outs it
waits for a quarter of an hour, and demotes nobody meanwhile (tcp(7), TCP_USER_TIMEOUT)."""

FAST_PARAMETERS: Final[Mapping[str, str]] = {"wal_sender_timeout": "5s"}
"""A primary gives itself up only when no standby is connected any more, and only when one still was at its keeper's
first look after the loss of the monitor, two seconds or three after a cut. A shorter time-out, or a short tcp_retries2,
which ends these connections as soon as the monitor's, makes it stay primary for ever."""


def monitor(spec: ClusterSpec) -> ServiceSpec:
    """Return the cluster's monitor."""
    return next(service for service in spec.services if service.kind == "monitor")


def pace(spec: ClusterSpec) -> dict[str, int]:
    """Return all time-outs of monitor and keepers: the person's own over the profile's over the defaults."""
    own = {key: int(str(value)) for key, value in spec.pg_auto_failover.items()}
    return {
        **MONITOR_DEFAULTS,
        **KEEPER_DEFAULTS,
        **OUR_DEFAULTS,
        **(FAST if spec.profile == "fast" else {}),
        **own,
    }


def illegal(spec: ClusterSpec) -> str:
    """Say what pg_auto_failover would not do as written; "" when all is well."""
    known = {**MONITOR_DEFAULTS, **KEEPER_DEFAULTS, **OUR_DEFAULTS}
    for key, value in spec.pg_auto_failover.items():
        if key not in known:
            return f"pg_auto_failover has no setting {key}; it has: {', '.join(sorted(known))}"
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            return f"pg_auto_failover.{key} is a whole number (milliseconds for the monitor, seconds for keepers)"
        if key in OUR_DEFAULTS and value > 1:
            return f"pg_auto_failover.{key} is 0 or 1"
    monitors = [service.name for service in spec.services if service.kind == "monitor"]
    if len(monitors) != 1:
        return f"a pg_auto_failover cluster has one monitor, not {len(monitors)}: {', '.join(monitors)}"
    if spec.sync in ("strict", "quorum") and len(voters(spec)) < 3:
        return (
            f"sync={spec.sync} needs two standbys: pg_auto_failover wants one more than number-sync-standbys"
        )
    if spec.watchdog:
        return "pg_auto_failover knows no watchdog: watchdog=off"
    if spec.tls:
        return "tls is not set up for pg_auto_failover by this version: tls=off"
    return ""


def voters(spec: ClusterSpec) -> list[NodeSpec]:
    """Return the nodes that take part in the write quorum."""
    return [] if spec.sync == "off" else [node for node in spec.nodes if node.role != "read-only"]


def number_sync_standbys(spec: ClusterSpec) -> int:
    """Return what the formation is told.

    0: writes wait for one standby, as long as one is healthy. 1: they wait for one whatever happens, and stop when
    none is left. It is always any one of the voting standbys, so ``quorum`` is ``strict``. With sync off no node has a
    vote (replication-quorum false) and writes wait for nobody.
    """
    return 1 if spec.sync in ("strict", "quorum") else 0


def priority(node: NodeSpec) -> int:
    """Return a node's candidate priority: 0 is never promoted."""
    return 0 if node.role == "read-only" else (PRIORITY_DEFAULT if node.priority is None else node.priority)


def outage_model(spec: ClusterSpec) -> OutageModel:
    """Return what the time-outs promise.

    A silent primary is given up when it has not reported for node_considered_unhealthy_timeout and its health check
    has failed too, retries included; the one to be promoted then waits primary_demote_timeout.
    """
    told = pace(spec)
    retries = told["health_check_max_retries"]
    check_ms = (
        told["health_check_period"]
        + (retries + 1) * told["health_check_timeout"]
        + retries * told["health_check_retry_delay"]
    )
    unhealthy_s = max(check_ms, told["node_considered_unhealthy_timeout"]) / 1000
    demote_s = told["primary_demote_timeout"] / 1000
    return OutageModel(
        unhealthy_s + demote_s + MARGIN_S,
        f"{unhealthy_s:g} s until a silent node counts as unhealthy + primary_demote_timeout {demote_s:g} s"
        f" + {MARGIN_S:g} s",
    )


def node_parameters(spec: ClusterSpec) -> dict[str, str]:
    """Return postgresql.conf of the data nodes, the same on all: a standby gets a copy of its primary's."""
    return {
        **_common(),
        **(FAST_PARAMETERS if spec.profile == "fast" else {}),
        **server_parameters(spec),
        "unix_socket_directories": SOCKET_DIR,
        "include_if_exists": f"../{NODE_CONF}",
    }


def node_conf(node: NodeSpec, parameters: Mapping[str, object] | None = None) -> str:
    """Return what one node's server alone is told: its name, and parameters that were changed while it ran."""
    told = {NODE_SETTING: node.name, **{key: text(value) for key, value in (parameters or {}).items()}}
    return "".join(f"{key} = {quote(value)}\n" for key, value in told.items())


def monitor_parameters(spec: ClusterSpec) -> dict[str, str]:
    """Return postgresql.conf of the monitor; its own settings are in a file of their own."""
    return {
        "max_connections": "100",
        "shared_buffers": "32MB",
        "password_encryption": "scram-sha-256",
        "unix_socket_directories": SOCKET_DIR,
        "fsync": "on" if spec.fsync else "off",
        **_common(),
        "include": f"../{MONITOR_CONF}",
    }


def monitor_conf(spec: ClusterSpec, over: Mapping[str, int] | None = None) -> str:
    """Return the monitor's own settings, with over's before all."""
    told = {**pace(spec), **(over or {})}
    return "".join(f"pgautofailover.{key} = {told[key]}\n" for key in MONITOR_DEFAULTS)


def _common() -> dict[str, str]:
    return {
        "log_line_prefix": "%m [%p] ",
        "log_checkpoints": "off",
        "logging_collector": "on",
        "log_directory": "../log",  # beside the data directory, which a base backup replaces
        "log_filename": "postgresql.log",
        "log_file_mode": "0600",
    }


def hba_lines(spec: ClusterSpec) -> list[str]:
    """Return pg_hba.conf of the data nodes: passwords for all of the lab and nobody else."""
    return [
        *spec.postgresql.pg_hba,
        f"host all {HEALTH_USER} {monitor(spec).address}/32 scram-sha-256",
        f"host all {HEALTH_USER} all reject",
        "local all all scram-sha-256",
        "local replication all scram-sha-256",
        "host all all 127.0.0.1/32 scram-sha-256",
        # pg_rewind connects to the database postgres as the replicator, else pg_autoctl makes a base backup instead.
        f"host all all {spec.subnet} scram-sha-256",
        f"host replication {REPLICATOR} {spec.subnet} scram-sha-256",
    ]


def rewind_grants() -> list[str]:
    """Return the statements that let the replicator run pg_rewind, which pg_autoctl would do with a superuser.

    Without them each rewind fails and pg_autoctl makes a base backup instead. Source: PostgreSQL manual, pg_rewind.
    """
    functions = (
        "pg_ls_dir(text, boolean, boolean)",
        "pg_stat_file(text, boolean)",
        "pg_read_binary_file(text)",
        "pg_read_binary_file(text, bigint, bigint, boolean)",
    )
    return [f"GRANT EXECUTE ON FUNCTION pg_catalog.{function} TO {REPLICATOR}" for function in functions]


def monitor_hba_lines(spec: ClusterSpec) -> list[str]:
    """Return pg_hba.conf of the monitor: keepers with their password, and the monitor's own keeper."""
    return [
        "local all all scram-sha-256",
        "host all all 127.0.0.1/32 scram-sha-256",
        f"host {MONITOR_DATABASE} {MONITOR_USER} {spec.subnet} scram-sha-256",
    ]


def monitor_uri(spec: ClusterSpec) -> str:
    """Return how keepers find the monitor. Their password is in the file that PGPASSFILE names."""
    more = FAST_URI if spec.profile == "fast" else ""
    return f"postgres://{MONITOR_USER}@{monitor(spec).address}:5432/{MONITOR_DATABASE}?sslmode=disable{more}"
