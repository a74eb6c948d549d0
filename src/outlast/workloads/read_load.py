"""Workload ``read-load``: what a report's readers ask of the read-only nodes, without end.

Five questions in turn about the soak's table: how many rows, the greatest and least id, rows by type, the hundred
newest, and an aggregate over all of it; 50 ms between two. Source: the documents' read load generator.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Final

from outlast.history.op import NONE
from outlast.workloads.base import READ_BY, Invocation, Options, Txn, TxnStep
from outlast.workloads.soak_writer import COLUMNS, TABLE

FUNCTION: Final = "read-load"
PAUSE_MS: Final = 50

_QUESTIONS: Final = (
    "SELECT count(*) FROM test_data",
    "SELECT json_build_array(max(id), min(id)) FROM test_data",
    "SELECT json_object_agg(operation_type, n) "
    "FROM (SELECT operation_type, count(*) AS n FROM test_data GROUP BY operation_type) AS g",
    "SELECT json_agg(id) FROM (SELECT id, test_value FROM test_data ORDER BY id DESC LIMIT 100) AS newest",
    "SELECT json_build_array(count(DISTINCT operation_type), avg(length(test_value)), min(insert_timestamp), "
    "max(update_timestamp)) FROM test_data",
)
_STEPS: Final = tuple(
    TxnStep(f"SELECT {READ_BY}, ({question})::text".encode(), ()) for question in _QUESTIONS
)


@dataclass(frozen=True, slots=True)
class ReadLoadWorkload:
    """Reads ``test_data`` on each read-only node; the table is the soak writer's."""

    name: ClassVar[str] = FUNCTION
    tables: ClassVar[tuple[str, ...]] = ()
    setup: ClassVar[tuple[str, ...]] = (f"CREATE TABLE IF NOT EXISTS {TABLE} {COLUMNS}",)
    statement: ClassVar[str] = ""
    values_sql: ClassVar[str] = ""
    params: ClassVar[Mapping[str, int]] = {"pause_ms": PAUSE_MS}
    checkers: ClassVar[tuple[str, ...]] = ("read_errors",)
    pinned_to_read_only: ClassVar[bool] = True

    def generator(self, process: int, rng: Random, options: Options) -> Iterator[Invocation]:
        """Yield the questions in turn."""
        while True:
            for step in _STEPS:
                yield Invocation(NONE, [], None, Txn(FUNCTION, (step,)))
