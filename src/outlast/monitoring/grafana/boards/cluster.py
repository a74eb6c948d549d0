"""The whole cluster at a glance."""

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
    "cluster",
    "outlast-cluster",
    "PostgreSQL HA Cluster Dashboard",
    "Who leads, who follows and how far behind, and what keeps a failover from happening.",
    "patroni",
    (
        DashboardRow("Summary", SUMMARY),
        DashboardRow(
            "Nodes",
            (
                one("Up", "1 while a server answers.", "outlast_node_up", kind="state-timeline"),
                one("Role", "1 while a node takes writes.", "outlast_node_writable", kind="state-timeline"),
                TIMELINE,
                one(
                    "Position",
                    "WAL written on the primary, replayed on standbys.",
                    "outlast_node_lsn_bytes",
                    unit="bytes",
                ),
            ),
        ),
        DashboardRow(
            "Replication",
            (
                REPLAY_LAG,
                REPLAY_LAG_AGE,
                SYNC_STATE,
                one(
                    "Streaming",
                    "1 while a standby receives WAL.",
                    "outlast_node_streaming",
                    kind="state-timeline",
                ),
                one(
                    "WAL kept by slots",
                    "What each slot keeps from being removed.",
                    "outlast_slot_retained_bytes",
                    "{{node}} {{slot}}",
                    "bytes",
                ),
                one(
                    "Slots in use",
                    "1 while somebody reads from a slot.",
                    "outlast_slot_active",
                    "{{node}} {{slot}}",
                ),
            ),
        ),
        DashboardRow(
            "Manager and consensus store",
            (
                one(
                    "Manager up",
                    "1 while a node's manager works.",
                    "outlast_manager_up",
                    kind="state-timeline",
                ),
                one(
                    "Manager's word",
                    "State that the manager gives each node.",
                    "outlast_manager_state",
                    "{{node}} {{state}}",
                ),
                one("Store members", "1 while a member answers.", "outlast_dcs_member_up", "{{member}}"),
                one("Store leader", "1 for the member that leads.", "outlast_dcs_leader", "{{member}}"),
                one("Term", "Newest term: every election begins one.", "outlast_dcs_term", "term"),
                one("Quorum", "1 while the store answers reads.", "outlast_dcs_quorum", "quorum"),
            ),
        ),
        DashboardRow(
            "Load",
            (
                one("Transactions", "Commits a second.", "rate(outlast_node_commits_total[10s])", unit="ops"),
                one(
                    "Rows inserted",
                    "A second, on the writable node.",
                    "rate(outlast_writable_inserts_total[10s])",
                    "writable node",
                    "ops",
                ),
                one("Connections", "Client connections.", "outlast_node_connections"),
                one(
                    "Time to look",
                    "How long the exporter's newest look took.",
                    "outlast_node_look_seconds",
                    unit="s",
                ),
            ),
        ),
    ),
)
