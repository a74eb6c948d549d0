"""Splits a libpq connection string into one string a host, so that each host can be given up on its own.

libpq tries the hosts of a string in order, but leaves ``connect_timeout`` to the caller of its non-blocking
interface: a host that swallows packets would hold up all others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from psycopg import OperationalError, ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from outlast.errors import ConfigError
from outlast.systems.postgres.dsn import per_host
from outlast.workloads.config import WorkerConfig

_FOLLOWING = ("read-write", "primary")


@dataclass(frozen=True, slots=True)
class ServerEndpoint:
    """One server to try. name: for errors, as host:port. conninfo: libpq's, of that server alone."""

    name: str
    conninfo: bytes


@dataclass(frozen=True, slots=True)
class ServerEndpoints:
    """Where a worker's clients may connect. follows: whether they want the primary, wherever it is."""

    hosts: tuple[ServerEndpoint, ...]
    follows: bool


def endpoints(config: WorkerConfig) -> ServerEndpoints:
    """Return the servers in config.dsn, in order. Raises ConfigError when it is no connection string."""
    try:
        given = {key: str(value) for key, value in conninfo_to_dict(config.dsn).items() if value is not None}
    except (ProgrammingError, OperationalError) as error:
        raise ConfigError(f"is no connection string: {str(error).strip()}", key="dsn") from error
    if "password" in given:
        raise ConfigError(
            "holds a password", key="dsn", hint="put it into a 0600 file and name that as passfile"
        )
    try:
        hosts = per_host(given)
    except ValueError as error:
        raise ConfigError(str(error), key="dsn") from error
    common = {
        "application_name": "outlast",
        "gssencmode": "disable",
        "tcp_user_timeout": str(math.ceil(config.tcp_user_timeout_s * 1000)),
        **({"passfile": config.passfile} if config.passfile else {}),
    }
    found = []
    for host in hosts:
        name = f"{host.get('host') or host.get('hostaddr') or 'local'}:{host.get('port', '5432')}"
        found.append(ServerEndpoint(name, make_conninfo("", **{**common, **host}).encode()))
    return ServerEndpoints(tuple(found), given.get("target_session_attrs") in _FOLLOWING)
