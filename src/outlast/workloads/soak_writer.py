"""Workload ``soak-writer``: batches of rows and updates of older ones, each acknowledgement with the row's content.

Every 500 ms a batch of ten inserts with the value ``write_batch_N-row_i``; with every fifth batch one update of the
five oldest rows that still say INSERT. An insert's answer holds the row's id and two hashes of what the server stored:
of what never changes (id, value, time of insertion) and of what an update changes (type and time of update). An
update's answer holds the same for each of its rows, and the second hash as it was before. So each row has an unbroken
chain of acknowledged contents, and whatever else touches it, on any node, breaks it.

Rows are numbered: batch N, row i is number 10 · N + i. Source: the documents' 30-minute failover test.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Final

from outlast.history.op import NONE
from outlast.history.soak_rows import BATCH_ROWS, INSERT, NOT_OURS, UPDATE, UPDATE_ROWS, row_name
from outlast.workloads.base import PROCESS_SHIFT, SERVED_BY, Answers, Invocation, Options, Txn, TxnStep

TABLE: Final = "test_data"
BATCHES_PER_UPDATE: Final = 5
BATCH_S: Final = 0.5
_CYCLE_OPS: Final = BATCHES_PER_UPDATE * BATCH_ROWS + 1

COLUMNS: Final = (
    "(id SERIAL PRIMARY KEY, test_value VARCHAR(255), insert_timestamp TIMESTAMP DEFAULT NOW(), "
    "update_timestamp TIMESTAMP DEFAULT NOW(), operation_type VARCHAR(20) DEFAULT 'INSERT')"
)

FIXED_HASH: Final = "hash_record_extended(ROW(t.id, t.test_value, t.insert_timestamp), 0)"
"""Of what never changes in a row of table alias t."""

STATE_HASH: Final = "hash_record_extended(ROW(t.update_timestamp, t.operation_type), 0)"
"""Of what an update changes. NULL times hash, too."""

NUMBER_SQL: Final = (
    "CASE WHEN t.test_value ~ '^write_batch_[0-9]{1,15}-row_[0-9]$' THEN "
    f"split_part(split_part(t.test_value, '_', 3), '-', 1)::bigint * {BATCH_ROWS} + "
    f"split_part(t.test_value, '_', 4)::bigint ELSE {NOT_OURS} END"
)
"""The number of a row of table alias t; −1 for a value that the writer does not write."""

_UPDATED_US: Final = (
    "CASE t.operation_type WHEN 'INSERT' THEN 0 "
    "WHEN 'UPDATE' THEN coalesce((extract(epoch FROM t.update_timestamp) * 1000000)::bigint, -1) ELSE -1 END"
)

_INSERT: Final = (
    f"INSERT INTO {TABLE} AS t (test_value, operation_type) VALUES ($1, 'INSERT') "
    f"RETURNING {SERVED_BY}, json_build_array(t.id, {FIXED_HASH}::text, {STATE_HASH}::text)::text"
).encode()
_UPDATE: Final = (
    f"WITH old AS (SELECT t.id, {STATE_HASH} AS state FROM {TABLE} AS t WHERE t.operation_type = 'INSERT' "
    f"ORDER BY t.id LIMIT {UPDATE_ROWS} FOR UPDATE SKIP LOCKED), "
    f"done AS (UPDATE {TABLE} AS t SET operation_type = 'UPDATE', update_timestamp = now() FROM old "
    "WHERE t.id = old.id "
    f"RETURNING t.id, {NUMBER_SQL} AS number, {FIXED_HASH} AS fixed, old.state AS before, {STATE_HASH} AS after) "
    f"SELECT {SERVED_BY}, coalesce(json_agg(json_build_array(id, number, fixed::text, before::text, after::text)), "
    "'[]')::text FROM done"
).encode()


@dataclass(frozen=True, slots=True)
class SoakWriterWorkload:
    """Writes ``test_data`` for as long as it is let, and knows what each row must hold."""

    name: ClassVar[str] = INSERT
    tables: ClassVar[tuple[str, ...]] = (TABLE,)
    setup: ClassVar[tuple[str, ...]] = (
        f"DROP TABLE IF EXISTS {TABLE}",
        f"CREATE TABLE {TABLE} {COLUMNS}",
        f"CREATE INDEX idx_test_timestamp ON {TABLE}(insert_timestamp)",
        # The update looks for the oldest rows that still say INSERT; without this it reads all updated ones first.
        f"CREATE INDEX idx_test_not_updated ON {TABLE}(id) WHERE operation_type = 'INSERT'",
    )
    statement: ClassVar[str] = ""
    values_sql: ClassVar[str] = f"SELECT {NUMBER_SQL} AS number FROM {TABLE} AS t ORDER BY 1"
    rows_sql: ClassVar[str] = (
        f"SELECT u.v FROM {TABLE} AS t, LATERAL unnest(ARRAY[t.id::bigint, {NUMBER_SQL}, {FIXED_HASH}, "
        f"{STATE_HASH}, {_UPDATED_US}]) WITH ORDINALITY AS u(v, place) ORDER BY t.id, u.place"
    )
    params: ClassVar[Mapping[str, int]] = {}
    checkers: ClassVar[tuple[str, ...]] = ("lost_writes", "outage", "split_brain", "rows_as_acked")
    rate_per_s: ClassVar[float] = _CYCLE_OPS / (BATCHES_PER_UPDATE * BATCH_S)

    def due_s(self, number: int) -> float:
        """Return when an op is due: a batch at once, an update with the fifth batch."""
        cycle, place = divmod(number, _CYCLE_OPS)
        return (cycle * BATCHES_PER_UPDATE + min(place // BATCH_ROWS, BATCHES_PER_UPDATE - 1)) * BATCH_S

    def generator(self, process: int, rng: Random, options: Options) -> Iterator[Invocation]:
        """Yield batches and updates; clients take batches in turn. Ops that are not sent have numbers of their own."""
        turn = process - options.first_process
        batch = turn + 1
        while True:
            for row in range(BATCH_ROWS):
                number = batch * BATCH_ROWS + row
                if turn < options.clients:
                    value = row_name(number).encode()
                    yield Invocation(
                        number, [], None, Txn(INSERT, (TxnStep(_INSERT, (value,), needed=True),), None, _told)
                    )
                else:  # stands for what nobody sent: never in the table, so never a number of its rows
                    yield Invocation(process << PROCESS_SHIFT | number, [], None, Txn(INSERT, ()))
            batch += options.clients
            if (batch - turn - 1) // options.clients % BATCHES_PER_UPDATE == 0:
                yield Invocation(NONE, [], None, Txn(UPDATE, (TxnStep(_UPDATE, ()),), None, _told))


def _told(answers: Answers) -> str | None:
    return None if answers[0] is None else answers[0].decode()
