"""The table that Patroni's test suite writes to; each row says which node took it."""

from __future__ import annotations

from collections.abc import Iterator

from outlast.datasets.base import RowBatch
from outlast.errors import ConfigError


class HaTestDataset:
    """One empty table."""

    name = "ha-test"
    tables: tuple[str, ...] = ("ha_test_transactions",)
    schema: tuple[str, ...] = (
        "CREATE TABLE ha_test_transactions (id serial PRIMARY KEY, transaction_id varchar(100) UNIQUE, "
        "data text, created_at timestamp DEFAULT now(), "
        "node_name varchar(100) DEFAULT current_setting('outlast.node', true))",
    )
    constraints: tuple[str, ...] = ()

    def sample(self) -> Iterator[RowBatch]:
        """Yield nothing: tests count what they write."""
        yield from ()

    def generated(self, rows: int, seed: int) -> Iterator[RowBatch]:
        """Refuse: tests count what they write."""
        raise ConfigError(
            "the dataset ha-test makes no rows", key="dataset_rows", hint="dataset=healthcare does"
        )
