"""What a PostgreSQL server says of itself: role, timeline, position, its standbys and slots.

One query a server, one round trip, and it works on a primary and on a standby. Source: PostgreSQL manual,
"System Administration Functions" and "The Cumulative Statistics System".
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

import psycopg

from outlast.units import parse_lsn

T = TypeVar("T")

# On a primary the timeline is that of the WAL file being written; on a standby that of the WAL it receives,
# or, with no receiver, of the last restart point's end of recovery.
TIMELINE: Final = """
       CASE WHEN pg_is_in_recovery()
            THEN coalesce((SELECT received_tli FROM pg_stat_wal_receiver WHERE status = 'streaming'),
                          (SELECT min_recovery_end_timeline FROM pg_control_recovery()),
                          (SELECT timeline_id FROM pg_control_checkpoint()))
            ELSE ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int
       END"""

_SERVER: Final = f"""
SELECT pg_is_in_recovery(),
{TIMELINE},
       (CASE WHEN pg_is_in_recovery()
             THEN coalesce(pg_last_wal_replay_lsn(), '0/0')
             ELSE pg_current_wal_lsn() END)::text
"""

_STANDBYS: Final = """
SELECT r.application_name, r.state, r.sync_state,
       extract(epoch FROM r.write_lag)::float8, extract(epoch FROM r.flush_lag)::float8,
       extract(epoch FROM r.replay_lag)::float8,
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery()
                            THEN coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
                            ELSE pg_current_wal_lsn() END, r.replay_lsn)::int8,
       coalesce(s.active, false), host(r.client_addr)
FROM pg_stat_replication r
LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid
"""

# A server on timeline 1 has no history file; the function that reads it fails then, so it is asked for last.
_TIMELINE_HISTORY: Final = "SELECT pg_read_file('pg_wal/' || lpad(to_hex(%s::int), 8, '0') || '.history')"


@dataclass(frozen=True, slots=True)
class ServerView:
    """What one server says of itself. lsn: written on a primary, replayed on a standby; bytes."""

    in_recovery: bool
    timeline: int
    lsn: int


@dataclass(frozen=True, slots=True)
class StandbyView:
    """What a server says of one standby that streams from it. name: its application_name. Lags: behind that server;
    seconds, None when idle. address: where it connects from, None for a socket."""

    name: str
    state: str
    sync: str
    write_lag_s: float | None
    flush_lag_s: float | None
    replay_lag_s: float | None
    lag_bytes: int | None
    slot_active: bool
    address: str | None


Connection = psycopg.AsyncConnection[tuple[Any, ...]]


async def connect(
    port: int, *, database: str, user: str, password: str, timeout_s: float, application: str = "outlast"
) -> Connection:
    """Connect to a published port, in autocommit, every statement bounded by timeout_s. Raises psycopg.Error."""
    return await psycopg.AsyncConnection.connect(
        host="127.0.0.1",
        port=port,
        dbname=database,
        user=user,
        password=password,
        connect_timeout=max(2, int(timeout_s)),
        application_name=application,
        options=f"-c statement_timeout={int(timeout_s * 1000)} -c synchronous_commit=local",
        autocommit=True,
        prepare_threshold=None,
    )


async def within(connection: Connection, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
    """Return what a piece of work on a connection returns, or raise TimeoutError after timeout_s, whatever the server
    does; the connection is then of no use. Raises psycopg.Error.

    A query that is cancelled in psycopg waits up to five seconds for the server to hear of it, and one that is gone
    never does: so the socket is shut down instead, and psycopg sees a connection that was closed.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=timeout_s)
        if task.done():
            return task.result()
    finally:
        if (
            not task.done()
        ):  # out of time, or cancelled: it must have ended before anybody frees the connection
            with (
                contextlib.suppress(OSError, psycopg.Error),
                socket.socket(fileno=os.dup(connection.fileno())) as end,
            ):
                end.shutdown(socket.SHUT_RDWR)
            await asyncio.wait({task}, timeout=timeout_s)
            if task.done() and not task.cancelled():
                task.exception()
    raise TimeoutError(f"no answer in {timeout_s:g} s")


async def fetch_within(connection: Connection, query: str, timeout_s: float) -> list[tuple[Any, ...]]:
    """Return a query's rows, bounded as ``within`` bounds it."""
    return await within(connection, _rows(connection, query), timeout_s)


async def _rows(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    return await (await connection.execute(query.encode())).fetchall()


async def server_view(connection: Connection) -> ServerView:
    """Return what the server says of itself. Raises psycopg.Error."""
    cursor = await connection.execute(_SERVER)
    row = cast("tuple[bool, int, str]", await cursor.fetchone())
    return ServerView(row[0], row[1], parse_lsn(row[2]))


async def standby_views(connection: Connection) -> tuple[StandbyView, ...]:
    """Return what a server says of the standbys that stream from it. Raises psycopg.Error."""
    cursor = await connection.execute(_STANDBYS)
    return tuple(StandbyView(*row) for row in await cursor.fetchall())


async def timeline_starts(connection: Connection, timeline: int) -> tuple[tuple[int, int], ...]:
    """Return (timeline, LSN in bytes at which it branched off) for each timeline up to the given one.

    Read from the timeline's history file; the first timeline starts at 0. Raises psycopg.Error.
    """
    if timeline <= 1:
        return ((1, 0),)
    cursor = await connection.execute(_TIMELINE_HISTORY, (timeline,))
    (text,) = cast("tuple[str]", await cursor.fetchone())
    starts = [(1, 0)]
    lines = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
    children = [int(line[0]) for line in lines[1:]] + [timeline]
    for line, child in zip(lines, children, strict=True):
        starts.append((child, parse_lsn(line[1])))
    return tuple(starts)


async def slot_names(connection: Connection) -> frozenset[str]:
    """Return the names of a server's replication slots. Raises psycopg.Error."""
    cursor = await connection.execute("SELECT slot_name::text FROM pg_replication_slots")
    return frozenset(row[0] for row in await cursor.fetchall())


async def settings_of(connection: Connection, names: Sequence[str]) -> dict[str, str]:
    """Return parameters as a server uses them now, in their base unit; one it does not know is left out."""
    cursor = await connection.execute(
        "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", (list(names),)
    )
    return dict(await cursor.fetchall())
