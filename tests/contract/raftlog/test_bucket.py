"""Snapshots in a bucket, against an S3 server on loopback: also down, slow, and returning rubbish."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from confluent_kafka import Producer

from outlast.pace import scaled
from raftlog.config import ObjectStoreSettings
from raftlog.errors import RaftlogError
from raftlog.snapshot.bucket import Bucket
from raftlog.testing.local_cluster import LocalCluster, free_ports, wait_for

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture(scope="module", autouse=True)
def credentials() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    (port,) = free_ports(1)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


def settings(endpoint: str, bucket: str, codec: str = "zstd") -> str:
    return f"""
[snapshot]
log_threshold = 100
min_interval_secs = 0.1
retention_count = 2
compression = "{codec}"
[object_store]
backend = "s3"
s3_bucket = "{bucket}"
s3_prefix = "cluster/a"
s3_endpoint_url = "{endpoint}"
timeout_s = 1.0
"""


def produce(cluster: LocalCluster, count: int) -> int:
    """Produce; return how many were acked."""
    acked: list[object] = []
    producer = Producer(
        {"bootstrap.servers": cluster.bootstrap, "acks": "all", "batch.num.messages": 1, "linger.ms": 0}
    )
    for number in range(count):
        producer.produce("t", b"%d" % number, partition=0, on_delivery=lambda error, _: acked.append(error))
        producer.poll(0)
    assert producer.flush(30) == 0
    return acked.count(None)


@pytest.mark.parametrize("codec", ["zstd", "gzip", "none"])
def test_cold_node_is_restored_from_the_bucket(tmp_path: Path, endpoint: str, codec: str) -> None:
    bucket = f"bucket-{codec}"
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    client.create_bucket(Bucket=bucket)
    with LocalCluster(tmp_path / "a", 1, settings=settings(endpoint, bucket, codec)).start() as cluster:
        cluster.leader()
        for _ in range(4):
            assert produce(cluster, 150) == 150
        node = cluster.nodes[1]
        node.ask("POST", "/snapshot", timeout_s=20)
        before = node.status()
        wait_for("the upload", lambda: newest_index(client, bucket) == before["applied_index"])
        assert before["object_store"]["failed"] == 0
        names = wait_for("old snapshots and their pieces to go", lambda: pruned(client, bucket))
        assert all(name.startswith("cluster/a/") for name in names)
        node.stop()
        (node.folder / "data").rename(node.folder / "lost")
        restored = subprocess.run(
            [sys.executable, "-m", "raftlog", "restore", "--config", str(node.folder / "node.toml")],
            capture_output=True,
            text=True,
            timeout=scaled(60),
            check=False,
        )
        assert restored.returncode == 0, restored.stderr
        node.start()
        cluster.leader()
        after = node.status()
        assert after["partitions"] == before["partitions"]
        assert produce(cluster, 10) == 10


def pruned(client: object, bucket: str) -> list[str] | None:
    """Return what is in the bucket once it holds two snapshots and no more pieces than they name."""
    listing = client.list_objects_v2(Bucket=bucket)  # type: ignore[attr-defined]
    names = [one["Key"] for one in listing["Contents"]]
    counts = [sum(folder in name for name in names) for folder in ("/snapshots/", "/pieces/")]
    return names if max(counts) <= 2 else None


def newest_index(client: object, bucket: str) -> int:
    listing = client.list_objects_v2(Bucket=bucket, Prefix="cluster/a/snapshots/")  # type: ignore[attr-defined]
    names = sorted(one["Key"] for one in listing.get("Contents", ()))
    return int(names[-1].rpartition("/")[2].split("-")[0]) if names else 0


class _Broken(http.server.BaseHTTPRequestHandler):
    """A store that answers every request with the bytes it is set up with, once it is allowed to."""

    may_answer: threading.Event
    answer = b"this is no XML"

    def _say(self) -> None:
        self.may_answer.wait()
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.answer)))
        self.end_headers()
        self.wfile.write(self.answer)

    do_GET = do_PUT = do_DELETE = do_POST = do_HEAD = _say

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(params=["down", "slow", "rubbish"])
def broken_endpoint(request: pytest.FixtureRequest) -> Iterator[str]:
    (port,) = free_ports(1)
    if request.param == "down":
        yield f"http://127.0.0.1:{port}"
        return
    may_answer = threading.Event()
    if request.param == "rubbish":
        may_answer.set()
    handler = type("Handler", (_Broken,), {"may_answer": may_answer})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{port}"
    may_answer.set()
    server.shutdown()


def test_broken_store_costs_a_warning_and_no_message(tmp_path: Path, broken_endpoint: str) -> None:
    with LocalCluster(tmp_path, 1, settings=settings(broken_endpoint, "b")).start() as cluster:
        cluster.leader()
        for _ in range(3):
            assert produce(cluster, 150) == 150
        node = cluster.nodes[1]
        wait_for("a failed upload", lambda: node.status()["object_store"]["failed"] > 0, 30)
        assert "was not uploaded" in node.log()
        assert node.status()["snapshot_index"] > 100, "snapshots go on without the store"
        assert produce(cluster, 50) == 50
        assert node.ask("GET", "/health")[0] == 200


def test_rubbish_in_the_bucket_is_never_restored(endpoint: str, tmp_path: Path) -> None:
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    client.create_bucket(Bucket="rubbish")
    client.put_object(Bucket="rubbish", Key="snapshots/0000000000000009-00000001.snap", Body=b"rubbish" * 100)
    bucket = Bucket(ObjectStoreSettings(backend="s3", s3_bucket="rubbish", s3_endpoint_url=endpoint), "zstd")
    with pytest.raises(RaftlogError, match="checksum"):
        bucket.newest()
    assert list(tmp_path.iterdir()) == []
