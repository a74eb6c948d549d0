"""A transaction that nobody ends: it holds back the horizon, so that nothing dead since can be cleaned up."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final

from outlast.errors import HostError
from outlast.faults.base import Effect, Fault, Injection
from outlast.faults.sql_fault import SqlFault, rows
from outlast.history.history import JSON
from outlast.hosts.base import Program
from outlast.systems.base import Cluster
from outlast.systems.credentials import PASSFILE
from outlast.systems.postgres.install import find
from outlast.systems.postgres.seed import SUPERUSER

_HOLD: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT txid_current(); SELECT pg_sleep(86400)"
_HOLDER: Final = """
SELECT pid, backend_xid IS NOT NULL AND backend_xmin IS NOT NULL FROM pg_stat_activity WHERE application_name = %s
"""


class LongTransaction(SqlFault):
    """psql on the server's own host, in a transaction with an id and a snapshot."""

    name = "long_transaction"
    about = "a transaction with a snapshot stays open, and vacuum can clean nothing that died since"

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Name it."""
        return Injection(self.name, targets, params, {"application": f"fault:{rng.getrandbits(32):08x}"})

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Open it."""
        for target in injection.targets:
            host = cluster.lab.hosts[target]
            where = (
                f"host=127.0.0.1 dbname={cluster.spec.database} user={SUPERUSER}"
                f" application_name={injection.details['application']}"
            )
            await host.spawn(
                Program(
                    "psql",
                    [find(cluster.spec.version).program("psql"), "-X", where, "-c", _HOLD],
                    "log/fault.log",
                    env={"PGPASSFILE": str(host.folder / PASSFILE)},
                )
            )

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """Look whether it has an id and a snapshot."""
        for target in injection.targets:
            found = await rows(cluster, target, _HOLDER, (str(injection.details["application"]),))
            if not any(holds for _pid, holds in found):
                return Effect(False, f"{target}: no transaction of ours is open")
        return Effect(True, f"a transaction is open on {', '.join(injection.targets)}")

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """End it; a server that is down has ended it already."""
        for target in injection.targets:
            try:
                await rows(
                    cluster,
                    target,
                    "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity WHERE application_name = %s",
                    (str(injection.details["application"]),),
                )
            except HostError:
                host = cluster.lab.hosts[target]
                if host.is_on and any(process.name == "psql" for process in await host.processes()):
                    raise


FAULTS: Final[tuple[Fault, ...]] = (LongTransaction(),)
