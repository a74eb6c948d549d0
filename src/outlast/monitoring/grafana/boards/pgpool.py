"""Pgpool-II: what it thinks of its backends, and what it sends to each."""

from __future__ import annotations

from typing import Final

from outlast.monitoring.grafana.model import REPLAY_LAG, SUMMARY, Dashboard, DashboardRow, one

BOARD: Final = Dashboard(
    "pgpool",
    "outlast-pgpool",
    "Pgpool-II",
    "What Pgpool-II thinks of its backends, and what it sends to each.",
    "pgpool",
    (
        DashboardRow("Summary", SUMMARY),
        DashboardRow(
            "Backends",
            (
                one(
                    "Backend up",
                    "1 while Pgpool-II sends to it.",
                    "outlast_manager_up",
                    kind="state-timeline",
                ),
                one(
                    "Its word",
                    "Status and role, as it says.",
                    "outlast_manager_state",
                    "{{node}} {{state}}",
                ),
                one("Queries sent", "A second.", "rate(outlast_balancer_selects_total[10s])", unit="ops"),
                one("Role", "1 while a node takes writes.", "outlast_node_writable", kind="state-timeline"),
            ),
        ),
        DashboardRow(
            "Servers",
            (
                REPLAY_LAG,
                one("Connections", "Client connections.", "outlast_node_connections"),
            ),
        ),
    ),
)
