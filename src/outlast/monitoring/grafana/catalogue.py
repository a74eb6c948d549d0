"""The dashboards there are. ``build`` makes Grafana's JSON of them.

A new one is a file in ``boards``, a line here, and one run of ``python -m outlast.monitoring.grafana.build``. Every
query is run by the tests on a Prometheus that watches a real cluster, and must bring something.
"""

from __future__ import annotations

from typing import Final

from outlast.monitoring.grafana.boards import (
    balancer,
    cluster,
    drill,
    pg_auto_failover,
    pgpool,
    raft,
    read_write,
)

DASHBOARDS: Final = (
    cluster.BOARD,
    read_write.BOARD,
    pg_auto_failover.BOARD,
    balancer.BOARD,
    pgpool.BOARD,
    raft.BOARD,
    drill.BOARD,
)
"""All dashboards."""

FAULT_QUERY: Final = "outlast_drill_fault_active"
"""Brings a series for each fault that is active: its stretches are shown as annotations."""
