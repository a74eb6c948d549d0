"""pg_auto_failover as the exporter sees it: the monitor's own table of nodes.

The codes of a node's state are ours, for B10's metric of that name; the states are those of pg_auto_failover's
"Failover State Machine".
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import psycopg

from outlast.monitoring.exporter.config import ExporterConfig
from outlast.monitoring.exporter.managers.base import LOOK_TIMEOUT_S
from outlast.monitoring.exporter.state import ManagerSample
from outlast.systems.postgres.views import Connection, fetch_within

STATE_CODES: Final[Mapping[str, int]] = {
    name: code
    for code, name in enumerate(
        (
            "draining",
            "wait_standby",
            "secondary",
            "primary",
            "single",
            "init",
            "wait_primary",
            "demote_timeout",
            "demoted",
            "catchingup",
            "prepare_promotion",
            "stop_replication",
            "maintenance",
            "join_primary",
            "apply_settings",
            "prepare_maintenance",
            "wait_maintenance",
            "report_lsn",
            "fast_forward",
            "join_secondary",
            "dropped",
        )
    )
}
"""A state that is none of these, or not known, is UNKNOWN."""

UNKNOWN: Final = -1
SILENT_S: Final = 5.0
"""A keeper reports once a second; one that has not for so long does not work."""

_QUERY: Final = """
SELECT nodename, reportedstate::text, health, candidatepriority, extract(epoch FROM now() - reporttime)::float8
FROM pgautofailover.node WHERE goalstate <> 'dropped'
"""


class PgAutoFailoverProbe:
    """Asks the monitor, over one connection that is kept."""

    def __init__(self, config: ExporterConfig) -> None:
        self._config = config
        self._connection: Connection | None = None

    async def sample(self) -> Mapping[str, ManagerSample]:
        """Return what the monitor holds of each node; while it is away nothing is known of any."""
        rows: dict[str, ManagerSample] = {}
        try:
            if self._connection is None:
                async with asyncio.timeout(LOOK_TIMEOUT_S):
                    self._connection = await self._connect()
            for row in await fetch_within(self._connection, _QUERY, LOOK_TIMEOUT_S):
                rows[str(row[0])] = manager_sample(str(row[1]), int(row[2]), int(row[3]), float(row[4] or 0))
        except (psycopg.Error, OSError, TimeoutError):
            if self._connection is not None:
                self._connection.pgconn.finish()
                self._connection = None
        nobody = ManagerSample(False, "unknown", can_promote=False, state_code=UNKNOWN)
        return {node.name: rows.get(node.name, nobody) for node in self._config.nodes}

    async def _connect(self) -> Connection:
        monitor = self._config.monitor
        if monitor is None:
            raise ConnectionError("there is no monitor")
        return await psycopg.AsyncConnection.connect(
            host=monitor.address,
            port=monitor.port,
            dbname=self._config.monitor_database,
            user=self._config.monitor_user,
            passfile=self._config.passfile,
            connect_timeout=2,
            application_name="outlast-exporter",
            autocommit=True,
        )


def manager_sample(state: str, health: int, priority: int, silent_s: float) -> ManagerSample:
    """Return what one row of the monitor's table says. health: the monitor's −1, 0 or 1."""
    return ManagerSample(
        is_up=silent_s < SILENT_S,
        state=state,
        can_promote=state == "secondary" and health == 1 and priority > 0,
        health=health,
        state_code=STATE_CODES.get(state, UNKNOWN),
    )
