"""What a PostgreSQL server that is not ours shows of itself and its standbys to whoever may only look.

One read-only transaction a look, bounded by a statement time-out; nothing is written, and no setting of the session
outlives it, so a pooler in between is no harm. Source: PostgreSQL manual, "Monitoring Database Activity", "Replication"
and "System Catalogs".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from outlast.systems.postgres.views import ServerView, server_view
from outlast.units import parse_lsn

STATEMENT_TIMEOUT_MS: Final = 3000
LOCK_TIMEOUT_MS: Final = 500
VERSION_MIN: Final = 120000

SETTINGS: Final = (
    "archive_mode",
    "cluster_name",
    "data_checksums",
    "fsync",
    "full_page_writes",
    "hot_standby_feedback",
    "max_connections",
    "max_slot_wal_keep_size",
    "max_wal_senders",
    "recovery_min_apply_delay",
    "synchronous_commit",
    "synchronous_standby_names",
    "wal_keep_size",
    "wal_level",
    "wal_log_hints",
    "wal_receiver_timeout",
    "wal_sender_timeout",
)
"""What decides how a cluster replicates, and what a failover costs."""

# Whole rows as JSON, because versions differ in their columns; lags as seconds beside them.
_STANDBYS: Final = """
SELECT row_to_json(r), host(r.client_addr), extract(epoch FROM r.write_lag)::float8,
       extract(epoch FROM r.flush_lag)::float8, extract(epoch FROM r.replay_lag)::float8,
       (SELECT min(s.slot_name) FROM pg_replication_slots s WHERE s.active_pid = r.pid)
FROM pg_stat_replication r ORDER BY r.application_name
"""
_SLOTS: Final = """
SELECT row_to_json(s),
       CASE WHEN pg_is_in_recovery() THEN NULL
            ELSE pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn)::int8 END
FROM pg_replication_slots s ORDER BY s.slot_name
"""
_RECEIVER: Final = "SELECT row_to_json(w) FROM pg_stat_wal_receiver w"
_SETTINGS: Final = "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY(%s)"
# What single roles or databases are given differs from what the server itself says.
_OWN_COMMIT: Final = """
SELECT coalesce(r.rolname, 'all roles'), coalesce(d.datname, 'all databases'), setting
FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase,
     unnest(s.setconfig) AS setting
WHERE setting LIKE 'synchronous_commit=%%'
"""
_ABOUT: Final = """
SELECT current_setting('server_version'), (SELECT system_identifier::text FROM pg_control_system()),
       extract(epoch FROM now() - pg_last_xact_replay_timestamp())::float8,
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn()::text ELSE pg_current_wal_flush_lsn()::text END,
       pg_is_in_recovery() AND pg_is_wal_replay_paused(), pg_has_role('pg_monitor', 'USAGE'),
       coalesce((SELECT substring(setting from 'application_name=''?([^ '']+)') FROM pg_settings
                 WHERE name = 'primary_conninfo'), nullif(current_setting('cluster_name'), ''))
"""
# Of primary_conninfo its application_name alone leaves the server: the rest may hold a password.


@dataclass(frozen=True, slots=True)
class SeenStandby:
    """A standby as its upstream shows it. LSNs in bytes and lags in seconds, None where they are not shown.

    slot: the replication slot it uses, None without one.
    """

    name: str
    address: str | None
    state: str | None
    sync: str | None
    sent: int | None
    flushed: int | None
    replayed: int | None
    write_lag_s: float | None
    flush_lag_s: float | None
    replay_lag_s: float | None
    slot: str | None


@dataclass(frozen=True, slots=True)
class SeenSlot:
    """A replication slot. retained_bytes: WAL it holds back, None on a standby. wal_status: as PostgreSQL calls it."""

    name: str
    kind: str
    active: bool
    retained_bytes: int | None
    wal_status: str | None


@dataclass(frozen=True, slots=True)
class Survey:
    """One server at one moment.

    received: bytes it has safely (a primary's own flushed WAL, what a standby has received); upstream: (host, port) a
    standby follows, None when it does not say; slot: the one it uses there; calls_itself: its application_name there,
    as far as it is shown; replayed_ago_s: age of the last replayed commit; sees_all: whether this user is shown other
    users' replication.
    """

    view: ServerView
    version: str
    system_id: str
    received: int
    replayed_ago_s: float | None
    paused: bool
    sees_all: bool
    calls_itself: str | None
    upstream: tuple[str, int] | None
    slot: str | None
    standbys: tuple[SeenStandby, ...]
    slots: tuple[SeenSlot, ...]
    settings: Mapping[str, str]
    own_commit: tuple[str, ...]


async def survey(connection: psycopg.AsyncConnection[Any]) -> Survey:
    """Look at a server in one read-only transaction. Raises psycopg.Error."""
    await connection.set_read_only(True)
    async with connection.transaction():
        await connection.execute(f"SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS}")
        await connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
        if connection.info.server_version < VERSION_MIN:
            raise psycopg.NotSupportedError(
                f"PostgreSQL {connection.info.server_version // 10000} is older than the 12 that this looks at"
            )
        view = await server_view(connection)
        (about,) = await _rows(connection, _ABOUT)
        receivers = await _rows(connection, _RECEIVER)
        return Survey(
            view=view,
            version=about[0],
            system_id=about[1],
            received=parse_lsn(about[3]) if about[3] else view.lsn,
            replayed_ago_s=about[2],
            paused=about[4],
            sees_all=about[5],
            calls_itself=about[6],
            upstream=_upstream(receivers[0][0]) if receivers else None,
            slot=receivers[0][0].get("slot_name") if receivers else None,
            standbys=tuple(_standby(*row) for row in await _rows(connection, _STANDBYS)),
            slots=tuple(_slot(*row) for row in await _rows(connection, _SLOTS)),
            settings=dict(await _rows(connection, _SETTINGS, (list(SETTINGS),))),
            own_commit=tuple(
                f"{role} in {database}: {setting}"
                for role, database, setting in await _rows(connection, _OWN_COMMIT, ())
            ),
        )


async def _rows(
    connection: psycopg.AsyncConnection[Any], query: str, values: tuple[object, ...] | None = None
) -> list[tuple[Any, ...]]:
    return await (await connection.execute(query.encode(), values)).fetchall()


def _standby(
    row: Mapping[str, Any],
    address: str | None,
    write_lag_s: float | None,
    flush_lag_s: float | None,
    replay_lag_s: float | None,
    slot: str | None,
) -> SeenStandby:
    return SeenStandby(
        str(row["application_name"] or address or "a standby"),
        address,
        row["state"],
        row["sync_state"],
        _lsn(row["sent_lsn"]),
        _lsn(row["flush_lsn"]),
        _lsn(row["replay_lsn"]),
        write_lag_s,
        flush_lag_s,
        replay_lag_s,
        slot,
    )


def _slot(row: Mapping[str, Any], retained: int | None) -> SeenSlot:
    return SeenSlot(row["slot_name"], row["slot_type"], row["active"], retained, row.get("wal_status"))


def _upstream(row: Mapping[str, Any]) -> tuple[str, int] | None:
    host, port = row.get("sender_host"), row.get("sender_port")
    return (host, port) if isinstance(host, str) and host and isinstance(port, int) else None


def _lsn(text: str | None) -> int | None:
    return parse_lsn(text) if text else None
