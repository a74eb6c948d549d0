"""Workload ``pgbench``: PostgreSQL's own benchmark, its TPC-B-like transactions through the route.

It ends at the first connection that it loses, so it is started again until the time is over, and each second with
transactions counts as one operation done: the outage is measured to a second. Its tables are made first, with
100,000 accounts. https://www.postgresql.org/docs/current/pgbench.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Final

from outlast.errors import ConfigError
from outlast.history.op import Outcome
from outlast.systems.postgres.install import find
from outlast.workloads.base import Invocation, Options

FOREVER_S: Final = 864000
_PROGRESS: Final = re.compile(r"progress: [0-9.]+ s, ([0-9.]+) tps")

# pgbench's own tables, made in SQL so that they are made where and as whom all others are.
_TABLES: Final = (
    "DROP TABLE IF EXISTS pgbench_accounts, pgbench_branches, pgbench_history, pgbench_tellers",
    "CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22))",
    "CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int, tbalance int, filler char(84))",
    "CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84))",
    "CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int, filler char(88))",
    "INSERT INTO pgbench_branches SELECT 1, 0",
    "INSERT INTO pgbench_tellers SELECT n, 1, 0 FROM generate_series(1, 10) AS n",
    "INSERT INTO pgbench_accounts SELECT n, 1, 0, '' FROM generate_series(1, 100000) AS n",
)


@dataclass(frozen=True, slots=True)
class PgbenchWorkload:
    """Runs pgbench."""

    name: ClassVar[str] = "pgbench"
    tables: ClassVar[tuple[str, ...]] = (
        "pgbench_accounts",
        "pgbench_branches",
        "pgbench_history",
        "pgbench_tellers",
    )
    setup: ClassVar[tuple[str, ...]] = _TABLES
    statement: ClassVar[str] = ""
    values_sql: ClassVar[str] = ""
    params: ClassVar[Mapping[str, int]] = {}
    checkers: ClassVar[tuple[str, ...]] = ("command_ended", "command_outage")
    restarts: ClassVar[bool] = True

    def generator(self, process: int, rng: Random, options: Options) -> Iterator[Invocation]:
        """Yield nothing: pgbench decides for itself."""
        yield from ()

    def argv(self, given: Mapping[str, object], clients: int) -> tuple[str, ...]:
        """Return pgbench with its arguments. Raises ConfigError for settings, of which it has none."""
        for key in given:
            raise ConfigError(
                "is no setting of this workload",
                key=f"workload.pgbench.{key}",
                hint="its only setting is clients",
            )
        program = find(None).program("pgbench")
        return (program, "-n", "-c", str(max(1, clients)), "-T", str(FOREVER_S), "-P", "1", "-s", "1")

    def heard(self, line: str) -> Outcome | None:
        """A line of progress is a second with transactions, or one without."""
        progress = _PROGRESS.match(line)
        if progress is None:
            return None
        return Outcome.OK if float(progress[1]) > 0 else Outcome.FAIL
