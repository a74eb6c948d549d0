"""What Pgpool-II is told. Source: Pgpool-II 4.3 manual, "Server Configuration"."""

from __future__ import annotations

import hashlib
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from outlast.config.cluster import ClusterSpec, ServiceSpec
from outlast.systems.base import OutageModel
from outlast.systems.credentials import Credentials
from outlast.systems.postgres.seed import SUPERUSER
from outlast.systems.postgres.server import SOCKET_DIR, quote
from outlast.systems.postgres.settings import POSTGRES_PORT, text
from outlast.systems.programs import missing, program

MAIN_PORT: Final = 9999
PCP_PORT: Final = 9898
REST_PORT: Final = 8080
AGENT_PORT: Final = 5999
PCP_USER: Final = "pcpadmin"
AGENT_USER: Final = "agent"
"""Not a role of PostgreSQL: its password is the word by which a node's agent knows the balancer."""

MARGIN_S: Final = 5.0
CONF: Final = "pgpool.conf"
COMMAND: Final = "command.sh"
"""A shell script that runs our commands, since strings of pgpool.conf cannot hold every path."""

HBA: Final = "pool_hba.conf"
PCP_CONF: Final = "pcp.conf"
PASSWORDS: Final = "pool_passwd"
PCP_PASSFILE: Final = "pcppass"
LOG: Final = "log/pgpool.log"
COMMAND_LOG: Final = "log/failover.log"
SERVICE: Final = "pgpool"
PROMOTE_ONLY: Final = "promote-only"
"""A word for ``pgpool.failover_command``: promote the new main node and fence nobody, as a first script of one's own
would. For showing what that costs: docs/track-record.md."""


@dataclass(frozen=True, slots=True)
class HealthCheckPace:
    """Health checks: every period_s, given up after timeout_s and tried retries times more, delay_s apart."""

    period_s: int
    timeout_s: int
    retries: int
    delay_s: int


PACES: Final[Mapping[str, HealthCheckPace]] = {
    "default": HealthCheckPace(5, 4, 2, 1),
    "fast": HealthCheckPace(1, 2, 1, 1),
}
"""Pgpool-II's own default is not to check at all, and then nothing fails over; these are what its examples use, and
the fastest that whole seconds allow."""


def balancer(spec: ClusterSpec) -> ServiceSpec | None:
    """Return the Pgpool-II of a cluster, None when it has none."""
    return next((service for service in spec.services if service.kind == SERVICE), None)


def unknown(spec: ClusterSpec) -> str:
    """Return a setting of ``pgpool`` that the installed Pgpool-II does not know, "" when it knows all, or is missing.

    Pgpool-II itself leaves a name out that it does not know. Its program holds each of its names as a word.
    """
    if not spec.pgpool or missing(SERVICE):
        return ""
    words = Path(program(SERVICE)).read_bytes()
    for name in spec.pgpool:
        known = (name, name.rstrip("0123456789"))  # health_check_period0 is that of backend 0
        if not any(b"\0%s\0" % one.encode() in words for one in known):
            return name
    return ""


def pace(spec: ClusterSpec) -> HealthCheckPace:
    """Return the health checks of a cluster: the person's own settings over the profile's."""
    own = PACES[spec.profile]

    def given(name: str, default: int) -> int:
        return int(str(spec.pgpool.get(f"health_check_{name}", default)))

    return HealthCheckPace(
        given("period", own.period_s),
        given("timeout", own.timeout_s),
        given("max_retries", own.retries),
        given("retry_delay", own.delay_s),
    )


def outage_model(spec: ClusterSpec) -> OutageModel:
    """Return what the health checks promise: a check begins, fails as often as it may, and a standby is promoted."""
    one = pace(spec)
    seen_s = one.period_s + (one.retries + 1) * one.timeout_s + one.retries * one.delay_s
    return OutageModel(
        seen_s + MARGIN_S,
        f"health_check_period {one.period_s} s + {one.retries + 1} × health_check_timeout {one.timeout_s} s + "
        f"{one.retries} × retry_delay {one.delay_s} s + {MARGIN_S:g} s",
    )


def node_ids(spec: ClusterSpec) -> dict[str, int]:
    """Return the nodes' backend numbers by name: those they were given, and the next ones for the others."""
    found = {
        node.name: int(node.tags["node_id"]) for node in spec.nodes if _is_number(node.tags.get("node_id"))
    }
    number = max(found.values(), default=-1)
    for node in spec.nodes:
        if node.name not in found:
            number += 1
            found[node.name] = number
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def pgpool_conf(spec: ClusterSpec) -> str:
    """Return pgpool.conf, the person's own settings last. Paths are below the host's folder, where Pgpool-II starts."""
    one = pace(spec)
    command = f"sh {COMMAND}"
    lines: dict[str, str] = {
        "backend_clustering_mode": "streaming_replication",
        "listen_addresses": "*",
        "port": str(MAIN_PORT),
        "socket_dir": SOCKET_DIR,
        "pcp_listen_addresses": "*",
        "pcp_port": str(PCP_PORT),
        "pcp_socket_dir": SOCKET_DIR,
        "wd_ipc_socket_dir": SOCKET_DIR,
        "pid_file_name": f"{SOCKET_DIR}/pgpool.pid",
        "logdir": ".",
        "enable_pool_hba": "on",
        "pool_passwd": PASSWORDS,
        "num_init_children": "32",
        "max_pool": "4",
        "load_balance_mode": "on",
        "statement_level_load_balance": "on",
        "log_min_messages": "log",
        "sr_check_period": "1",
        "sr_check_user": SUPERUSER,
        "sr_check_database": "postgres",
        "health_check_user": SUPERUSER,
        "health_check_database": "postgres",
        "health_check_period": str(one.period_s),
        "health_check_timeout": str(one.timeout_s),
        "health_check_max_retries": str(one.retries),
        "health_check_retry_delay": str(one.delay_s),
        "connect_timeout": str(one.timeout_s * 1000),
        "failover_on_backend_error": "off",
        "search_primary_node_timeout": "10",
        "failover_command": f"{command} failover %d %m %P",
        "follow_primary_command": f"{command} follow %d %m",
    }
    numbers = node_ids(spec)
    for node in spec.nodes:
        number = numbers[node.name]
        lines |= {
            f"backend_hostname{number}": node.address,
            f"backend_port{number}": str(POSTGRES_PORT),
            f"backend_weight{number}": "1",
            f"backend_flag{number}": "ALLOW_TO_FAILOVER",
            f"backend_application_name{number}": node.name,
        }
    lines |= {name: text(value) for name, value in spec.pgpool.items()}
    if lines["failover_command"] == PROMOTE_ONLY:
        lines["failover_command"] = f"{command} promote %d %m %P"
        lines["follow_primary_command"] = text(spec.pgpool.get("follow_primary_command", ""))
    return "".join(f"{name} = {quote(value)}\n" for name, value in lines.items())


def files(spec: ClusterSpec, words: Credentials, folder: Path) -> dict[str, str]:
    """Return the files of the balancer by name; all of them are for their owner alone.

    pool_passwd holds passwords as they are, because Pgpool-II logs in to the servers by SCRAM in its clients' names.
    """
    argv = (sys.executable, "-m", "outlast.systems.pgpool.command", str(folder))
    users = (SUPERUSER, spec.user)
    pcp = words.password(PCP_USER)
    return {
        CONF: pgpool_conf(spec),
        COMMAND: f'exec {shlex.join(argv)} "$@"\n',
        HBA: f"host all all {spec.subnet} scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\n",
        PASSWORDS: "".join(f"{user}:TEXT{words.password(user)}\n" for user in users),
        PCP_CONF: f"{PCP_USER}:{hashlib.md5(pcp.encode(), usedforsecurity=False).hexdigest()}\n",
        PCP_PASSFILE: f"127.0.0.1:{PCP_PORT}:{PCP_USER}:{pcp}\n",
    }
