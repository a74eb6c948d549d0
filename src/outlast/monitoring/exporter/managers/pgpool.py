"""Pgpool-II as the exporter sees it: what it says of its backends. Source: Pgpool-II 4.3 manual, "SHOW POOL_NODES"."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import psycopg

from outlast.monitoring.exporter.config import ExporterConfig
from outlast.monitoring.exporter.managers.base import LOOK_TIMEOUT_S
from outlast.monitoring.exporter.state import ManagerSample
from outlast.systems.postgres.views import Connection, fetch_within

_QUERY: Final = "SHOW POOL_NODES"
_UP: Final = ("up", "waiting")
"""Its words for a backend that it sends to, or would."""


class PgpoolProbe:
    """Asks the balancer, as a client of it, over one connection that is kept."""

    def __init__(self, config: ExporterConfig) -> None:
        self._config = config
        self._connection: Connection | None = None

    async def sample(self) -> Mapping[str, ManagerSample]:
        """Return what the balancer says of each node; while it is away nothing is known of any."""
        found: dict[str, ManagerSample] = {}
        names = {node.address: node.name for node in self._config.nodes}
        try:
            if self._connection is None:
                async with asyncio.timeout(LOOK_TIMEOUT_S):
                    self._connection = await self._connect()
            for row in await fetch_within(self._connection, _QUERY, LOOK_TIMEOUT_S):
                # node_id, hostname, port, status, pg_status, lb_weight, role, pg_role, select_cnt, …
                found[names[str(row[1])]] = backend_sample(str(row[3]), str(row[6]), int(row[8]))
        except (psycopg.Error, OSError, TimeoutError, KeyError, ValueError, IndexError):
            if self._connection is not None:
                self._connection.pgconn.finish()
                self._connection = None
        nobody = ManagerSample(False, "unknown", can_promote=False)
        return {node.name: found.get(node.name, nobody) for node in self._config.nodes}

    async def _connect(self) -> Connection:
        config = self._config
        if config.balancer is None:
            raise ConnectionError("there is no balancer")
        return await psycopg.AsyncConnection.connect(
            host=config.balancer.address,
            port=config.balancer.port,
            dbname=config.database,
            user=config.balancer_user,
            passfile=config.passfile,
            connect_timeout=2,
            autocommit=True,
            prepare_threshold=None,
        )


def backend_sample(status: str, role: str, selects: int) -> ManagerSample:
    """Return what one row of SHOW POOL_NODES says."""
    return ManagerSample(
        is_up=status in _UP,
        state=f"{status} {role}",
        can_promote=status in _UP and role == "standby",
        selects=selects,
    )
