"""A person's mistake: rows deleted, a table emptied or dropped, and committed. Every standby follows at once.

Replication is no help against it, only a backup and an archive are. The injection remembers the instant just before,
by the server's own clock, to which a restore can go back, and between which two moments of ours that clock was read.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from datetime import UTC
from typing import Final

from outlast.clock import now_ns
from outlast.errors import ConfigError, HostError
from outlast.faults.base import Effect, Fault, Injection, Param
from outlast.faults.sql_fault import SqlFault, one_row, rows
from outlast.history.history import JSON
from outlast.systems.base import Cluster
from outlast.systems.postgres.bootstrap import identifier

NAME: Final = "mistake"
STATEMENTS: Final = {"delete": "DELETE FROM {}", "truncate": "TRUNCATE {}", "drop": "DROP TABLE {}"}
_TABLE: Final = re.compile(r"[a-z_][a-z0-9_]*")

# Rows of transactions that had ended before a snapshot have an xmin below its own.
_OLD_ROWS: Final = "SELECT count(*) FROM {} WHERE xmin::text::bigint < %s"
_INSTANT: Final = "SELECT clock_timestamp(), pg_snapshot_xmin(pg_current_snapshot())::text::bigint"


class Mistake(SqlFault):
    """It bit when none of the rows is there that had been before."""

    name = NAME
    about = "somebody deletes all rows of a table, and commits"
    params: tuple[Param, ...] = (
        Param("table", "outlast_append", "", "of the cluster's own database"),
        Param("statement", "delete", "", "delete, truncate or drop"),
    )
    lasts = False

    def available(self, cluster: Cluster) -> str | None:
        """Needs something that can bring the rows back."""
        if not cluster.spec.backup:
            return "nothing could bring the rows back: it needs a lab with backup=on"
        return super().available(cluster)

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Note the instant, and how many rows there are to lose."""
        table, statement = str(params["table"]), str(params["statement"])
        if not _TABLE.fullmatch(table):
            raise ConfigError(f"{table!r} is not the name of a table", key="table")
        if statement not in STATEMENTS:
            raise ConfigError(f"must be one of {', '.join(STATEMENTS)}, got {statement!r}", key="statement")
        before = now_ns()
        instant, horizon = await one_row(cluster, targets[0], _INSTANT)
        after = now_ns()
        count = await _rows_before(cluster, targets[0], table, horizon)
        if not count:
            raise HostError(f"{table} on {targets[0]} has no rows to lose")
        details: dict[str, JSON] = {
            "instant": instant.astimezone(UTC).isoformat(),
            "before_ns": before,
            "after_ns": after,
            "horizon": horizon,
            "rows": count,
        }
        return Injection(self.name, targets[:1], params, details)

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Do it."""
        statement = STATEMENTS[str(injection.params["statement"])]
        query = statement.format(identifier(str(injection.params["table"])))
        await rows(cluster, injection.targets[0], query, database=cluster.spec.database)

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """Count the rows that were there."""
        node, table = injection.targets[0], str(injection.params["table"])
        left = await _rows_before(cluster, node, table, int(str(injection.details["horizon"])))
        words = f"{left} of {injection.details['rows']} rows of {table} are left since {injection.details['instant']}"
        return Effect(left == 0, words)

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """What is gone stays gone: outlast restore brings it back beside the cluster."""


async def _rows_before(cluster: Cluster, node: str, table: str, horizon: int) -> int:
    """Return how many rows a table has of transactions older than horizon; 0 when there is no such table."""
    database = cluster.spec.database
    (there,) = await one_row(cluster, node, "SELECT to_regclass(%s) IS NOT NULL", (table,), database=database)
    if not there:
        return 0
    (count,) = await one_row(
        cluster, node, _OLD_ROWS.format(identifier(table)), (horizon,), database=database
    )
    return int(count)


FAULTS: Final[tuple[Fault, ...]] = (Mistake(),)
