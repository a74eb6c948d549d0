"""Connection strings for libpq. Source: PostgreSQL manual, "Database Connection Control Functions"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

CONNECT_TIMEOUT_S: Final = 2
TCP_USER_TIMEOUT_MS: Final = 5000


def multi_host_dsn(hosts: Sequence[tuple[str, int]], database: str, user: str, attributes: str) -> str:
    """Return a connection string that tries hosts in turn until one has the session attributes.

    Without a connect time-out libpq stays at a dead host for minutes, and without a TCP user time-out an open
    connection to a host that lost its power never ends: both are set. No password: libpq reads the passfile.
    """
    return (
        f"host={','.join(address for address, _port in hosts)}"
        f" port={','.join(str(port) for _address, port in hosts)}"
        f" dbname={database} user={user} target_session_attrs={attributes}"
        f" connect_timeout={CONNECT_TIMEOUT_S} tcp_user_timeout={TCP_USER_TIMEOUT_MS}"
    )
