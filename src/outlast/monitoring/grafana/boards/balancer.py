"""What a balancer does with each server."""

from __future__ import annotations

from typing import Final

from outlast.monitoring.grafana.model import Dashboard, DashboardRow, one

BOARD: Final = Dashboard(
    "balancer",
    "outlast-balancer",
    "Balancer",
    "What a balancer thinks of each server, and what it sends where.",
    "haproxy",
    (
        DashboardRow(
            "Servers",
            (
                one(
                    "Server up",
                    "1 while the balancer sends to a server.",
                    'haproxy_server_status{state="UP"}',
                    "{{proxy}} {{server}}",
                    kind="state-timeline",
                ),
                one(
                    "Sessions",
                    "Sessions open now.",
                    "haproxy_server_current_sessions",
                    "{{proxy}} {{server}}",
                ),
                one(
                    "New sessions",
                    "A second.",
                    "rate(haproxy_server_sessions_total[10s])",
                    "{{proxy}} {{server}}",
                    "cps",
                ),
                one(
                    "Failed checks",
                    "Health checks that failed, a second.",
                    "rate(haproxy_server_check_failures_total[10s])",
                    "{{proxy}} {{server}}",
                    "cps",
                ),
            ),
        ),
        DashboardRow(
            "Traffic",
            (
                one(
                    "Bytes to clients",
                    "A second.",
                    "rate(haproxy_server_bytes_out_total[10s])",
                    "{{proxy}} {{server}}",
                    "Bps",
                ),
                one(
                    "Bytes to servers",
                    "A second.",
                    "rate(haproxy_server_bytes_in_total[10s])",
                    "{{proxy}} {{server}}",
                    "Bps",
                ),
                one(
                    "Connection errors",
                    "A second.",
                    "rate(haproxy_server_connection_errors_total[10s])",
                    "{{proxy}} {{server}}",
                    "cps",
                ),
                one("Writable nodes", "How many nodes take writes.", "outlast_writable_nodes", "writable"),
            ),
        ),
    ),
)
