"""Asks everything of the lab once a round, each in a task of its own: one that hangs delays no other.

All nodes are asked at the same instants, so that their positions can be compared.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import psycopg

from outlast.clock import now_ns, seconds_between
from outlast.history.live import read_live
from outlast.monitoring.exporter.config import ExporterConfig
from outlast.monitoring.exporter.managers.base import ManagerProbe
from outlast.monitoring.exporter.managers.patroni import PatroniProbe
from outlast.monitoring.exporter.managers.pg_auto_failover import PgAutoFailoverProbe
from outlast.monitoring.exporter.managers.pgpool import PgpoolProbe
from outlast.monitoring.exporter.sample import QUERY, sample_of
from outlast.monitoring.exporter.state import LabSamples, NodeSamples
from outlast.monitoring.exporter.stores import STORES, Look
from outlast.systems.postgres.views import Connection, fetch_within
from outlast.units import NS_PER_S

LOOK_TIMEOUT_S: Final = 1.0
WHY_CHARS_MAX: Final = 160

_MANAGERS: Final[dict[str, Callable[[ExporterConfig], ManagerProbe]]] = {
    "patroni": PatroniProbe,
    "pg_auto_failover": PgAutoFailoverProbe,
    "pgpool": PgpoolProbe,
}
"""By system. A system without one has no manager that the exporter could ask."""


class Sampler:
    """Keeps a LabState new. folder: the exporter's host's, where the newest run is announced."""

    def __init__(self, config: ExporterConfig, folder: Path) -> None:
        self.state = LabSamples(config)
        self._config = config
        self._folder = folder
        make = _MANAGERS.get(config.system)
        self._manager = make(config) if make else None

    async def run(self) -> None:
        """Sample until cancelled."""
        async with asyncio.TaskGroup() as group:
            for node in self.state.nodes.values():
                group.create_task(self._watch(node))
            if self._manager is not None:
                group.create_task(self._every_round(self._look_at_managers))
            if self._config.dcs and (look := STORES.get(self._config.system)) is not None:
                group.create_task(self._every_round(lambda: self._look_at_store(look)))
            group.create_task(self._every_round(self._look_at_run))

    async def _watch(self, node: NodeSamples) -> None:
        """Look at one node every round, over a connection that is kept while it works."""
        connection: Connection | None = None
        while True:
            await self._next_round()
            start = now_ns()
            try:
                if connection is None:
                    async with asyncio.timeout(LOOK_TIMEOUT_S):
                        connection = await self._connect(node)
                (row,) = await fetch_within(connection, QUERY, LOOK_TIMEOUT_S)
                node.sample, node.sampled_ns = sample_of(row), now_ns()
                node.is_up, node.why = True, ""
            except (psycopg.Error, OSError, TimeoutError) as error:
                node.downs += node.is_up
                node.is_up = False
                node.why = (str(error).strip().splitlines() or ["no answer in time"])[0][:WHY_CHARS_MAX]
                if connection is not None:
                    connection.pgconn.finish()  # without a word: nobody may be there to hear it
                    connection = None
            node.took_s = seconds_between(start, now_ns())
            self.state.follow(now_ns())

    async def _connect(self, node: NodeSamples) -> Connection:
        target, config = node.target, self._config
        return await psycopg.AsyncConnection.connect(
            host=target.address,
            port=target.port,
            dbname=config.database,
            user=config.user,
            passfile=config.passfile,
            connect_timeout=2,
            application_name="outlast-exporter",
            options=f"-c statement_timeout={int(LOOK_TIMEOUT_S * 1000)}",
            autocommit=True,
        )

    async def _look_at_managers(self) -> None:
        assert self._manager is not None
        self.state.managers = await self._manager.sample()

    async def _look_at_store(self, look: Look) -> None:
        self.state.store = await look(self._config.dcs)

    async def _look_at_run(self) -> None:
        self.state.live = read_live(self._folder)

    async def _every_round(self, look: Callable[[], Awaitable[None]]) -> None:
        while True:
            await self._next_round()
            await look()

    async def _next_round(self) -> None:
        """Sleep until the next multiple of a round on the machine's clock."""
        round_ns = int(self._config.sample_s * NS_PER_S)
        now = now_ns()
        await asyncio.sleep(seconds_between(now, math.ceil((now + 1) / round_ns) * round_ns))
