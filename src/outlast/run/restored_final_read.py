"""The restore that ends a drill on backups: a server apart, read like the cluster itself, then removed.

Where the drill had somebody make a mistake it is restored to the instant just before, else to the archive's end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import psycopg

from outlast.clusters import backups
from outlast.config import DrillSpec
from outlast.errors import ConfigError, OutlastError, UnavailableError
from outlast.faults.mistake import NAME as MISTAKE
from outlast.history.history import JSON, FaultRecord, RestoredRead
from outlast.pace import scaled
from outlast.run.sql_final_read import READ_TIMEOUT_S, values_of
from outlast.systems.base import Cluster, HasServers
from outlast.systems.postgres.backup import RecoveryTarget
from outlast.workloads import WORKLOADS

CHECK = "restorable"


def check_restorable(drill: DrillSpec, cluster: Cluster) -> None:
    """Raise UnavailableError or ConfigError when a drill is to restore and could not, or it would prove nothing."""
    if not drill.checks.get(CHECK, False):
        return
    if not cluster.spec.backup:
        raise UnavailableError(
            f"{drill.name} restores from an archive, and {cluster.spec.name} keeps none",
            hint="--set backup=on, on a fresh lab",
        )
    if not _queries(drill):
        raise ConfigError(
            "needs a workload whose rows can be read back: append",
            file=f"drill {drill.name}",
            key=f"checks.{CHECK}",
        )


async def restored_final_read(
    cluster: Cluster, drill: DrillSpec, faults: Sequence[FaultRecord], say: Callable[[str], None]
) -> RestoredRead | None:
    """Restore, read and remove; None where the drill asks for no restore. Never raises what the database does."""
    if not drill.checks.get(CHECK, False):
        return None
    mistakes = (fault.details for fault in faults if fault.fault == MISTAKE)
    details = next((details for details in mistakes if "instant" in details), {})
    target = RecoveryTarget("time", str(details["instant"])) if details else RecoveryTarget("latest")
    before, after = _ns(details, "before_ns"), _ns(details, "after_ns")
    try:
        async with backups.restored(cluster, target, say) as server:
            assert isinstance(cluster, HasServers)
            database = cluster.spec.database
            async with await cluster.connect(
                server.name, database=database, timeout_s=scaled(READ_TIMEOUT_S)
            ) as connection:
                values = {name: await values_of(connection, query) for name, query in _queries(drill).items()}
    except (OutlastError, psycopg.Error, OSError, TimeoutError) as error:
        return RestoredRead(str(target), before_ns=before, after_ns=after, trouble=str(error).strip())
    return RestoredRead(
        str(target), server.backup, server.timeline, server.lsn, server.took_s, before, after, values
    )


def _queries(drill: DrillSpec) -> dict[str, str]:
    """Return the final reads of those workloads whose rows are unique numbers."""
    return {
        name: WORKLOADS[name].values_sql
        for name in drill.workload
        if "lost_writes" in WORKLOADS[name].checkers and WORKLOADS[name].values_sql
    }


def _ns(details: Mapping[str, JSON], key: str) -> int | None:
    return int(str(details[key])) if key in details else None
