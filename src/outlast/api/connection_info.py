"""How a program outside the lab finds a role: through published ports, in the words of its driver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from outlast.errors import ConfigError
from outlast.systems.postgres.dsn import multi_host_dsn

ATTRIBUTES: Final[Mapping[str, str]] = {
    "primary": "read-write",
    "standby": "prefer-standby",
    "any": "any",
}
"""Roles that a program may ask for, and libpq's ``target_session_attrs`` for each."""


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """Servers by name, in the order in which a client tries them. passfile: None where libpq's own is meant.

    others: further parameters of libpq, as a person gave them.
    """

    servers: Mapping[str, tuple[str, int]]
    database: str
    user: str
    passfile: str | None = None
    others: Mapping[str, str] | None = None

    def of(self, role: str) -> tuple[Sequence[tuple[str, int]], str]:
        """Return the servers to try for a role, or a node's own, and the session attributes to ask for."""
        if role in self.servers:
            return [self.servers[role]], "any"
        if role not in ATTRIBUTES:
            there = ", ".join((*ATTRIBUTES, *self.servers))
            raise ConfigError(f"{role!r} is neither a role nor a node", hint=f"choose one of: {there}")
        return list(self.servers.values()), ATTRIBUTES[role]

    def dsn(self, role: str, **parameters: str | int) -> str:
        """Return libpq's connection string; parameters are added to it or replace what it has."""
        hosts, attributes = self.of(role)
        own: dict[str, str | int] = {"passfile": self.passfile} if self.passfile else {}
        text = multi_host_dsn(hosts, self.database, self.user, attributes)
        return make_conninfo(text, **{**(self.others or {}), **own, **parameters})

    def url(self, role: str, scheme: str = "postgresql+psycopg", **parameters: str | int) -> str:
        """Return the same as a URL, as SQLAlchemy reads it: servers are ``host=HOST:PORT`` parameters."""
        hosts, _ = self.of(role)
        rest = {
            key: str(value)
            for key, value in conninfo_to_dict(self.dsn(role, **parameters)).items()
            if key not in ("host", "port", "dbname", "user")
        }
        query = urlencode([*(("host", f"{host}:{port}") for host, port in hosts), *rest.items()])
        return f"{scheme}://{quote(self.user)}@/{quote(self.database)}?{query}"

    def asyncpg(self, role: str) -> dict[str, object]:
        """Return the arguments of ``asyncpg.connect`` and ``asyncpg.create_pool``."""
        hosts, attributes = self.of(role)
        found: dict[str, object] = {
            "host": [host for host, _ in hosts],
            "port": [port for _, port in hosts],
            "database": self.database,
            "user": self.user,
            "target_session_attrs": attributes,
        }
        return found | ({"passfile": self.passfile} if self.passfile else {})
