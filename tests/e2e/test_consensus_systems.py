"""raftlog and etcd as systems, from outside: up, status, switchover, Kafka clients of the machine, down."""

from __future__ import annotations

import subprocess
from shutil import which

import pytest
from program import outlast

from outlast.pace import scaled

MESSAGES = [b"message %d" % number for number in range(50)]


def through_a_client_of_the_machine(bootstrap: str) -> tuple[set[int], list[bytes]]:
    """Produce and consume with librdkafka by one published port; return the ports of all brokers it was told."""
    from confluent_kafka import Consumer, Producer, TopicPartition

    failed: list[object] = []
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    ports = {broker.port for broker in producer.list_topics("machine", timeout=scaled(20)).brokers.values()}
    for message in MESSAGES:
        producer.produce(
            "machine", message, partition=0, on_delivery=lambda e, _: failed.append(e) if e else None
        )
    assert producer.flush(30) == 0
    assert not failed
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "none", "enable.auto.commit": False})
    consumer.assign([TopicPartition("machine", 0, 0)])
    found: list[bytes] = []
    while len(found) < len(MESSAGES):
        batch = consumer.consume(len(MESSAGES), timeout=scaled(20))
        assert batch, found
        found += [value for one in batch if one.error() is None and (value := one.value()) is not None]
    consumer.close()
    return ports, found


def the_machine_reaches_every_member(ports: set[int]) -> None:
    """Whichever published port a client is given, it is told all of them, finds the leader and gets its messages."""
    told, found = through_a_client_of_the_machine(f"127.0.0.1:{min(ports)}")
    assert told == ports
    assert found == MESSAGES
    if which("kcat"):
        words = [
            "kcat",
            "-b",
            f"127.0.0.1:{max(ports)}",
            "-C",
            "-t",
            "machine",
            "-p",
            "0",
            "-o",
            "beginning",
            "-e",
            "-q",
        ]
        heard = subprocess.run(words, capture_output=True, check=True, timeout=scaled(60)).stdout
        assert heard.splitlines()[: len(MESSAGES)] == MESSAGES


either = pytest.mark.parametrize("system", ["raftlog", "etcd"])


@either
def test_members_come_up_hand_over_and_go_without_a_trace(system: str) -> None:
    up = outlast("up", system, "--json")
    assert up.code == 0, up.err
    assert [node["role"] for node in up.json["nodes"]].count("primary") == 1
    try:
        shown = outlast("status", "--json").json
        assert shown["ready"]
        assert {node["timeline"] for node in shown["nodes"]} == {shown["nodes"][0]["timeline"]}
        if system == "raftlog":
            the_machine_reaches_every_member({node["published_port"] for node in shown["nodes"]})
        moved = outlast("switchover", "--json")
        assert moved.code == 0, moved.err
        assert moved.json["primary"] != shown["primary"]
        refused = outlast("psql", "-c", "select 1")
        assert refused.code == 64
        assert "no PostgreSQL" in refused.err
    finally:
        down = outlast("down", "--json")
    assert down.json["residue"] == []
