"""A Raft-replicated log."""

from __future__ import annotations

from typing import Final

from outlast.monitoring.grafana.model import Dashboard, DashboardRow, one

BOARD: Final = Dashboard(
    "raft",
    "outlast-raft",
    "Raft",
    "A Raft-replicated log: health, lag, elections, commits, snapshots, requests.",
    "raftlog",
    (
        DashboardRow(
            "Health",
            (
                one(
                    "Members up",
                    "1 while a member answers.",
                    "outlast_dcs_member_up",
                    "{{member}}",
                    kind="state-timeline",
                ),
                one(
                    "Leader", "1 on the leader.", "raft_is_leader", "node {{node_id}}", kind="state-timeline"
                ),
                one(
                    "Peers connected",
                    "1 while a node can send to its peer.",
                    "raft_peer_connected",
                    "{{node_id}} to {{peer}}",
                ),
                one("Quorum", "1 while reads are answered.", "outlast_dcs_quorum", "quorum"),
            ),
        ),
        DashboardRow(
            "Elections",
            (
                one("Term", "Each node's term.", "raft_current_term", "node {{node_id}}"),
                one("Elections won", "By each node.", "raft_leader_elections_total", "node {{node_id}}"),
                one(
                    "Votes asked for",
                    "A second.",
                    "rate(raft_vote_requests_total[10s])",
                    "node {{node_id}}",
                    "ops",
                ),
                one(
                    "Heartbeats",
                    "Sent a second.",
                    "rate(raft_heartbeats_total[10s])",
                    "node {{node_id}}",
                    "ops",
                ),
            ),
        ),
        DashboardRow(
            "Commit",
            (
                one("Commit index", "Highest committed entry.", "raft_commit_index", "node {{node_id}}"),
                one(
                    "Commits", "Entries a second.", "rate(raft_commit_index[10s])", "node {{node_id}}", "ops"
                ),
                one(
                    "Not yet applied",
                    "Entries committed and not applied.",
                    "raft_commit_index - raft_applied_index",
                    "node {{node_id}}",
                ),
                one(
                    "Lag of followers",
                    "Entries a follower has yet to store.",
                    "raft_peer_lag_entries",
                    "peer {{peer}}",
                ),
                one(
                    "Time to write a batch",
                    "Median and 99th percentile.",
                    "histogram_quantile(0.99, sum by (le, node_id) (rate(raft_append_seconds_bucket[10s])))",
                    "node {{node_id}} p99",
                    "s",
                ),
                one(
                    "Appends sent",
                    "A second.",
                    "rate(raft_append_entries_total[10s])",
                    "node {{node_id}}",
                    "ops",
                ),
            ),
        ),
        DashboardRow(
            "Snapshots and log",
            (
                one("Snapshots taken", "By each node.", "raft_snapshots_total", "node {{node_id}}"),
                one(
                    "Snapshots sent and fetched",
                    "By each node.",
                    "raft_snapshots_sent_total + raft_snapshots_received_total",
                    "node {{node_id}}",
                ),
                one(
                    "Entries in the log",
                    "Since the newest snapshot's truncation.",
                    "raft_log_entries",
                    "node {{node_id}}",
                ),
                one("Log on disk", "Bytes.", "raft_wal_bytes", "node {{node_id}}", "bytes"),
            ),
        ),
        DashboardRow(
            "Requests",
            (
                one(
                    "Records produced",
                    "A second.",
                    "rate(raftlog_produced_records_total[10s])",
                    "node {{node_id}}",
                    "ops",
                ),
                one("Fetches", "A second.", "rate(raftlog_fetches_total[10s])", "node {{node_id}}", "ops"),
            ),
        ),
    ),
)
