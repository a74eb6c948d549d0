"""``bench raftlog``: raftlog beside etcd, and what only raftlog does.

Both clusters have three nodes on loopback, the same disk, fsync on, and clients as equal as can be
(raftlog_clients.py); the throughput cases are interleaved, five rounds, and the median is told.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.case import Case
from benchmarks.raftlog_clients import EtcdLoad, Load, RaftlogLoad, run_load
from outlast.errors import UnavailableError
from outlast.systems.etcd.member import etcd_program
from raftlog.testing.local_cluster import LocalCluster, NodeProcess, free_ports, wait_for

ROUNDS = 5
SECONDS = 2.0
CASES = {"in-flight-1": (1, 1), "in-flight-64": (1, 64), "producers-8": (8, 1)}
"""Connections, and requests under way on each."""


def find_etcd() -> tuple[str, str]:
    """Return the path and version of etcd: the machine's own before the one from PyPI, which has known
    defects."""
    try:
        program = etcd_program("machine")
    except UnavailableError:
        program = etcd_program()
    text = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return program, text.split("\n")[0].rpartition(" ")[2]


@contextlib.contextmanager
def etcd_cluster(folder: Path) -> Iterator[tuple[str, str]]:
    """Run three etcd nodes; yield the leader's address and etcd's version."""
    program, version = find_etcd()
    ports = free_ports(6)
    client = [f"127.0.0.1:{port}" for port in ports[:3]]
    peer = [f"http://127.0.0.1:{port}" for port in ports[3:]]
    cluster = ",".join(f"e{n}={url}" for n, url in enumerate(peer))
    processes = []
    try:
        for n in range(3):
            log = (folder / f"etcd{n}.log").open("wb")
            arguments = [
                *(program, "--name", f"e{n}", "--data-dir", str(folder / f"etcd{n}")),
                *("--listen-client-urls", f"http://{client[n]}"),
                *("--advertise-client-urls", f"http://{client[n]}"),
                *("--listen-peer-urls", peer[n], "--initial-advertise-peer-urls", peer[n]),
                *("--initial-cluster", cluster, "--initial-cluster-state", "new"),
            ]
            processes.append(subprocess.Popen(arguments, stdout=log, stderr=log, stdin=subprocess.DEVNULL))
            log.close()
        yield wait_for("etcd's leader", lambda: _etcd_leader(client), 30), version
    finally:
        for process in processes:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()


def _etcd_leader(clients: list[str]) -> str | None:
    from http.client import HTTPConnection

    for address in clients:
        host, _, port = address.rpartition(":")
        connection = HTTPConnection(host, int(port), timeout=2)
        connection.request("POST", "/v3/maintenance/status", b"{}")
        body = json.loads(connection.getresponse().read())
        if body.get("leader") and body["leader"] == body["header"]["member_id"]:
            return address
    return None


@contextlib.contextmanager
def raftlog_cluster(folder: Path, profile: str = "default", settings: str = "") -> Iterator[LocalCluster]:
    """Run three raftlog nodes with the topic that the clients use."""
    with LocalCluster(folder, profile=profile, settings=settings).start() as cluster:
        make_topic(cluster, "bench")
        yield cluster


def make_topic(cluster: LocalCluster, name: str) -> None:
    """Make a topic of one partition, through a real client."""
    from confluent_kafka.admin import AdminClient, NewTopic

    cluster.leader()
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    admin.create_topics([NewTopic(name, 1)])[name].result(30)
    cluster.wait_equal()


def load(kind: type[Load], address: str, name: str, seconds: float) -> tuple[float, list[float]]:
    """Run one throughput case."""
    connections, in_flight = CASES[name]
    return uvloop.run(run_load(kind, address, connections, in_flight, seconds))


def throughput(folder: Path, rounds: int = ROUNDS, seconds: float = SECONDS) -> list[Case]:
    """Messages of 256 bytes a second, acknowledged by a majority's disks, raftlog and etcd in turn."""
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in CASES}
    tails: dict[str, list[float]] = {name: [] for name in CASES}
    with etcd_cluster(folder) as (etcd, version), raftlog_cluster(folder) as cluster:
        for _ in range(rounds):
            for name in CASES:
                ours, latencies = load(RaftlogLoad, cluster.leader().kafka, name, seconds)
                theirs, _ = load(EtcdLoad, etcd, name, seconds)
                results[name].append((ours, theirs))
                tails[name].append(latencies[int(len(latencies) * 0.99)] * 1000)
    cases = []
    for name, pairs in results.items():
        ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
        cases.append(Case(name, ours, "msg/s", theirs, f"etcd {version}"))
        cases.append(Case(f"{name}-p99", statistics.median(tails[name]), "ms"))
    return cases


def kafka_client(folder: Path, seconds: float = 4.0) -> list[Case]:
    """What one real client (librdkafka) gets: messages of 256 bytes a second, produce p99, and fetch p50."""
    with raftlog_cluster(folder) as cluster:
        rate, p99 = _produce_with_client(cluster, seconds)
        fetch = _fetch_latency(cluster)
    return [
        Case("kafka-client", rate, "msg/s"),
        Case("kafka-client-produce-p99", p99, "ms"),
        Case("kafka-client-fetch-p50", fetch, "ms"),
    ]


def _produce_with_client(cluster: LocalCluster, seconds: float) -> tuple[float, float]:
    """Produce at 22,000 a second, then as fast as it goes; return the latter rate and the former's p99 in
    ms."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": cluster.bootstrap, "acks": "all", "linger.ms": 2})
    message = b"x" * 256

    def run(rate: float | None) -> tuple[float, list[float]]:
        latencies: list[float] = []
        sent = 0
        start = time.perf_counter()
        while (now := time.perf_counter() - start) < seconds:
            due = int(now * rate) - sent if rate else 500
            for _ in range(due):
                at = time.perf_counter()

                def delivered(error: Any, _message: Any, at: float = at) -> None:
                    if error is not None:
                        raise RuntimeError(str(error))
                    latencies.append(time.perf_counter() - at)

                while True:
                    try:
                        producer.produce("bench", message, partition=0, on_delivery=delivered)
                        break
                    except BufferError:
                        producer.poll(0.01)
            sent += due
            producer.poll(0.001 if rate else 0)
        producer.flush(30)
        return len(latencies) / (time.perf_counter() - start), sorted(latencies)

    _, latencies = run(22_000)
    rate, _ = run(None)
    return rate, latencies[int(len(latencies) * 0.99)] * 1000


def _fetch_latency(cluster: LocalCluster, rounds: int = 300) -> float:
    """Return the median ms from a message's ack to its arrival at a consumer that waits for it, plus the
    fetch itself."""
    from confluent_kafka import Consumer, Producer, TopicPartition

    producer = Producer({"bootstrap.servers": cluster.bootstrap, "acks": "all", "linger.ms": 0})
    consumer = Consumer(
        {"bootstrap.servers": cluster.bootstrap, "group.id": "bench", "fetch.wait.max.ms": 500}
    )
    _, end = consumer.get_watermark_offsets(TopicPartition("bench", 0), timeout=10)
    consumer.assign([TopicPartition("bench", 0, end)])
    latencies = []
    for number in range(rounds):
        producer.produce("bench", b"%d" % number, partition=0)
        producer.flush(10)
        acked = time.perf_counter()
        while True:
            message = consumer.poll(5)
            if message is not None and message.error() is None and message.value() == b"%d" % number:
                break
        latencies.append((time.perf_counter() - acked) * 1000)
    consumer.close()
    return statistics.median(latencies[20:])


def election(folder: Path, rounds: int = 5) -> list[Case]:
    """Seconds from SIGKILL of the leader to the next acked write, for both profiles; the worst of the
    rounds."""
    cases = []
    for profile in ("default", "tuned"):
        with raftlog_cluster(folder / profile, profile) as cluster:
            worst = max(_kill_leader(cluster) for _ in range(rounds))
        cases.append(Case(f"election-{profile}", worst, "s"))
    with raftlog_cluster(folder / "behind", "tuned", "[snapshot]\nenabled = false") as cluster:
        behind = cluster.followers()[0]
        behind.send_signal(signal.SIGSTOP)
        leader = cluster.nodes[wait_for("the leader", lambda: _leader_id(cluster, behind))]
        _fill(leader, 100_000)
        behind.send_signal(signal.SIGCONT)
        leader.kill()
        start = time.perf_counter()
        rest = [node for node in cluster.nodes.values() if node.running]
        wait_for("a leader", lambda: any(node.status()["role"] == "leader" for node in rest), pause_s=0.005)
        cases.append(Case("election-tuned-follower-100k-behind", time.perf_counter() - start, "s"))
        wait_for(
            "a write", lambda: any(node.ask("PUT", "/kv/b", b"1")[0] == 200 for node in rest), pause_s=0.005
        )
        cases.append(Case("first-ack-follower-100k-behind", time.perf_counter() - start, "s"))
    return cases


def _leader_id(cluster: LocalCluster, frozen: NodeProcess) -> int | None:
    for node in cluster.nodes.values():
        if node is not frozen and node.running and (leader := node.status()["leader"]):
            return int(leader)
    return None


def _fill(leader: NodeProcess, count: int) -> float:
    """Write count entries of 256 bytes; return the seconds it took."""
    start = time.perf_counter()
    done = 0
    while done < count:
        _, latencies = uvloop.run(run_load(RaftlogLoad, leader.kafka, 4, 128, 1.0))
        done += len(latencies)
    return time.perf_counter() - start


def _kill_leader(cluster: LocalCluster, leader: NodeProcess | None = None) -> float:
    """Kill the leader; return the seconds until another node acks a write. The dead one is started again."""
    leader = leader or cluster.leader()
    others = [node for node in cluster.nodes.values() if node.running and node is not leader]
    leader.kill()
    start = time.perf_counter()

    def acked() -> bool:
        return any(node.ask("PUT", "/kv/bench", b"1", timeout_s=1.0)[0] == 200 for node in others)

    wait_for("a write to be acked", acked, 20, pause_s=0.005)
    elapsed = time.perf_counter() - start
    leader.start()
    cluster.leader()
    wait_for("it to catch up", lambda: cluster.wait_equal(30), 30)
    return elapsed


def snapshots(folder: Path, entries: int = 100_000) -> list[Case]:
    """Per 100,000 entries: create, restore, disk given back, produce p99 meanwhile, and cold bootstrap by
    snapshot beside replay of the log (its peer)."""
    settings = "[snapshot]\nlog_threshold = 100000000\ntime_threshold_secs = 100000"
    with LocalCluster(folder, 4, founders=3, settings=settings) as cluster:
        cluster.start(1, 2, 3)
        make_topic(cluster, "bench")
        late = cluster.followers()[0]
        late.stop()
        leader = cluster.leader()
        _fill(leader, entries)
        count = leader.status()["applied_index"] / 100_000
        before = leader.status()["wal_bytes"]
        replay = _replay(late, leader)
        start = time.perf_counter()
        leader.ask("POST", "/snapshot", timeout_s=60)
        create = time.perf_counter() - start
        wait_for("truncation", lambda: leader.status()["wal_bytes"] < before / 4)
        after = leader.status()["wal_bytes"]
        _fill(leader, entries)
        normal = _p99(leader)
        with _meanwhile(lambda: leader.ask("POST", "/snapshot", timeout_s=60)):
            during = _p99(leader)
        for node in cluster.nodes.values():
            if node.running:
                node.ask("POST", "/snapshot", timeout_s=60)
        snapshot = _bootstrap(cluster)
        follower = cluster.followers()[0]
        follower.kill()
        follower.start()
        wait_for("its recovery", lambda: follower.status()["recovery_s"] > 0)
        restore = follower.status()["recovery_s"]
    return [
        Case("snapshot-create-100k", create / count, "s"),
        Case("snapshot-restore-100k", restore / count, "s"),
        Case("snapshot-produce-p99", during, "ms", normal, "without a snapshot"),
        Case("snapshot-disk-back", 100 * (1 - after / before), "%"),
        Case("cold-bootstrap", snapshot, "s", replay, "replay of the log"),
    ]


def _p99(leader: NodeProcess) -> float:
    _, latencies = uvloop.run(run_load(RaftlogLoad, leader.kafka, 8, 1, 2.0))
    return latencies[int(len(latencies) * 0.99)] * 1000


@contextlib.contextmanager
def _meanwhile(action: Callable[[], object]) -> Iterator[None]:
    """Run action in a thread, half a second from now."""

    def run() -> None:
        time.sleep(0.5)
        action()

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join(60)


def _replay(late: NodeProcess, leader: NodeProcess) -> float:
    """Start a node that has nothing and is sent the whole log; return the seconds until it has applied it."""
    goal = leader.status()["commit_index"]
    late.start()
    wait_for("the node to listen", lambda: late.status()["node_id"] == late.id)
    start = time.perf_counter()
    wait_for("it to have everything", lambda: late.status()["applied_index"] >= goal, 60, pause_s=0.005)
    return time.perf_counter() - start


def _bootstrap(cluster: LocalCluster) -> float:
    """Add an empty fourth node, time until it has everything, and remove it again; process start is not
    counted."""
    node = cluster.nodes[4]
    shutil.rmtree(node.folder / "data", ignore_errors=True)
    node.start()
    wait_for("the node to listen", lambda: node.status()["node_id"] == 4)
    leader = cluster.leader()
    goal = leader.status()["commit_index"]
    body = json.dumps({"kafka": node.kafka, "peer": node.peer, "admin": node.admin, "learner": True}).encode()
    start = time.perf_counter()
    code, answer = leader.ask("POST", "/members/4", body)
    if code != 200:
        raise RuntimeError(answer.decode())
    wait_for("it to have everything", lambda: node.status()["applied_index"] >= goal, 15, pause_s=0.005)
    elapsed = time.perf_counter() - start
    wait_for("its removal", lambda: leader.ask("DELETE", "/members/4")[0] == 200)
    node.kill()
    return elapsed


def memory(folder: Path, messages: int = 10_000_000) -> list[Case]:
    """Growth of the leader's resident memory, in MiB, from a tenth of the messages to all of them."""
    from confluent_kafka import Producer

    with raftlog_cluster(folder) as cluster:
        leader = cluster.leader()
        producer = Producer({"bootstrap.servers": cluster.bootstrap, "linger.ms": 20, "acks": "all"})
        first = 0.0
        for number in range(messages):
            while True:
                try:
                    producer.produce("bench", b"x" * 256, partition=0)
                    break
                except BufferError:
                    producer.poll(0.05)
            if number == messages // 10:
                producer.flush(60)
                first = _resident_mib(leader)
        producer.flush(60)
        return [Case("memory-growth", _resident_mib(leader) - first, "MiB")]


def _resident_mib(node: NodeProcess) -> float:
    assert node.process is not None
    text = Path(f"/proc/{node.process.pid}/statm").read_text()
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


BENCHES: dict[str, Callable[[Path], list[Case]]] = {
    "throughput": throughput,
    "kafka-client": kafka_client,
    "election": election,
    "snapshots": snapshots,
    "memory": memory,
}
"""memory takes many minutes and runs only when it is named."""


def cases(names: list[str] | None = None, place: Path | None = None) -> list[Case]:
    """Run the named benches, all but memory when none is named; return their cases. place: a folder on a real
    disk."""
    measured: list[Case] = []
    for name in names or [name for name in BENCHES if name != "memory"]:
        with tempfile.TemporaryDirectory(prefix="bench-", dir=place or Path.cwd()) as folder:
            measured += BENCHES[name](Path(folder))
    return measured
