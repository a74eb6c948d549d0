"""What one look at a PostgreSQL server brings: one statement, one round trip, on a primary as on a standby.

Reading and writing queries are told apart by their first word, as pg_stat_activity shows it to a member of
pg_monitor. Counters are sums over all databases; those of tables over the database the exporter is connected to.
Source: PostgreSQL manual, "The Cumulative Statistics System".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from outlast.systems.postgres.views import TIMELINE

_POSITION: Final = """
CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_replay_lsn(), '0/0') ELSE pg_current_wal_lsn() END
"""

QUERY: Final = f"""
SELECT pg_is_in_recovery(),
       {TIMELINE},
       pg_wal_lsn_diff({_POSITION}, '0/0')::int8,
       (SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'),
       (SELECT coalesce(json_agg(json_build_array(application_name, client_addr, state, sync_state,
               pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::int8)), '[]')
        FROM pg_stat_replication WHERE NOT pg_is_in_recovery()),
       (SELECT coalesce(json_agg(json_build_array(slot_name, active,
               pg_wal_lsn_diff({_POSITION}, restart_lsn)::int8)), '[]')
        FROM pg_replication_slots),
       backends.total, backends.reading, backends.writing, backends.idle_in_transaction,
       bases.inserted, bases.updated, bases.deleted, bases.committed, bases.rolled_back, tables.scans,
       tables.rows_read, current_setting('max_connections')::int
FROM (SELECT count(*) AS total,
             count(*) FILTER (WHERE state = 'active' AND query ~* '^\\s*(select|with|table|values|fetch|copy .* to)')
               AS reading,
             count(*) FILTER (WHERE state = 'active'
                              AND query ~* '^\\s*(insert|update|delete|merge|truncate|commit|end|copy .* from)')
               AS writing,
             count(*) FILTER (WHERE state LIKE 'idle in transaction%') AS idle_in_transaction
      FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()) AS backends,
     (SELECT sum(tup_inserted)::int8 AS inserted, sum(tup_updated)::int8 AS updated, sum(tup_deleted)::int8 AS deleted,
             sum(xact_commit)::int8 AS committed, sum(xact_rollback)::int8 AS rolled_back
      FROM pg_stat_database) AS bases,
     (SELECT coalesce(sum(seq_scan), 0)::int8 AS scans,
             coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::int8 AS rows_read
      FROM pg_stat_user_tables) AS tables
"""


@dataclass(frozen=True, slots=True)
class StandbySample:
    """A row of pg_stat_replication. lag_bytes: not yet replayed; None when the standby has not said."""

    name: str
    address: str
    state: str
    sync: str
    lag_bytes: int | None


@dataclass(frozen=True, slots=True)
class SlotSample:
    """A replication slot. retained_bytes: WAL that it keeps; None when it keeps none."""

    name: str
    is_active: bool
    retained_bytes: int | None


@dataclass(frozen=True, slots=True)
class NodeSample:
    """What a server said. lsn: written on a primary, replayed on a standby; bytes. Counters as PostgreSQL counts."""

    in_recovery: bool
    timeline: int
    lsn: int
    is_streaming: bool
    standbys: tuple[StandbySample, ...]
    slots: tuple[SlotSample, ...]
    connections: int
    reading: int
    writing: int
    idle_in_transaction: int
    inserted: int
    updated: int
    deleted: int
    committed: int
    rolled_back: int
    sequential_scans: int
    rows_read: int
    connections_max: int


def sample_of(row: tuple[Any, ...]) -> NodeSample:
    """Return the sample in a row of QUERY."""
    standbys = tuple(
        StandbySample(name, address or "", state, sync, lag) for name, address, state, sync, lag in row[4]
    )
    slots = tuple(SlotSample(name, active, retained) for name, active, retained in row[5])
    return NodeSample(row[0], row[1], row[2], row[3] > 0, standbys, slots, *row[6:])
