"""What comes in from outside: frames, requests, config files. All bounded, all refused with a reason."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftlog.config import NodeConfig, load, parse
from raftlog.core.types import Entry, EntryKind, Kind, Membership, Message, SnapshotPoint
from raftlog.errors import ConfigError, ProtocolError
from raftlog.kafka import produce_fetch
from raftlog.metrics import Histogram, MetricsPage
from raftlog.peer_protocol import FrameKind, FrameReader, decode_message, encode_message, frame

NUMBER = st.integers(0, (1 << 64) - 1)
POINT = st.builds(
    SnapshotPoint,
    NUMBER,
    NUMBER,
    st.builds(Membership, st.lists(st.integers(1, 99), max_size=4).map(tuple), auto_leave=st.booleans()),
)


@given(
    kind=st.sampled_from([kind for kind in Kind if kind != Kind.APPEND]),
    numbers=st.lists(NUMBER, min_size=7, max_size=7),
    context=st.binary(max_size=40),
    reject=st.booleans(),
    point=st.none() | POINT,
)
def test_message_survives_the_wire(
    kind: Kind, numbers: list[int], context: bytes, reject: bool, point: SnapshotPoint | None
) -> None:
    to, sender, term, log_term, index, commit, hint = numbers
    message = Message(kind, to, sender, term, log_term, index, commit, (), reject, hint, context, point)
    assert decode_message(encode_message(message)) == message


def append(*data: bytes) -> Message:
    entries = [Entry(3, index, one, EntryKind.NORMAL) for index, one in enumerate(data, 8)]
    return Message(Kind.APPEND, 2, 1, 3, 3, 7, 5, entries)


@given(st.lists(st.binary(max_size=100), max_size=5))
def test_entries_survive_the_wire(data: list[bytes]) -> None:
    decoded = decode_message(encode_message(append(*data)))
    assert [(e.term, e.index, e.data) for e in decoded.entries] == [
        (3, index, one) for index, one in enumerate(data, 8)
    ]


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_damaged_entry_is_never_taken(place: int, flip: int) -> None:
    body = bytearray(encode_message(append(b"x" * 50, b"y" * 50)))
    start = len(body) - 2 * (50 + 26)
    body[start + place % (len(body) - start)] ^= flip
    with pytest.raises(ProtocolError):
        decode_message(bytes(body))


def test_entries_out_of_order_are_refused() -> None:
    message = append(b"a", b"b")
    message.index = 3
    with pytest.raises(ProtocolError, match="has the place of entry 4"):
        decode_message(encode_message(message))


@given(st.binary(max_size=300))
def test_garbage_is_a_protocol_error(data: bytes) -> None:
    for read in (
        decode_message,
        lambda body: produce_fetch.read_produce(body, 0),
        lambda body: produce_fetch.read_fetch(11, body, 0),
    ):
        try:
            read(data)
        except ProtocolError:
            continue


def test_frames_come_whole_however_they_are_cut() -> None:
    stream = (
        frame(FrameKind.HELLO, b"{}") + frame(FrameKind.MESSAGE, b"x" * 1000) + frame(FrameKind.PULL, b"")
    )
    rng = random.Random(1)
    for _ in range(20):
        reader, found, at = FrameReader(), [], 0
        while at < len(stream):
            step = rng.randrange(1, 200)
            found += reader.feed(stream[at : at + step])
            at += step
        assert [kind for kind, _ in found] == [FrameKind.HELLO, FrameKind.MESSAGE, FrameKind.PULL]


@pytest.mark.parametrize("head", [b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\1\x63"])
def test_frame_of_absurd_length_or_kind_is_refused_at_once(head: bytes) -> None:
    with pytest.raises(ProtocolError):
        FrameReader().feed(head)


def test_produce_request_is_read_and_its_count_is_bounded() -> None:
    body = (
        struct.pack(">hhi", -1, -1, 1500)
        + struct.pack(">i", 1)
        + b"\0\1t"
        + struct.pack(">iii", 1, 4, 3)
        + b"abc"
    )
    produce = produce_fetch.read_produce(body, 0)
    assert produce == produce_fetch.Produce(False, -1, 1500, [produce_fetch.PartitionData(b"t", 4, b"abc")])
    with pytest.raises(ProtocolError, match="array"):
        produce_fetch.read_produce(struct.pack(">hhi", -1, -1, 1) + struct.pack(">i", 1 << 30), 0)


CONFIG = """
cluster = "c"
node_id = 1
data_dir = "data"
[[peers]]
id = 1
kafka = "127.0.0.1:9092"
peer = "127.0.0.1:9093"
admin = "127.0.0.1:9094"
"""


def test_config_is_read_and_paths_are_relative_to_it(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text(CONFIG)
    config = load(path, {})
    assert config.data_dir == tmp_path / "data"
    assert (config.tick("tick_ms"), config.own.kafka) == (40, "127.0.0.1:9092")


def test_environment_overrides_snapshot_keys(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text(CONFIG)
    config = load(
        path,
        {
            "RAFTLOG_SNAPSHOT_LOG_THRESHOLD": "77",
            "RAFTLOG_SNAPSHOT_COMPRESSION": "gzip",
            "OBJECT_STORE_BACKEND": "s3",
            "S3_BUCKET": "b",
            "RAFTLOG_S3_PREFIX": "p",
        },
    )
    assert (config.snapshot.log_threshold, config.snapshot.compression) == (77, "gzip")
    assert (config.object_store.s3_bucket, config.object_store.s3_prefix) == ("b", "p")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("node_id = 2", "not one of them"),
        ("colour = 1", "colour"),
        ('profile = "fast"', "profile"),
        ("replication_factor = 3", "but there are 1 peers"),
        ("min_insync = 2", "min_insync is 2"),
        ("[snapshot]\nretention_count = 0", "retention_count"),
        ("[timing]\ntick_ms = -1", "tick_ms"),
        ('[object_store]\nbackend = "s3"', "s3_bucket"),
        ("cluster = ", "line"),
    ],
)
def test_wrong_config_names_file_and_key(tmp_path: Path, change: str, message: str) -> None:
    path = tmp_path / "node.toml"
    head, peers = CONFIG.split("[[peers]]")
    key = change.split(" =")[0]
    kept = "\n".join(line for line in head.splitlines() if not line.startswith(f"{key} ="))
    top, tables = (change, "") if not change.startswith("[") else ("", change)
    path.write_text(f"{kept}\n{top}\n[[peers]]{peers}\n{tables}\n")
    with pytest.raises(ConfigError, match=message) as caught:
        load(path, {})
    assert str(path) in str(caught.value)


def test_address_without_a_port_is_refused() -> None:
    raw = {
        "cluster": "c",
        "node_id": 1,
        "data_dir": "d",
        "peers": [{"id": 1, "kafka": "x", "peer": "x", "admin": "x"}],
    }
    with pytest.raises(ConfigError, match="host:port"):
        parse(raw, "f")
    assert "kafka" in NodeConfig.model_json_schema()["$defs"]["Peer"]["properties"]


def test_a_published_listener_without_the_address_to_tell_is_refused() -> None:
    peer = {"id": 1, "kafka": "a:1", "peer": "a:2", "admin": "a:3"}
    raw = {"cluster": "c", "node_id": 1, "data_dir": "d", "peers": [peer]}
    with pytest.raises(ConfigError, match="published_listen requires `published`"):
        parse({**raw, "kafka": {"published_listen": "a:4"}}, "f")
    with pytest.raises(ConfigError, match="'x' is not host:port"):
        parse({**raw, "peers": [{**peer, "published": "x"}]}, "f")
    parse({**raw, "peers": [{**peer, "published": "b:1"}], "kafka": {"published_listen": "a:4"}}, "f")


def test_metrics_page_carries_node_id_and_whole_histograms() -> None:
    page = MetricsPage(node_id=3)
    page.counter("raft_x_total", "X.", 5)
    histogram = Histogram()
    for seconds in (0.0001, 0.002, 99):
        histogram.observe(seconds)
    page.histogram("raft_y_seconds", "Y.", histogram)
    text = str(page)
    assert 'raft_x_total{node_id="3"} 5\n' in text
    assert 'raft_y_seconds_bucket{node_id="3",le="+Inf"} 3\n' in text
    assert 'raft_y_seconds_bucket{node_id="3",le="0.0025"} 2\n' in text
