"""Clients whose server process ends under them: pg_terminate_backend, as an impatient administrator does it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final

from outlast.faults.base import Effect, Fault, Injection, pids_of
from outlast.faults.sql_fault import SqlFault, rows
from outlast.history.history import JSON
from outlast.systems.base import Cluster

# Superusers' connections are the manager's and our own.
_CLIENTS: Final = """
SELECT a.pid FROM pg_stat_activity a JOIN pg_roles r ON r.rolname = a.usename
WHERE a.backend_type = 'client backend' AND NOT r.rolsuper ORDER BY a.pid
"""


class BackendTerminate(SqlFault):
    """It bit when none of the backends that served clients serves any more."""

    name = "backend_terminate"
    about = "the backends of all clients of a server are terminated"
    lasts = False

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Find them."""
        found: dict[str, JSON] = {}
        for target in targets:
            found[target] = [pid for (pid,) in await rows(cluster, target, _CLIENTS)]
        return Injection(self.name, targets, params, {"pids": found})

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Terminate them."""
        for target in injection.targets:
            pids = pids_of(injection, "pids", target)
            await rows(
                cluster, target, "SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) pid", (pids,)
            )

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """Look for them."""
        count = 0
        for target in injection.targets:
            pids = pids_of(injection, "pids", target)
            alive = {pid for (pid,) in await rows(cluster, target, "SELECT pid FROM pg_stat_activity")}
            if not pids or alive.intersection(pids):
                words = (
                    f"{len(alive.intersection(pids))} of {len(pids)} live"
                    if pids
                    else "no client was connected"
                )
                return Effect(False, f"{target}: {words}")
            count += len(pids)
        return Effect(True, f"{count} backends are gone")

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """Clients connect again by themselves."""


FAULTS: Final[tuple[Fault, ...]] = (BackendTerminate(),)
