"""What a node says of itself: status as JSON, metrics as Prometheus reads them."""

from __future__ import annotations

import time
import zlib
from typing import Any

from raftlog.kafka.broker import KafkaBroker
from raftlog.metrics import MetricsPage
from raftlog.node.node import Node


def status(node: Node, broker: KafkaBroker) -> dict[str, Any]:
    """Return the node's state: who leads, how far the log is, who is behind, where each partition ends.

    crc: of each file of a partition, so that replicas can be compared without reading them.
    """
    core, wal = node.ready_loop.core, node.wal
    membership = core.membership
    return {
        "cluster": node.config.cluster,
        "node_id": node.config.node_id,
        "role": core.role.name.lower(),
        "leader": core.leader,
        "term": core.term,
        "commit_index": core.commit_index,
        "applied_index": node.ready_loop.applied,
        "first_index": wal.first_index,
        "last_index": core.last_index,
        "snapshot_index": node.snapshotter.newest.index,
        "voters": list(membership.voters),
        "learners": list(membership.learners),
        "uptime_s": round(time.time() - node.started_at, 3),
        "recovery_s": round(node.recovery_s, 4),
        "wal_bytes": wal.bytes_on_disk,
        "wal_torn_bytes": wal.torn_bytes,
        "peers": [
            {
                "id": peer,
                "connected": link.connected,
                "refused": link.refused,
                **_progress(node, peer),
            }
            for peer, link in sorted(node.peers.links.items())
        ],
        "addresses": {str(member): address for member, address in node.addresses().items()},
        "partitions": [
            {
                "topic": topic,
                "partition": number,
                "start_offset": partition.start,
                "end_offset": partition.end,
                "crc": [f"{piece.crc:08x}" for piece in partition.pieces()],
            }
            for topic, number, partition in node.machine.each()
        ],
        "registers": len(node.machine.registers),
        "object_store": _object_store(node),
        "failure": str(node.failure) if node.failure else None,
        "in_sync": broker.in_sync(),
    }


def registers_crc(node: Node) -> str:
    """Return a checksum of all registers, names and values, so that replicas can be compared. O(their size)."""
    crc = 0
    for key, value in sorted(node.machine.registers.items()):
        crc = zlib.crc32(b"%d:%d:" % (len(key), len(value)) + key + value, crc)
    return f"{crc:08x}"


def _progress(node: Node, peer: int) -> dict[str, Any]:
    """What a leader knows of a follower; nothing on other nodes."""
    core = node.ready_loop.core
    progress = core.progress().get(peer)
    if not core.leads or progress is None:
        return {}
    return {
        "match_index": progress.match,
        "lag_entries": max(0, core.last_index - progress.match),
        "flow": progress.state.name.lower(),
        "active": progress.active,
        "learner": progress.learner,
    }


def _object_store(node: Node) -> dict[str, Any] | None:
    uploader = node.uploader
    if uploader is None:
        return None
    return {
        "uploaded": uploader.uploaded,
        "failed": uploader.failed,
        "sent_bytes": uploader.sent_bytes,
        "last_error": uploader.last_error,
    }


def metrics(node: Node, broker: KafkaBroker) -> str:
    """Return the metrics page. The first seven series are those of the requirements, by name and meaning."""
    ready_loop, wal, snapshotter = node.ready_loop, node.wal, node.snapshotter
    core = ready_loop.core
    counters = core.counters
    page = MetricsPage(node_id=node.config.node_id)
    page.counter("raft_leader_elections_total", "Elections this node has won.", counters.elections)
    page.counter("raft_append_entries_total", "APPENDs sent to followers.", counters.appends_sent)
    page.counter("raft_vote_requests_total", "Votes and pre-votes asked for.", counters.vote_requests_sent)
    page.counter("raft_heartbeats_total", "Heartbeats sent to followers.", counters.heartbeats_sent)
    page.gauge("raft_log_entries", "Entries in the log.", core.last_index - wal.first_index + 1)
    page.gauge("raft_current_term", "The present term.", core.term)
    page.gauge("raft_commit_index", "The highest committed index.", core.commit_index)
    page.gauge("raft_applied_index", "The highest applied index.", ready_loop.applied)
    page.gauge("raft_is_leader", "1 on the leader.", int(core.leads))
    page.gauge("raft_wal_bytes", "Bytes of the log on disk.", wal.bytes_on_disk)
    page.histogram("raft_append_seconds", "Write and sync of one batch.", ready_loop.append_seconds)
    page.histogram(
        "raft_commit_seconds", "From proposal to applied, on the leader.", ready_loop.commit_seconds
    )
    page.gauges(
        "raft_peer_lag_entries",
        "Entries a follower has yet to store; on the leader only.",
        [
            ({"peer": peer}, max(0, core.last_index - progress.match))
            for peer, progress in sorted(core.progress().items())
            if peer != core.id and core.leads
        ],
    )
    page.gauges(
        "raft_peer_connected",
        "1 while this node can send to the peer.",
        [({"peer": peer}, int(link.connected)) for peer, link in sorted(node.peers.links.items())],
    )
    page.counter("raft_snapshots_total", "Snapshots taken.", snapshotter.taken)
    page.counter("raft_snapshots_sent_total", "Snapshots offered to followers.", counters.snapshots_sent)
    page.counter("raft_snapshots_received_total", "Snapshots fetched.", node.snapshot_fetcher.received)
    page.gauge("raft_snapshot_index", "Where the newest snapshot ends.", snapshotter.newest.index)
    page.histogram("raft_snapshot_seconds", "Time to take a snapshot.", snapshotter.seconds)
    page.counter("raft_wal_freed_bytes_total", "Bytes given back by truncation.", snapshotter.freed_bytes)
    if node.uploader is not None:
        page.counter("raft_snapshot_uploads_total", "Snapshots uploaded.", node.uploader.uploaded)
        page.counter("raft_snapshot_upload_failures_total", "Uploads that failed.", node.uploader.failed)
    page.counter("raftlog_produced_records_total", "Records taken from producers.", broker.traffic.produced)
    page.counter("raftlog_produced_bytes_total", "Bytes taken from producers.", broker.traffic.produced_bytes)
    page.counter("raftlog_fetches_total", "Fetch requests.", broker.traffic.fetches)
    page.counter("raftlog_fetched_bytes_total", "Bytes sent to consumers.", broker.traffic.fetched_bytes)
    page.gauges(
        "raftlog_partition_end_offset",
        "The next offset of each partition.",
        [({"topic": t, "partition": n}, partition.end) for t, n, partition in node.machine.each()],
    )
    return str(page)
