"""A running drill."""

from __future__ import annotations

from typing import Final

from outlast.monitoring.grafana.model import REPLAY_LAG, Dashboard, DashboardRow, one, stat

BOARD: Final = Dashboard(
    "drill",
    "outlast-drill",
    "Drill",
    "A running drill: what its clients get while faults come and go.",
    "patroni",
    (
        DashboardRow(
            "Now",
            (
                stat("Running", "1 while a drill runs.", "outlast_drill_running"),
                stat(
                    "Drill",
                    "The newest drill of the lab.",
                    "outlast_drill_info",
                    legend="{{drill}} {{phase}} {{verdict}}",
                ),
                stat("Load for", "How long its load has run.", "outlast_drill_elapsed_seconds", "s"),
                stat("Faults active", "Not healed yet.", "outlast_drill_faults_active"),
                stat("Longest outage", "So far.", "outlast_drill_longest_outage_seconds", "s"),
                stat("Waiting", "Operations without an answer yet.", "outlast_drill_open_operations"),
            ),
        ),
        DashboardRow(
            "Clients",
            (
                one(
                    "Acknowledged",
                    "Operations a second.",
                    "outlast_drill_acks_per_second",
                    "acks",
                    "ops",
                    width=24,
                ),
                one(
                    "Time since the newest acknowledgement",
                    "Grows during an outage.",
                    "outlast_drill_outage_seconds",
                    "since the newest ack",
                    "s",
                ),
                one(
                    "Operations, by outcome",
                    "A second.",
                    "rate(outlast_drill_operations_total[5s])",
                    "{{outcome}}",
                    "ops",
                ),
                one(
                    "Faults",
                    "1 for each that is not healed yet.",
                    "outlast_drill_fault_active",
                    "{{fault}} {{targets}}",
                    sparse=True,
                ),
                one(
                    "Errors",
                    "Share of operations that did not succeed.",
                    'sum(rate(outlast_drill_operations_total{outcome!="ok"}[5s]))'
                    " / clamp_min(sum(rate(outlast_drill_operations_total[5s])), 1)",
                    "errors",
                    "percentunit",
                ),
            ),
        ),
        DashboardRow(
            "Cluster",
            (
                REPLAY_LAG,
                one("Role", "1 while a node takes writes.", "outlast_node_writable", kind="state-timeline"),
                one("Up", "1 while a server answers.", "outlast_node_up", kind="state-timeline"),
                one(
                    "Latency of a look",
                    "Round trip of a query to each server.",
                    "outlast_node_look_seconds",
                    unit="s",
                ),
            ),
        ),
    ),
)
