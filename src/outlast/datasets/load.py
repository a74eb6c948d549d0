"""Gives a cluster the dataset of its spec: once, on its first primary; the others get it by replication."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

import psycopg

from outlast.clock import now_ns, seconds_between
from outlast.config.cluster import ClusterSpec
from outlast.datasets.base import Dataset, RowBatch
from outlast.datasets.ha_test import HaTestDataset
from outlast.datasets.healthcare import HealthcareDataset
from outlast.datasets.shop import ShopDataset
from outlast.errors import ClusterError, ConfigError
from outlast.systems.base import Cluster, HasServers, Progress
from outlast.systems.postgres.views import Connection

DATASETS: Final[dict[str, Dataset]] = {
    one.name: one for one in (HealthcareDataset(), ShopDataset(), HaTestDataset())
}
"""The datasets there are. A new one is a file in this folder, a line here, and its name in the spec."""

SEED: Final = 1
STATEMENT_TIMEOUT_S: Final = 3600.0
ROWS_MIN: Final = 30


def check_dataset(spec: ClusterSpec) -> None:
    """Raise ConfigError when a spec asks for a dataset where none can be, or for made rows that it has not."""
    if spec.dataset is not None and spec.system in ("etcd", "raftlog"):
        raise ConfigError(f"{spec.system} has no PostgreSQL servers to hold it", key="dataset")
    if spec.dataset_rows == 0:
        return
    if spec.dataset is None:
        raise ConfigError(
            "says how many rows, but not of what", key="dataset_rows", hint="--set dataset=healthcare"
        )
    if spec.dataset_rows < ROWS_MIN:
        raise ConfigError(f"must be 0, or {ROWS_MIN} and more", key="dataset_rows")
    next(DATASETS[spec.dataset].generated(ROWS_MIN, SEED))


async def load_dataset(cluster: Cluster, progress: Progress) -> int:
    """Make the schema of the cluster's spec on its first primary and fill it; returns the number of rows.

    All in one transaction as the application's role: there is all of it or nothing. The spec's ``sample_rows`` and
    ``dataset_rows`` say what is in it. Raises ClusterError with the server's words.
    About 0.1 s without made rows; a million of those take under a minute.
    """
    spec = cluster.spec
    if spec.dataset is None:
        return 0
    assert isinstance(cluster, HasServers)
    dataset = DATASETS[spec.dataset]
    start = now_ns()
    progress(f"loading the dataset {dataset.name}")
    try:
        connection = await cluster.connect(
            spec.primary().name, database=spec.database, user=spec.user, timeout_s=STATEMENT_TIMEOUT_S
        )
        try:
            rows = await _load(connection, dataset, spec)
        finally:
            await connection.close()
    except (psycopg.Error, OSError) as error:
        raise ClusterError(f"the dataset {dataset.name} could not be loaded: {str(error).strip()}") from error
    progress(f"{dataset.name}: {rows} rows in {seconds_between(start, now_ns()):.1f} s")
    return rows


async def _load(connection: Connection, dataset: Dataset, spec: ClusterSpec) -> int:
    rows = 0
    async with connection.transaction():
        for statement in dataset.schema:
            await connection.execute(statement.encode())
        if spec.sample_rows:
            rows += await _copy(connection, dataset.sample())
        if spec.dataset_rows:
            rows += await _copy(connection, dataset.generated(spec.dataset_rows, SEED))
        for statement in dataset.constraints:
            await connection.execute(statement.encode())
    for table in dataset.tables:
        await connection.execute(f"ANALYZE {table}".encode())
    return rows


async def _copy(connection: Connection, batches: Iterator[RowBatch]) -> int:
    rows = 0
    # Rows are made on a thread while the server takes those before.
    upcoming: asyncio.Future[RowBatch | None] = asyncio.ensure_future(asyncio.to_thread(next, batches, None))
    while (batch := await upcoming) is not None:
        upcoming = asyncio.ensure_future(asyncio.to_thread(next, batches, None))
        # FREEZE: the tables are of this transaction, so no later reader has to write hint bits.
        command = f"COPY {batch.table} ({', '.join(batch.columns)}) FROM STDIN (FREEZE)"
        async with connection.cursor().copy(command.encode()) as copy:
            await copy.write(batch.data)
        rows += batch.rows
    return rows
