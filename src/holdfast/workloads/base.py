"""What every workload is, and how a reply says which node gave it."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final, NamedTuple, Protocol

PROCESS_SHIFT: Final = 40
"""A unique number is ``process << PROCESS_SHIFT | n``: 2^23 processes of 2^40 ops each, all above 0."""

SERVED_BY: Final = (
    "pg_current_wal_insert_lsn(), "
    "left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) || coalesce(current_setting('holdfast.node', true), '')"
)
"""The two columns by which a reply says where, on which timeline and by which node it was served.

They are asked for in every statement, not once a connection. For a direct connection once would do: only a
server outside recovery writes, its timeline is fixed until it stops, and stopping ends the connection (a
connection that a standby opened read-only survives its promotion, so even then "once" is once *it wrote*).
But a pooler or balancer moves a connection between servers unseen, and the price is about a microsecond:
``holdfast.node``, a setting that each server is given, is a look-up, and the first eight digits of a WAL
file name are the timeline on which this very server inserts. ``pg_control_checkpoint()`` is no substitute: it
reads a file, and after a promotion shows the old timeline until the next checkpoint.

The position is that of the row's own record or a little later; its commit record follows.
"""


def unique_number(process: int, n: int) -> int:
    """Return the n-th number of a process, unique in a run."""
    return process << PROCESS_SHIFT | n


class Call(NamedTuple):
    """One op to send. value, key: as the history records them. params: of the statement, in binary format."""

    value: int
    params: list[bytes]
    key: int | None = None


class Workload(Protocol):
    """A kind of load: its table, its endless ops, what its clients send, and who judges it.

    Implementations are stateless: a worker process finds one by name and drives it.
    """

    @property
    def name(self) -> str:
        """The name under which drills and histories know it; also the function name of its ops."""
        ...

    @property
    def setup(self) -> tuple[str, ...]:
        """SQL statements, run in order on the primary before the load; a table of an earlier run goes."""
        ...

    @property
    def statement(self) -> str:
        """What a client sends for each op. Its first two result columns are ``SERVED_BY``."""
        ...

    def generator(self, process: int, rng: Random) -> Iterator[Call]:
        """Yield the ops of one process for ever; every choice comes from rng."""
        ...

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that replicas must agree on."""
        ...

    @property
    def values_sql(self) -> str:
        """The final read: a query of one bigint column, sorted, without nulls."""
        ...

    @property
    def checkers(self) -> tuple[str, ...]:
        """Names of the checkers that judge it."""
        ...


def content_sql(table: str) -> str:
    """Return the query for (row count, content hash as text) of a table.

    The hash is the sum of a 64-bit hash of each row, so it does not depend on the order in which a node
    stores them; one pass, about 0.2 s for a million small rows. It needs PostgreSQL 14.
    """
    return f"SELECT count(*), coalesce(sum(hash_record_extended(t.*, 0)), 0)::text FROM {table} AS t"
