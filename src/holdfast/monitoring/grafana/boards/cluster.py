"""The whole cluster at a glance."""

from __future__ import annotations

from typing import Final

from holdfast.monitoring.grafana.model import (
    REPLAY_LAG,
    REPLAY_LAG_AGE,
    SUMMARY,
    SYNC_STATE,
    TIMELINE,
    Dashboard,
    Row,
    one,
)

BOARD: Final = Dashboard(
    "cluster",
    "holdfast-cluster",
    "PostgreSQL HA Cluster Dashboard",
    "Who leads, who follows and how far behind, and what keeps a failover from happening.",
    "patroni",
    (
        Row("Summary", SUMMARY),
        Row(
            "Nodes",
            (
                one("Up", "1 while a server answers.", "holdfast_node_up", kind="state-timeline"),
                one("Role", "1 while a node takes writes.", "holdfast_node_writable", kind="state-timeline"),
                TIMELINE,
                one(
                    "Position",
                    "WAL written on the primary, replayed on standbys.",
                    "holdfast_node_lsn_bytes",
                    unit="bytes",
                ),
            ),
        ),
        Row(
            "Replication",
            (
                REPLAY_LAG,
                REPLAY_LAG_AGE,
                SYNC_STATE,
                one(
                    "Streaming",
                    "1 while a standby receives WAL.",
                    "holdfast_node_streaming",
                    kind="state-timeline",
                ),
                one(
                    "WAL kept by slots",
                    "What each slot keeps from being removed.",
                    "holdfast_slot_retained_bytes",
                    "{{node}} {{slot}}",
                    "bytes",
                ),
                one(
                    "Slots in use",
                    "1 while somebody reads from a slot.",
                    "holdfast_slot_active",
                    "{{node}} {{slot}}",
                ),
            ),
        ),
        Row(
            "Manager and consensus store",
            (
                one(
                    "Manager up",
                    "1 while a node's manager works.",
                    "holdfast_manager_up",
                    kind="state-timeline",
                ),
                one(
                    "Manager's word",
                    "State that the manager gives each node.",
                    "holdfast_manager_state",
                    "{{node}} {{state}}",
                ),
                one("Store members", "1 while a member answers.", "holdfast_dcs_member_up", "{{member}}"),
                one("Store leader", "1 for the member that leads.", "holdfast_dcs_leader", "{{member}}"),
                one("Term", "Newest term: every election begins one.", "holdfast_dcs_term", "term"),
                one("Quorum", "1 while the store answers reads.", "holdfast_dcs_quorum", "quorum"),
            ),
        ),
        Row(
            "Load",
            (
                one(
                    "Transactions", "Commits a second.", "rate(holdfast_node_commits_total[10s])", unit="ops"
                ),
                one(
                    "Rows inserted",
                    "A second, on the writable node.",
                    "rate(holdfast_writable_inserts_total[10s])",
                    "writable node",
                    "ops",
                ),
                one("Connections", "Client connections.", "holdfast_node_connections"),
                one(
                    "Time to look",
                    "How long the exporter's newest look took.",
                    "holdfast_node_look_seconds",
                    unit="s",
                ),
            ),
        ),
    ),
)
