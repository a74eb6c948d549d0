"""The final read: what the surviving timeline holds, and whether every node holds the same.

There is one way for each kind of cluster, all with the same interface:

    SqlFinalRead        PostgreSQL's tables, each node asked itself        sql_final_read.py
    RoutedFinalRead     over the loads' own routes, in their own protocol  routed_final_read.py
    ExternalFinalRead   a cluster that is not ours, likewise               external_final_read.py

A drill on backups also reads what was restored: restored_final_read.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from outlast.config import DrillSpec
from outlast.history.history import FinalRead
from outlast.run.load import CLIENT_HOST
from outlast.run.routed_final_read import RoutedFinalRead
from outlast.run.sql_final_read import SqlFinalRead
from outlast.systems.base import Cluster, HasServers
from outlast.workloads import WORKLOADS
from outlast.workloads.config import WorkerConfig


class FinalReader(Protocol):
    """Reads back everything that a run has left behind."""

    async def read(self) -> FinalRead:
        """Read everything, once all is healed and the writers have stopped.

        Each node is compared once it has what had been committed by then; one that does not get there in time is named
        as missing. Raises ClusterError when nothing can be read.
        """
        ...


def final_reader(
    cluster: Cluster, drill: DrillSpec, routed: Sequence[WorkerConfig], folder: Path
) -> FinalReader:
    """Return what reads a drill's writes back from its cluster.

    routed: the loads over routes of the system's own. folder: for what is read, below the folder of runs.
    """
    if isinstance(cluster, HasServers):
        return SqlFinalRead(cluster, [WORKLOADS[name] for name in drill.workload])
    return RoutedFinalRead(cluster, routed, cluster.lab.hosts[CLIENT_HOST], folder)
