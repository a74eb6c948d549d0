"""Workload ``transactions``: short transactions of one row, as many a second as the cluster takes.

The table is the one of Patroni's own test suite: a unique transaction id, some data, and the node that took it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Final

from outlast.workloads.base import SERVED_BY, Invocation, Options, unique_number

TABLE: Final = "ha_test_transactions"
_PREFIX: Final = "outlast-"
_DATA: Final = "x" * 100


@dataclass(frozen=True, slots=True)
class TransactionsWorkload:
    """Inserts rows with unique ids into ``ha_test_transactions``."""

    name: ClassVar[str] = "transactions"
    tables: ClassVar[tuple[str, ...]] = (TABLE,)
    setup: ClassVar[tuple[str, ...]] = (
        f"CREATE TABLE IF NOT EXISTS {TABLE} (id serial PRIMARY KEY, transaction_id varchar(100) UNIQUE, data text, "
        "created_at timestamp DEFAULT now(), node_name varchar(100))",
        f"DELETE FROM {TABLE} WHERE transaction_id LIKE '{_PREFIX}%'",
    )
    statement: ClassVar[str] = (
        f"INSERT INTO {TABLE} (transaction_id, data, node_name) "
        f"VALUES ('{_PREFIX}' || $1::bigint, '{_DATA}', current_setting('outlast.node', true)) RETURNING {SERVED_BY}"
    )
    values_sql: ClassVar[str] = (
        f"SELECT substr(transaction_id, {len(_PREFIX) + 1})::bigint AS number FROM {TABLE} "
        f"WHERE transaction_id ~ '^{_PREFIX}[0-9]{{1,18}}$' ORDER BY 1"
    )
    params: ClassVar[Mapping[str, int]] = {}
    checkers: ClassVar[tuple[str, ...]] = ("lost_writes", "outage", "split_brain")

    def generator(self, process: int, rng: Random, options: Options) -> Iterator[Invocation]:
        """Yield inserts of unique numbers."""
        n = 0
        while True:
            number = unique_number(process, n)
            yield Invocation(number, [number.to_bytes(8, "big")])
            n += 1
