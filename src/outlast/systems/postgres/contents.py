"""Compares what servers hold: a hash of every table of every database, at one position.

While it looks, writers wait: the primary's tables are locked against changes, its position is taken, and each standby
is read once it has replayed it. So a difference is one of content, never of time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from psycopg import sql

from outlast.clock import now_ns
from outlast.pace import scaled, scaled_deadline_ns
from outlast.systems.postgres.views import Connection, server_view
from outlast.units import parse_lsn

Connect = Callable[[str, str], Awaitable[Connection]]
"""Connects to a node's database."""

POLL_S: Final = 0.05
LOCK_TIMEOUT_MS: Final = 2000

_DATABASES: Final = "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1"
_TABLES: Final = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """The tables of one database that a node holds otherwise than the primary."""

    node: str
    database: str
    tables: tuple[str, ...]


async def compare(
    connect: Connect, primary: str, standbys: Sequence[str], timeout_s: float
) -> list[Difference]:
    """Return where standbys differ from the primary; [] when all hold the same.

    Raises psycopg.Error when a server does not answer or the tables can't be locked, TimeoutError when a standby does
    not reach the primary's position in time. O(rows).
    """
    connection = await connect(primary, "postgres")
    async with connection:
        databases = [row[0] for row in await (await connection.execute(_DATABASES)).fetchall()]
    found = []
    for database in databases:
        found += await _compare_database(connect, primary, standbys, database, timeout_s)
    return found


async def _compare_database(
    connect: Connect, primary: str, standbys: Sequence[str], database: str, timeout_s: float
) -> list[Difference]:
    connection = await connect(primary, database)
    async with connection, connection.transaction():
        tables = await (await connection.execute(_TABLES)).fetchall()
        if not tables:
            return []
        names = [sql.Identifier(*row) for row in tables]
        await connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
        await connection.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(sql.SQL(", ").join(names)))
        row = await (await connection.execute("SELECT pg_current_wal_insert_lsn()::text")).fetchone()
        assert row is not None
        lsn = parse_lsn(row[0])
        expected = await _hashes(connection, names)
        hashes = await asyncio.gather(
            *(_standby_hashes(connect, node, database, names, lsn, timeout_s) for node in standbys)
        )
    found = []
    for node, actual in zip(standbys, hashes, strict=True):
        other = tuple(
            ".".join(name)
            for name, mine, theirs in zip(tables, expected, actual, strict=True)
            if mine != theirs
        )
        if other:
            found.append(Difference(node, database, other))
    return found


async def _standby_hashes(
    connect: Connect, node: str, database: str, names: Sequence[sql.Identifier], lsn: int, timeout_s: float
) -> list[str]:
    connection = await connect(node, database)
    async with connection:
        deadline = scaled_deadline_ns(timeout_s)
        while (await server_view(connection)).lsn < lsn:
            if now_ns() > deadline:
                raise TimeoutError(f"{node} did not replay the primary's position in {scaled(timeout_s):g} s")
            await asyncio.sleep(POLL_S)
        return await _hashes(connection, names)


async def _hashes(connection: Connection, names: Sequence[sql.Identifier]) -> list[str]:
    """Return for each table its number of rows and the sum of a hash of each row's text: any type has one."""
    query = "SELECT count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)), 0) FROM {} AS t"
    found = []
    for name in names:
        row = await (await connection.execute(sql.SQL(query).format(name))).fetchone()
        assert row is not None
        found.append(str(row[0]))
    return found
