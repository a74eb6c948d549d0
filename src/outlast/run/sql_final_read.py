"""The final read of PostgreSQL's tables: from the primary, and a content hash of each from every node."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import numpy as np
import psycopg

from outlast.clock import now_ns
from outlast.errors import ClusterError
from outlast.history.history import NO_TABLE, FinalRead, NodeContent
from outlast.history.op import I64
from outlast.history.soak_rows import ROWS
from outlast.pace import scaled, scaled_deadline_ns
from outlast.systems.base import Cluster, HasServers
from outlast.systems.postgres.views import Connection, server_view, timeline_starts
from outlast.systems.wait import wait_for
from outlast.workloads.base import Audited, Workload, content_sql, text_content_sql

READ_TIMEOUT_S: Final = 60.0
CATCH_UP_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.05


class SqlFinalRead:
    """Reads the tables of workloads back.

    The values come from the primary on the newest timeline; each node is compared once it has replayed that primary's
    last LSN.
    """

    def __init__(self, cluster: Cluster, workloads: Sequence[Workload]) -> None:
        assert isinstance(cluster, HasServers)
        self._cluster = cluster
        self._tables = [table for workload in workloads for table in workload.tables]
        self._queries = {workload.name: workload.values_sql for workload in workloads if workload.values_sql}
        self._queries |= {
            f"{workload.name}{ROWS}": workload.rows_sql
            for workload in workloads
            if isinstance(workload, Audited)
        }

    async def read(self) -> FinalRead:
        """Read everything; see FinalReader. Raises ClusterError without a primary, and while commits wait on it."""
        cluster = self._cluster
        primary = (await cluster.view()).primary
        if primary is None:
            raise ClusterError(
                "no node accepts writes after everything was healed, so nothing can be read back"
            )
        try:
            connection = await self._connect(primary)
        except (psycopg.Error, OSError, TimeoutError) as error:
            raise ClusterError(f"{primary} cannot be read back: {error}") from error
        try:
            await wait_for(
                partial(_waiting_commits, connection, primary),
                CATCH_UP_TIMEOUT_S,
                "commits to be through with their wait for a synchronous standby",
            )
            began_ns = now_ns()
            shown = await server_view(connection)
            values = {name: await values_of(connection, query) for name, query in self._queries.items()}
            starts = await timeline_starts(connection, shown.timeline)
        except (psycopg.Error, OSError) as error:
            # A damaged page, say. What it means is the drill's business.
            raise ClusterError(f"{primary} cannot be read back: {str(error).strip()}") from error
        finally:
            await connection.close()
        names = [node.name for node in cluster.spec.nodes]
        read = await asyncio.gather(*(self._content(name, shown.lsn, shown.timeline) for name in names))
        contents = dict(zip(names, read, strict=True))
        return FinalRead(
            primary=primary,
            timeline=shown.timeline,
            lsn=shown.lsn,
            at_ns=began_ns,
            values=values,
            contents=tuple(content for content in read if content is not None),
            missing=tuple(name for name, content in contents.items() if content is None),
            timeline_starts=starts,
            strays=await self._strays(primary, contents),
        )

    async def _strays(
        self, primary: str, contents: Mapping[str, NodeContent | None]
    ) -> dict[str, dict[str, I64]]:
        """Return what those nodes hold that answer and do not hold what the primary does."""
        expected = contents[primary]
        strays = {}
        for node, content in contents.items():
            if node == primary or (content and expected and content.table_hashes == expected.table_hashes):
                continue
            with contextlib.suppress(psycopg.Error, OSError, TimeoutError):
                connection = await self._connect(node)
                try:
                    strays[node] = {
                        name: await values_of(connection, query) for name, query in self._queries.items()
                    }
                finally:
                    await connection.close()
        return strays

    async def _connect(self, node: str) -> Connection:
        cluster = self._cluster
        return await cluster.connect(node, database=cluster.spec.database, timeout_s=scaled(READ_TIMEOUT_S))

    async def _content(self, node: str, lsn: int, timeline: int) -> NodeContent | None:
        """Return what a node holds once it has replayed up to lsn on timeline; None when it does not get there."""
        deadline = scaled_deadline_ns(CATCH_UP_TIMEOUT_S)
        while now_ns() < deadline:
            try:
                connection = await self._connect(node)
                try:
                    shown = await server_view(connection)
                    if shown.timeline == timeline and shown.lsn >= lsn:
                        return await _hashes(connection, node, shown.lsn, self._tables)
                finally:
                    await connection.close()
            except (psycopg.Error, OSError, TimeoutError):
                pass  # not up yet: what matters is whether it is up at the deadline
            await asyncio.sleep(POLL_S)
        return None


async def _waiting_commits(connection: Connection, primary: str) -> str:
    """Return how many commits still wait for a standby: what they wrote may be on the standby already and is not yet
    visible on the primary (syncrep.c: the wait comes before the transaction leaves the list of those that run)."""
    cursor = await connection.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
    row = await cursor.fetchone()
    waiting = 0 if row is None else row[0]
    return f"{waiting} of them wait on {primary}" if waiting else ""


async def values_of(connection: Connection, query: str) -> I64:
    """Return a query's one bigint column as an array, streamed. A table that is gone holds nothing."""
    chunks = []
    try:
        async with connection.cursor().copy(f"COPY ({query}) TO STDOUT".encode()) as copy:
            async for chunk in copy:
                chunks.append(bytes(chunk))
    except psycopg.errors.UndefinedTable:
        return np.array([], dtype=np.int64)
    return np.array(b"".join(chunks).split(), dtype=np.int64)


async def _hashes(connection: Connection, node: str, lsn: int, tables: Sequence[str]) -> NodeContent:
    counts: dict[str, int] = {}
    hashes: dict[str, str] = {}
    for table in tables:
        try:
            row = await (await connection.execute(content_sql(table).encode())).fetchone()
        except psycopg.errors.UndefinedTable:
            row = (0, NO_TABLE)
        except psycopg.errors.UndefinedFunction:  # some extension's type has no hash; all have a text
            row = await (await connection.execute(text_content_sql(table).encode())).fetchone()
        assert row is not None
        counts[table], hashes[table] = row
    return NodeContent(node, lsn, hashes, counts)
