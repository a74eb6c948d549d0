"""The monitor's database: what it says of each node, and what it can be asked to do.

The functions are those that pg_autoctl itself calls, as the same role.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import psycopg

from outlast.config.cluster import ClusterSpec
from outlast.errors import ClusterError
from outlast.hosts.base import Lab
from outlast.systems.credentials import Credentials
from outlast.systems.pg_auto_failover import settings
from outlast.systems.postgres import views

_STATE: Final = """
SELECT nodename, nodeid, reportedstate::text, goalstate::text, health, reportedtli, reportedlsn::text,
       candidatepriority, replicationquorum, extract(epoch FROM now() - reporttime)::float8
FROM pgautofailover.node WHERE goalstate <> 'dropped' ORDER BY nodeid
"""

OUT: Final = frozenset(("maintenance", "prepare_maintenance", "wait_maintenance"))
"""The monitor's words for a node that is out, or on its way."""

WRITES: Final = frozenset(("single", "primary", "wait_primary", "join_primary", "apply_settings"))
"""States in which a node takes writes."""


@dataclass(frozen=True, slots=True)
class MonitorRow:
    """What the monitor holds of one node.

    state: as the node reported it last; assigned: where the monitor wants it. health: 1 its server answers, 0 it does
    not, −1 not looked yet. silent_s: seconds since its last report.
    """

    name: str
    node_id: int
    state: str
    assigned: str
    health: int
    timeline: int
    lsn: str
    priority: int
    votes: bool
    silent_s: float

    @property
    def is_settled(self) -> bool:
        """Whether it is where the monitor wants it."""
        return self.state == self.assigned


class Monitor:
    """The monitor of a lab, reached through its published port."""

    def __init__(self, lab: Lab, spec: ClusterSpec, credentials: Credentials) -> None:
        self._lab = lab
        self._credentials = credentials
        self.name = settings.monitor(spec).name

    async def rows(self, timeout_s: float = 2.0) -> tuple[MonitorRow, ...]:
        """Return what it says of every node. Raises OSError or psycopg.Error when it does not answer."""
        connection = await self._connect(timeout_s)
        async with connection:
            cursor = await connection.execute(_STATE)
            return tuple(MonitorRow(*row) for row in await cursor.fetchall())

    async def ask(self, function: str, *arguments: str | int | bool, timeout_s: float = 10.0) -> None:
        """Call one of its functions. Raises ClusterError with its own words when it refuses or does not answer."""
        places = ", ".join(["%s"] * len(arguments))
        try:
            connection = await self._connect(timeout_s)
            async with connection:
                await connection.execute(f"SELECT pgautofailover.{function}({places})".encode(), arguments)
        except (psycopg.Error, OSError, TimeoutError) as error:
            said = " ".join(str(error).split())
            raise ClusterError(f"the monitor {self.name} did not do {function}: {said}") from error

    async def _connect(self, timeout_s: float) -> views.Connection:
        port = self._lab.published.get(self.name)
        if port is None or not self._lab.hosts[self.name].is_on:
            raise ConnectionError(f"{self.name} is off")
        return await views.connect(
            port.port,
            database=settings.MONITOR_DATABASE,
            user=settings.MONITOR_USER,
            password=self._credentials.password(settings.MONITOR_USER),
            timeout_s=timeout_s,
        )
