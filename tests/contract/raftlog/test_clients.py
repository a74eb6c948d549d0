"""The Kafka clients that people use produce and consume here, across the death of a leader."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import aiokafka
import confluent_kafka
import kafka
import pytest
from skips import needs

from outlast.pace import scaled
from raftlog.testing.local_cluster import LocalCluster

COUNT = 200


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    with LocalCluster(tmp_path_factory.mktemp("clients")).start() as one:
        one.leader()
        yield one


@pytest.fixture(autouse=True)
def all_nodes_up(cluster: LocalCluster) -> None:
    cluster.start()
    cluster.leader()


def payload(number: int) -> bytes:
    return b"payload %d" % number


EXPECTED = [payload(number) for number in range(COUNT)]


@pytest.mark.parametrize("idempotent", [False, True])
def test_aiokafka(cluster: LocalCluster, idempotent: bool) -> None:
    topic = f"aiokafka-{idempotent}"

    async def scenario() -> list[bytes]:
        producer = aiokafka.AIOKafkaProducer(
            bootstrap_servers=cluster.bootstrap,
            acks="all",
            enable_idempotence=idempotent,
            request_timeout_ms=10_000,
            metadata_max_age_ms=500,
            retry_backoff_ms=50,
        )
        await producer.start()
        try:
            for number in range(COUNT):
                if number == COUNT // 2:
                    await asyncio.to_thread(cluster.leader().kill)
                await producer.send_and_wait(topic, payload(number), partition=0)
        finally:
            await producer.stop()
        consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=cluster.bootstrap, enable_auto_commit=False)
        await consumer.start()
        try:
            partition = aiokafka.TopicPartition(topic, 0)
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
            end = (await consumer.end_offsets([partition]))[partition]
            found: list[bytes] = []
            async with asyncio.timeout(30):
                while len(found) < end:
                    for messages in (await consumer.getmany(timeout_ms=500)).values():
                        found += [message.value for message in messages]
        finally:
            await consumer.stop()
        return found

    found = asyncio.run(scenario())
    assert list(dict.fromkeys(found)) == EXPECTED
    if idempotent:
        assert found == EXPECTED


@pytest.mark.parametrize("idempotent", [False, True])
def test_confluent_kafka(cluster: LocalCluster, idempotent: bool) -> None:
    topic = f"confluent-{idempotent}"
    errors: list[object] = []
    producer = confluent_kafka.Producer(
        {
            "bootstrap.servers": cluster.bootstrap,
            "enable.idempotence": idempotent,
            "acks": "all",
            "retry.backoff.ms": 20,
            "request.timeout.ms": 3000,
        }
    )
    for number in range(COUNT):
        if number == COUNT // 2:
            producer.flush(20)
            cluster.leader().kill()
        producer.produce(
            topic, payload(number), partition=0, on_delivery=lambda error, _: errors.append(error)
        )
        producer.poll(0)
    assert producer.flush(30) == 0
    assert errors == [None] * COUNT
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": cluster.bootstrap, "group.id": "g", "enable.auto.commit": False}
    )
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, confluent_kafka.OFFSET_BEGINNING)])
    found: list[bytes | None] = []
    for _ in range(60):
        found += [message.value() for message in consumer.consume(COUNT, 0.5) if message.error() is None]
        if len(set(found)) >= COUNT:
            break
    low, high = consumer.get_watermark_offsets(confluent_kafka.TopicPartition(topic, 0), timeout=scaled(10))
    consumer.close()
    assert list(dict.fromkeys(found)) == EXPECTED
    assert (low, high) == (0, len(found))


def test_kafka_python(cluster: LocalCluster) -> None:
    producer = kafka.KafkaProducer(
        bootstrap_servers=cluster.bootstrap.split(","), acks="all", retries=50, max_block_ms=20_000
    )
    for number in range(COUNT):
        if number == COUNT // 2:
            producer.flush(20)
            cluster.leader().kill()
        producer.send("kafka-python", payload(number), partition=0)
    producer.flush(30)
    producer.close()
    consumer = kafka.KafkaConsumer(
        bootstrap_servers=cluster.bootstrap.split(","),
        group_id=None,
        enable_auto_commit=False,
        consumer_timeout_ms=5000,
    )
    partition = kafka.TopicPartition("kafka-python", 0)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    end = consumer.end_offsets([partition])[partition]
    found: list[bytes] = []
    for message in consumer:
        found.append(message.value)
        if len(found) >= end:
            break
    consumer.close()
    assert list(dict.fromkeys(found)) == EXPECTED


@needs("kcat")
def test_kcat(cluster: LocalCluster, tmp_path: Path) -> None:
    text = b"\n".join(EXPECTED) + b"\n"
    half = len(b"\n".join(EXPECTED[: COUNT // 2])) + 1
    produce = ["kcat", "-b", cluster.bootstrap, "-P", "-t", "kcat", "-p", "0", "-X", "acks=all"]
    subprocess.run(produce, input=text[:half], check=True, timeout=scaled(60))
    cluster.leader().kill()
    subprocess.run(produce, input=text[half:], check=True, timeout=scaled(60))
    consume = ["kcat", "-b", cluster.bootstrap, "-C", "-t", "kcat", "-p", "0", "-o", "beginning", "-e", "-q"]
    found = subprocess.run(consume, capture_output=True, check=True, timeout=scaled(60)).stdout
    assert list(dict.fromkeys(found.splitlines())) == EXPECTED
