"""Connection strings for libpq. Source: PostgreSQL manual, "Database Connection Control Functions"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

CONNECT_TIMEOUT_S: Final = 2
TCP_USER_TIMEOUT_MS: Final = 5000
_BY_HOST: Final = ("host", "hostaddr", "port")


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


def per_host(params: Mapping[str, str]) -> list[dict[str, str]]:
    """Return one set of libpq's parameters a host, from one that may name several in host, hostaddr and port.

    Raises ValueError when their numbers do not fit: one port may stand for all hosts, else there is one each.
    """
    common = {key: value for key, value in params.items() if key not in _BY_HOST}
    lists = {key: params.get(key, "").split(",") for key in _BY_HOST}
    count = max(len(lists["host"]), len(lists["hostaddr"]))
    for key, values in lists.items():
        if len(values) not in (1, count):
            raise ValueError(f"lists {len(values)} of {key} for {count} hosts")
    own = [{key: values[at % len(values)] for key, values in lists.items()} for at in range(count)]
    return [{**common, **{key: value for key, value in one.items() if value}} for one in own]
