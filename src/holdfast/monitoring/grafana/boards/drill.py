"""A running drill."""

from __future__ import annotations

from typing import Final

from holdfast.monitoring.grafana.model import REPLAY_LAG, Dashboard, Row, one, stat

BOARD: Final = Dashboard(
    "drill",
    "holdfast-drill",
    "Drill",
    "A running drill: what its clients get while faults come and go.",
    "patroni",
    (
        Row(
            "Now",
            (
                stat("Running", "1 while a drill runs.", "holdfast_drill_running"),
                stat(
                    "Drill",
                    "The newest drill of the lab.",
                    "holdfast_drill_info",
                    legend="{{drill}} {{phase}} {{verdict}}",
                ),
                stat("Load for", "How long its load has run.", "holdfast_drill_elapsed_seconds", "s"),
                stat("Faults active", "Not healed yet.", "holdfast_drill_faults_active"),
                stat("Longest outage", "So far.", "holdfast_drill_longest_outage_seconds", "s"),
                stat("Waiting", "Operations without an answer yet.", "holdfast_drill_open_operations"),
            ),
        ),
        Row(
            "Clients",
            (
                one(
                    "Acknowledged",
                    "Operations a second.",
                    "holdfast_drill_acks_per_second",
                    "acks",
                    "ops",
                    width=24,
                ),
                one(
                    "Time since the newest acknowledgement",
                    "Grows during an outage.",
                    "holdfast_drill_outage_seconds",
                    "since the newest ack",
                    "s",
                ),
                one(
                    "Operations, by outcome",
                    "A second.",
                    "rate(holdfast_drill_operations_total[5s])",
                    "{{outcome}}",
                    "ops",
                ),
                one(
                    "Faults",
                    "1 for each that is not healed yet.",
                    "holdfast_drill_fault_active",
                    "{{fault}} {{targets}}",
                    sparse=True,
                ),
                one(
                    "Errors",
                    "Share of operations that did not succeed.",
                    'sum(rate(holdfast_drill_operations_total{outcome!="ok"}[5s]))'
                    " / clamp_min(sum(rate(holdfast_drill_operations_total[5s])), 1)",
                    "errors",
                    "percentunit",
                ),
            ),
        ),
        Row(
            "Cluster",
            (
                REPLAY_LAG,
                one("Role", "1 while a node takes writes.", "holdfast_node_writable", kind="state-timeline"),
                one("Up", "1 while a server answers.", "holdfast_node_up", kind="state-timeline"),
                one(
                    "Latency of a look",
                    "Round trip of a query to each server.",
                    "holdfast_node_look_seconds",
                    unit="s",
                ),
            ),
        ),
    ),
)
