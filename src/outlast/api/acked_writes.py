"""Whether everything that an application believes is safe is there: its own values against what the database holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

import psycopg
from psycopg import sql

from outlast.errors import ClusterError, ConfigError
from outlast.systems.postgres.views import Connection

NAMED_MAX: Final = 10
READ_TIMEOUT_S: Final = 60.0


def values_query(query: str | None, table: str | None, column: str | None) -> sql.SQL | sql.Composed:
    """Return the query that lists what the database holds. Raises ConfigError unless it is said in one way."""
    if query is not None and table is None and column is None:
        return sql.SQL(query)  # a person's own text, run as it is
    if query is None and table is not None:
        columns = sql.SQL("*") if column is None else sql.Identifier(column)
        return sql.SQL("SELECT {} FROM {}").format(columns, sql.Identifier(*table.split(".")))
    raise ConfigError(
        "say where the acknowledged values are", hint='table="orders", column="id"; or query="SELECT …"'
    )


async def read_values(connection: Connection, query: sql.SQL | sql.Composed) -> list[Any]:
    """Return a query's values: of one column the values themselves, else tuples. Raises ClusterError."""
    try:
        rows = await (await connection.execute(query)).fetchall()
    except psycopg.Error as error:
        raise ClusterError(f"the acknowledged values cannot be read back: {str(error).strip()}") from error
    return [row[0] if len(row) == 1 else row for row in rows]


def describe_missing(acknowledged: Iterable[Any], held: Sequence[Any], *, exactly_once: bool) -> str:
    """Return what is wrong with what the database holds, "" when nothing is. O(n) time and memory.

    Values are compared as they are and, where they differ in type, as text: an application may keep a UUID as a string.
    Nothing acknowledged is wrong, too: it proves nothing.
    """
    wanted = list(acknowledged)
    if not wanted:
        return "nothing was acknowledged, so nothing is proven"
    there = Counter(_text(value) for value in held)
    lost = [value for value in wanted if not there[_text(value)]]
    if lost:
        return f"{len(lost)} of {len(wanted)} acknowledged writes are lost: {_named(lost)}"
    if exactly_once:
        twice = [value for value, count in there.items() if count > 1]
        if twice:
            return f"{len(twice)} values are there more than once: {_named(twice)}"
    return ""


def _text(value: object) -> str:
    if isinstance(value, tuple | list):
        return repr([_text(one) for one in value])
    return str(value)


def _named(values: Sequence[object]) -> str:
    shown = ", ".join(str(value) for value in values[:NAMED_MAX])
    return shown + (f" and {len(values) - NAMED_MAX} more" if len(values) > NAMED_MAX else "")
