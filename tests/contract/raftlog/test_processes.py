"""Real processes on loopback: what is acked survives kills, and what cannot be served is refused with a
reason."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from outlast.pace import scaled
from raftlog.testing.local_cluster import LocalCluster, NodeProcess, wait_for

QUICK_SNAPSHOTS = "[snapshot]\nlog_threshold = 200\nmin_interval_secs = 0.1"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    with LocalCluster(tmp_path, settings=QUICK_SNAPSHOTS).start() as one:
        one.wait_equal()
        one.leader()
        yield one


MOVED = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.NOT_CONTROLLER,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError._TIMED_OUT,  # the client's own, while it waits to be told who leads
    KafkaError.TOPIC_ALREADY_EXISTS,
)
"""What a request to make a topic is answered when the leader has changed, or had made it."""


def make_topic(cluster: LocalCluster, name: str = "t", partitions: int = 1) -> None:
    cluster.leader()
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})

    def is_made() -> bool:
        """Ask again while leadership moves, as it does where the members wait for the processor."""
        try:
            admin.create_topics([NewTopic(name, partitions)])[name].result(scaled(20))
        except KafkaException as error:
            code = error.args[0].code()
            if code not in MOVED:
                raise
            return bool(code == KafkaError.TOPIC_ALREADY_EXISTS)
        return True

    wait_for(f"the topic {name}", is_made)


class Writer:
    """Produces unique messages one by one and keeps those that were acked."""

    def __init__(self, cluster: LocalCluster, topic: str = "t", timeout_ms: int = 20_000) -> None:
        self.acked: list[bytes] = []
        self.failed = 0
        self._topic, self._number = topic, 0
        self._producer = Producer(
            {
                "bootstrap.servers": cluster.bootstrap,
                "acks": "all",
                "linger.ms": 0,
                "batch.num.messages": 1,  # an entry each
                "delivery.timeout.ms": int(scaled(timeout_ms)),
                "request.timeout.ms": int(scaled(min(timeout_ms, 3000))),
                "retry.backoff.ms": 20,
                "topic.metadata.refresh.interval.ms": 500,
                "reconnect.backoff.max.ms": 200,
            }
        )

    def write(self, count: int) -> None:
        """Produce count messages and wait for every answer."""
        for _ in range(count):
            self._number += 1
            payload = b"message %d" % self._number
            self._producer.produce(self._topic, payload, partition=0, on_delivery=self._answered)
            self._producer.poll(0)
        assert self._producer.flush(scaled(30)) == 0

    def _answered(self, error: Any, message: Any) -> None:
        if error is None:
            self.acked.append(message.value())
        else:
            self.failed += 1


def read_all(cluster: LocalCluster, count: int, topic: str = "t", timeout_s: float = 30) -> list[bytes]:
    """Consume until `count` different messages have been seen, or time is up."""
    consumer = Consumer(
        {"bootstrap.servers": cluster.bootstrap, "group.id": "g", "enable.auto.commit": False}
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    found: list[bytes] = []
    end = time.monotonic() + scaled(timeout_s)
    try:
        while len(set(found)) < count and time.monotonic() < end:
            for message in consumer.consume(500, 0.2):
                value = message.value()
                if message.error() is None and value is not None:
                    found.append(value)
    finally:
        consumer.close()
    return found


def assert_nothing_lost(cluster: LocalCluster, writer: Writer) -> None:
    assert writer.acked
    found = read_all(cluster, len(writer.acked))
    assert set(writer.acked) <= set(found)
    assert len(found) == len(set(found)), "an idempotent state machine appends nothing twice"
    cluster.wait_equal()


@pytest.mark.alone
def test_leader_kill_loses_nothing_and_a_new_one_rules_in_time(cluster: LocalCluster) -> None:
    make_topic(cluster)
    writer = Writer(cluster)
    writer.write(300)
    old = cluster.leader()
    old.kill()
    start = time.monotonic()
    new = cluster.leader()
    assert time.monotonic() - start < 2.0
    assert new is not old
    writer.write(300)
    old.start()
    cluster.leader()
    writer.write(50)
    assert_nothing_lost(cluster, writer)


def test_stopped_follower_catches_up_by_snapshot(cluster: LocalCluster) -> None:
    make_topic(cluster)
    writer = Writer(cluster)
    writer.write(50)
    behind = cluster.followers()[0]
    assert behind.stop() == 0
    for _ in range(8):
        writer.write(120)
    leader = cluster.leader()

    def truncated() -> bool:
        return int(leader.status()["first_index"]) > 300

    for _ in range(30):
        if truncated():
            break
        writer.write(100)
    assert truncated()
    behind.start()
    cluster.wait_equal(30)
    metrics = behind.ask("GET", "/metrics")[1].decode()
    assert float(re.findall(r"raft_snapshots_received_total\{[^}]*\} (\S+)", metrics)[0]) >= 1
    assert_nothing_lost(cluster, writer)


def test_total_outage_brings_every_acked_message_back(cluster: LocalCluster) -> None:
    make_topic(cluster)
    writer = Writer(cluster)
    writer.write(400)
    for node in cluster.nodes.values():
        node.kill()
    cluster.start()
    cluster.leader()
    writer.write(20)
    assert_nothing_lost(cluster, writer)


def test_minority_accepts_no_write_and_steps_down(cluster: LocalCluster) -> None:
    make_topic(cluster)
    leader = cluster.leader()
    for node in cluster.followers():
        node.kill()
    wait_for("the leader to step down", lambda: leader.status()["role"] != "leader")
    writer = Writer(cluster, timeout_ms=1500)
    writer.write(5)
    assert (writer.acked, writer.failed) == ([], 5)
    assert leader.ask("GET", "/health")[0] == 503
    assert leader.ask("PUT", "/kv/x", b"1")[0] == 421
    cluster.start()
    cluster.leader()
    writer = Writer(cluster)
    writer.write(5)
    assert_nothing_lost(cluster, writer)


def test_frozen_leader_is_replaced_and_comes_back_as_a_follower(cluster: LocalCluster) -> None:
    make_topic(cluster)
    writer = Writer(cluster)
    writer.write(50)
    old = cluster.leader()
    old.send_signal(signal.SIGSTOP)
    others = [node for node in cluster.nodes.values() if node is not old]
    try:
        wait_for("another leader", lambda: any(one.status()["role"] == "leader" for one in others))
    finally:
        old.send_signal(signal.SIGCONT)
    wait_for("it to follow", lambda: old.status()["role"] == "follower")
    writer.write(50)
    assert_nothing_lost(cluster, writer)


def test_graceful_stop_hands_leadership_over_first(cluster: LocalCluster) -> None:
    make_topic(cluster)
    old = cluster.leader()
    assert old.stop() == 0
    assert cluster.leader(timeout_s=2).id != old.id


def cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "raftlog", *arguments],
        capture_output=True,
        text=True,
        timeout=scaled(60),
        check=False,
    )


def test_one_node_grows_into_a_cluster_and_shrinks_again(tmp_path: Path) -> None:
    with LocalCluster(tmp_path, founders=1, settings=QUICK_SNAPSHOTS) as cluster:
        cluster.start(1)
        make_topic(cluster)
        writer = Writer(cluster)
        writer.write(300)
        for number in (2, 3):
            node = cluster.nodes[number]
            node.start()
            added = cli(
                *("add-node", str(number), "--kafka", node.kafka, "--peer", node.peer),
                *("--node-admin", node.admin, "--admin", cluster.nodes[1].admin),
            )
            assert added.returncode == 0, added.stderr
            wait_for("it to catch up", lambda node=node: node.status()["applied_index"] > 2)  # type: ignore[misc]
        writer.write(50)
        states = cluster.wait_equal()
        assert all(state["voters"] == [1, 2, 3] for state in states)
        cluster.nodes[1].kill()
        writer.write(50)
        removed = cli("remove-node", "1", "--admin", cluster.leader().admin)
        assert removed.returncode == 0, removed.stderr
        writer.write(20)
        assert_nothing_lost(cluster, writer)
        assert cluster.leader().status()["voters"] == [2, 3]


def test_transfer_and_status_through_the_command_line(cluster: LocalCluster) -> None:
    target = cluster.followers()[0]
    asked = cli("transfer", str(target.id), "--admin", cluster.nodes[1].admin)
    assert asked.returncode == 0, asked.stderr
    wait_for("the transfer", lambda: target.status()["role"] == "leader")
    status = cli("status", "--admin", target.admin)
    assert json.loads(status.stdout)["role"] == "leader"
    assert cli("snapshot", "--admin", target.admin).returncode == 0
    assert cli("status", "--admin", "127.0.0.1:1").returncode == 69
    assert cli("frobnicate").returncode == 64


def test_registers_are_linearizable_through_any_node(cluster: LocalCluster) -> None:
    leader, follower = cluster.leader(), cluster.followers()[0]
    for number in range(30):
        assert leader.ask("PUT", "/kv/k", b"%d" % number)[0] == 200
        assert follower.ask("GET", "/kv/k") == (200, b"%d" % number)
    assert leader.ask("PUT", "/kv/k?expect=29", b"30")[0] == 200
    assert leader.ask("PUT", "/kv/k?expect=29", b"31")[0] == 412
    assert leader.ask("PUT", "/kv/new?expect_absent=1", b"1")[0] == 200
    assert leader.ask("PUT", "/kv/new?expect_absent=1", b"2")[0] == 412
    code, body = follower.ask("PUT", "/kv/k", b"no")
    assert (code, json.loads(body)["leader"]) == (421, leader.id)
    assert follower.ask("GET", "/kv/none")[0] == 404


def test_documented_metrics_are_there_with_node_id(cluster: LocalCluster) -> None:
    make_topic(cluster)
    Writer(cluster).write(20)
    leader = cluster.leader()
    text = leader.ask("GET", "/metrics")[1].decode()
    for name in (
        *("raft_leader_elections_total", "raft_append_entries_total", "raft_vote_requests_total"),
        *("raft_heartbeats_total", "raft_log_entries", "raft_current_term", "raft_commit_index"),
        *("raft_append_seconds_count", "raft_commit_seconds_count", "raft_snapshots_total"),
    ):
        (value,) = re.findall(rf'^{name}{{node_id="{leader.id}"}} (\S+)$', text, re.M)
        assert float(value) > 0 or name == "raft_snapshots_total", name
    assert text.count("raft_peer_lag_entries{") == 2


GARBAGE = {
    "noise": b"\x00\x01\x02" * 1000,
    "two_gibibytes": b"\x7f\xff\xff\xff" + b"x" * 100,
    "negative_length": b"\xff\xff\xff\xff" + b"x" * 100,
    "half_a_frame": struct.pack(">ihhih", 1000, 0, 7, 1, -1),
    "unknown_request": struct.pack(">ihhih", 10, 999, 0, 1, -1),
    "old_version": struct.pack(">ihhih", 10, 1, 0, 1, -1),
    "empty_produce": struct.pack(">ihhih", 10, 0, 7, 1, -1),
    "http": b"GET / HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_costs_its_connection_and_nothing_else(cluster: LocalCluster, name: str) -> None:
    leader = cluster.leader()
    for address in (leader.kafka, leader.peer, leader.admin):
        host, _, port = address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=scaled(5)) as connection:
            connection.sendall(GARBAGE[name])
            connection.settimeout(0.3)
            with contextlib.suppress(TimeoutError, ConnectionError):
                connection.recv(1 << 16)
    assert leader.ask("PUT", "/kv/after", b"1")[0] == 200
    assert cluster.leader() is leader
    assert all(node.running for node in cluster.nodes.values())


def test_unknown_api_versions_are_answered_in_the_oldest_layout(cluster: LocalCluster) -> None:
    host, _, port = cluster.leader().kafka.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=scaled(5)) as connection:
        connection.sendall(struct.pack(">ihhih", 11, 18, 4, 77, -1) + b"\0")
        answer = connection.recv(1 << 16)
    assert struct.unpack_from(">ih", answer, 4) == (77, 35)


def serve_once(node: NodeProcess) -> tuple[int, str]:
    """Start a node that is expected to refuse; return its exit code and log."""
    node.start()
    assert node.process is not None
    return node.process.wait(scaled(20)), node.log()


def test_data_of_another_node_or_cluster_is_refused(tmp_path: Path) -> None:
    with LocalCluster(tmp_path, 1) as cluster:
        node = cluster.nodes[1]
        cluster.start()
        cluster.leader()
        second = NodeProcess(1, node.folder, node.kafka, node.peer, node.admin)
        code, log = serve_once(second)
        assert code == 64
        assert "in use by another process" in log
        node.stop()
        config = node.folder / "node.toml"
        config.write_text(config.read_text().replace('"local"', '"other"'))
        code, log = serve_once(node)
        assert code == 64
        assert "belongs to node 1 of cluster 'local'" in log


def test_damaged_log_is_refused_with_its_place(tmp_path: Path) -> None:
    with LocalCluster(tmp_path, 1).start() as cluster:
        node = cluster.nodes[1]
        make_topic(cluster)
        Writer(cluster).write(50)
        node.kill()
        path = max((node.folder / "data" / "wal").glob("*.wal"))
        data = bytearray(path.read_bytes())
        data[400] ^= 0xFF
        path.write_bytes(data)
        code, log = serve_once(node)
        assert code == 65
        assert "damaged at byte" in log
        assert "hint: this node may have lost acknowledged messages" in log


def test_second_node_with_the_same_id_is_refused_by_its_peers(cluster: LocalCluster, tmp_path: Path) -> None:
    original = cluster.followers()[0]
    twin_folder = tmp_path / "twin"
    twin_folder.mkdir()
    text = (original.folder / "node.toml").read_text()
    from raftlog.testing.local_cluster import free_ports

    kafka, peer, admin = (f"127.0.0.1:{port}" for port in free_ports(3))
    for old, new in ((original.kafka, kafka), (original.peer, peer), (original.admin, admin)):
        text = text.replace(old, new)
    (twin_folder / "node.toml").write_text(text)
    twin = NodeProcess(original.id, twin_folder, kafka, peer, admin)
    twin.start()
    try:
        wait_for("the refusal", lambda: "two nodes have the id" in twin.log())
        assert cluster.leader().ask("PUT", "/kv/x", b"1")[0] == 200
        assert original.status()["leader"] == cluster.leader().id
    finally:
        twin.kill()


def test_full_disk_stops_that_node_alone_and_loses_nothing(tmp_path: Path) -> None:
    with LocalCluster(tmp_path).start() as cluster:
        make_topic(cluster)
        writer = Writer(cluster)
        writer.write(50)
        victim = cluster.followers()[0]
        victim.stop()
        victim.environment = {"RAFTLOG_TEST_FILE_BYTES_MAX": str(300_000)}
        victim.start()
        cluster.leader()
        for _ in range(40):
            writer.write(100)
            if not victim.running:
                break
        assert victim.process is not None
        assert victim.process.wait(scaled(10)) == 74
        assert "hint:" in victim.log()
        victim.environment = {}
        victim.start()
        assert_nothing_lost(cluster, writer)


def test_bad_config_is_bad_usage(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text("cluster = 1")
    checked = cli("check-config", "--config", str(path))
    assert checked.returncode == 64
    assert "node.toml" in checked.stderr
    with pytest.raises(KafkaException):
        AdminClient({"bootstrap.servers": "127.0.0.1:1"}).list_topics(timeout=0.2)
