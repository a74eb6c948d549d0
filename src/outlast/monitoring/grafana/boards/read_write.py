"""Where reads and writes go."""

from __future__ import annotations

from typing import Final

from outlast.monitoring.grafana.model import Dashboard, DashboardPanel, DashboardRow, Query, one

BOARD: Final = Dashboard(
    "read-write-load",
    "bd3226d1-9fb2-48f6-aa6d-050f98c098fe",
    "PostgreSQL HA - Read/Write Load Analysis",
    "Where reads and writes go: connections, queries at work, rows inserted, scans.",
    "patroni",
    (
        DashboardRow(
            "Connections and queries",
            (
                one("Connections per node", "Client connections.", "outlast_node_connections"),
                one(
                    "Active reads", "Queries that read, at work.", 'outlast_node_active_queries{kind="read"}'
                ),
                one(
                    "Active writes",
                    "Queries that write, at work.",
                    'outlast_node_active_queries{kind="write"}',
                ),
                one(
                    "Idle in transaction",
                    "Connections that hold a transaction open.",
                    "outlast_node_idle_in_transaction",
                ),
            ),
        ),
        DashboardRow(
            "Work done",
            (
                one(
                    "Inserts", "Rows inserted a second.", "rate(outlast_node_inserts_total[10s])", unit="ops"
                ),
                one(
                    "Sequential scans",
                    "A second, of the application's tables.",
                    "rate(outlast_node_sequential_scans_total[10s])",
                    unit="ops",
                ),
                one(
                    "Updates and deletes",
                    "Rows a second.",
                    "rate(outlast_node_updates_total[10s]) + rate(outlast_node_deletes_total[10s])",
                    unit="ops",
                ),
                one("Commits", "Transactions a second.", "rate(outlast_node_commits_total[10s])", unit="ops"),
            ),
        ),
        DashboardRow(
            "Read against write",
            (
                DashboardPanel(
                    "Rows read and written",
                    "A second, in the whole cluster.",
                    (
                        Query("sum(rate(outlast_node_rows_read_total[10s]))", "read"),
                        Query(
                            "sum(rate(outlast_node_inserts_total[10s]) + rate(outlast_node_updates_total[10s])"
                            " + rate(outlast_node_deletes_total[10s]))",
                            "written",
                        ),
                    ),
                    "ops",
                ),
                DashboardPanel(
                    "Rows read, by role",
                    "A second: whether the primary reads, or its standbys.",
                    (
                        Query(
                            "sum(rate(outlast_node_rows_read_total[10s]) and on (node) outlast_node_writable == 1)",
                            "primary",
                        ),
                        Query(
                            "sum(rate(outlast_node_rows_read_total[10s]) and on (node) outlast_node_writable == 0)",
                            "standbys",
                        ),
                    ),
                    "ops",
                ),
            ),
        ),
    ),
)
