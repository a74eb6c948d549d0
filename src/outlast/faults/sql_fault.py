"""What faults inside PostgreSQL share: a superuser's connection past all routes, and errors of our own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import psycopg

from outlast.errors import HostError
from outlast.faults.base import Fault, Mechanism
from outlast.systems.base import Cluster, HasServers

TIMEOUT_S: Final = 5.0


class SqlError(HostError):
    """A server refused a statement, or did not answer. sqlstate: its code, None without an answer."""

    def __init__(self, node: str, error: Exception) -> None:
        super().__init__(f"{node}: {str(error).strip() or type(error).__name__}")
        self.sqlstate = error.sqlstate if isinstance(error, psycopg.Error) else None


class SqlFault(Fault):
    """A fault that is asked of a server, in SQL."""

    mechanism = Mechanism.SQL

    def available(self, cluster: Cluster) -> str | None:
        """Needs servers to connect to."""
        return None if isinstance(cluster, HasServers) else f"{cluster.spec.system} has no PostgreSQL servers"


async def rows(
    cluster: Cluster,
    node: str,
    query: str,
    values: Sequence[object] = (),
    *,
    timeout_s: float = TIMEOUT_S,
    database: str = "postgres",
) -> list[tuple[Any, ...]]:
    """Run a query on a node as its superuser and return its rows. Raises SqlError."""
    assert isinstance(cluster, HasServers)
    try:
        connection = await cluster.connect(node, database=database, timeout_s=timeout_s)
        try:
            cursor = await connection.execute(query.encode(), tuple(values) or None)
            return await cursor.fetchall() if cursor.description else []
        finally:
            await connection.close()
    except (psycopg.Error, OSError, TimeoutError) as error:
        raise SqlError(node, error) from error


async def one_row(
    cluster: Cluster, node: str, query: str, values: Sequence[object] = (), *, database: str = "postgres"
) -> tuple[Any, ...]:
    """Run a query that returns one row. Raises HostError."""
    found = await rows(cluster, node, query, values, database=database)
    if len(found) != 1:
        raise HostError(f"{node}: {query!r} returned {len(found)} rows")
    return found[0]
