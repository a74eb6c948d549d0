"""pg_auto_failover, by its monitor's own codes."""

from __future__ import annotations

from typing import Final

from outlast.monitoring.grafana.model import (
    REPLAY_LAG,
    REPLAY_LAG_AGE,
    SUMMARY,
    SYNC_STATE,
    TIMELINE,
    Dashboard,
    DashboardRow,
    one,
)

BOARD: Final = Dashboard(
    "pg-auto-failover",
    "outlast-pg-auto-failover",
    "pg_auto_failover",
    "The monitor's view: health and state of each node, and how far standbys are behind.",
    "pg_auto_failover",
    (
        DashboardRow("Summary", SUMMARY),
        DashboardRow(
            "Monitor's view",
            (
                one(
                    "Health",
                    "1 good, 0 bad, -1 not known.",
                    "pg_auto_failover_node_state_health_code",
                    kind="state-timeline",
                ),
                one(
                    "Reported state",
                    "As a code: 0 draining, 1 wait_standby, 2 secondary, 3 primary, 4 single, …",
                    "pg_auto_failover_node_state_reported_state_code",
                    kind="state-timeline",
                ),
                one(
                    "State, by name",
                    "State that each node reported.",
                    "outlast_manager_state",
                    "{{node}} {{state}}",
                ),
                one(
                    "Keeper up",
                    "1 while a node's keeper reports.",
                    "outlast_manager_up",
                    kind="state-timeline",
                ),
            ),
        ),
        DashboardRow(
            "Replication",
            (
                REPLAY_LAG,
                REPLAY_LAG_AGE,
                TIMELINE,
                SYNC_STATE,
            ),
        ),
    ),
)
