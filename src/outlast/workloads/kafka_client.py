"""A Kafka producer that tries each message once, with acks=all, and a consumer of all that a topic holds.

It finds the leader as any client does, by asking the bootstrap addresses: all of them at once, since some may be
behind a partition that swallows packets.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Sequence
from typing import Final

import numpy as np

from outlast.history.op import I64, Outcome
from outlast.workloads import kafka_wire as wire
from outlast.workloads.base import Invocation
from outlast.workloads.config import WorkerConfig
from outlast.workloads.log import contents_of
from outlast.workloads.protocol_client import Contents, Reply, addresses_of

ASK_TIMEOUT_S: Final = 1.0
FETCH_BYTES: Final = 4 << 20
RESPONSE_BYTES_MAX: Final = 256 << 20
READ_PATIENCE: Final = 40
REPLICAS_MAX: Final = 3

_NOT_DONE: Final = frozenset({3, 10, 17, 19, 29, 87, 89})
"""Errors that a broker gives before it appends. NOT_LEADER_OR_FOLLOWER is none of them: Kafka gives it as well for a
message that it had appended when it lost its leadership (kafka.server.DelayedProduce)."""

Address = tuple[str, int]


class Broker:
    """A connection to one broker. name: ``host:port``."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: Address) -> None:
        self._reader = reader
        self._writer = writer
        self._sent = 0
        self.address = address
        self.name = f"{address[0]}:{address[1]}"

    @classmethod
    async def open(cls, address: Address) -> Broker:
        """Connect. Raises OSError."""
        return cls(*await asyncio.open_connection(*address), address)

    async def ask(self, kind: tuple[int, int], body: bytes) -> bytes:
        """Send a request and return its answer's body. Raises OSError."""
        self._sent += 1
        self._writer.write(wire.request(kind, self._sent, body))
        await self._writer.drain()
        try:
            (length,) = struct.unpack(">i", await self._reader.readexactly(4))
            if not 4 <= length <= RESPONSE_BYTES_MAX:
                raise ConnectionError(f"{self.name} does not speak the Kafka protocol")
            data = await self._reader.readexactly(length)
        except asyncio.IncompleteReadError as error:
            raise ConnectionError(f"{self.name} closed the connection") from error
        if int.from_bytes(data[:4], "big") != self._sent:
            raise ConnectionError(f"{self.name} answers another request")
        return data[4:]

    def close(self) -> None:
        """Drop the connection."""
        self._writer.close()


class KafkaLog:
    """Appends messages to one partition of a topic."""

    def __init__(self, config: WorkerConfig, number: int) -> None:
        self._config = config
        self._addresses = addresses_of(config.dsn)
        self._partitions = max(1, config.params.get("partitions", 1))
        self._partition = (config.first_process + number) % self._partitions
        self._padding = config.params.get("bytes", 0)
        self._broker: Broker | None = None

    async def connect(self) -> None:
        """Connect to the partition's leader, or to the one address of a pinned client."""
        if self._config.pinned:
            self._broker = await Broker.open(self._addresses[0])
            return
        topic = self._config.target
        leader = await find_leader(self._addresses, topic, self._partition, self._partitions)
        self._broker = await Broker.open(leader)

    async def call(self, call: Invocation) -> Reply:
        """Produce one message, once."""
        broker = self._broker
        if broker is None:
            raise ConnectionError("not connected")
        value = str(call.value).encode().ljust(self._padding)
        timeout_ms = int(self._config.query_timeout_s * 1000)
        batch = wire.record_batch(value, time.time_ns() // 1_000_000)
        partition = self._partition if call.key is None else call.key
        body = wire.produce_body(self._config.target, partition, batch, timeout_ms)
        try:
            error, offset = wire.read_produced(await broker.ask(wire.PRODUCE, body))
        except ValueError as problem:
            raise ConnectionError(f"{broker.name}: {problem}") from problem
        node = self._config.nodes.get(broker.address[0], broker.name)
        if error == 0:
            return Reply(Outcome.OK, None, node, offset)
        outcome = Outcome.FAIL if error in _NOT_DONE else Outcome.INFO
        return Reply(outcome, None, node, 0, wire.error_name(error), keep=error == 89)

    def close(self) -> None:
        """Drop the connection."""
        if self._broker is not None:
            self._broker.close()
        self._broker = None


async def find_leader(
    addresses: Sequence[Address], topic: str, partition: int, partitions: int = 1
) -> Address:
    """Return the address of a partition's leader, from the first broker that names one; the topic is made if need be.

    Raises ConnectionError with what each address said.
    """
    tasks = [asyncio.create_task(_ask_leader(one, topic, partition, partitions)) for one in addresses]
    troubles = []
    try:
        for next_one in asyncio.as_completed(tasks):
            try:
                return await next_one
            except (OSError, TimeoutError, ValueError) as error:
                troubles.append(str(error) or "no answer")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    raise ConnectionError(f"no broker names a leader: {'; '.join(dict.fromkeys(troubles))}")


async def _ask_leader(address: Address, topic: str, partition: int, partitions: int) -> Address:
    async with asyncio.timeout(ASK_TIMEOUT_S):
        broker = await Broker.open(address)
        try:
            found = wire.read_metadata(await broker.ask(wire.METADATA, wire.metadata_body(topic)))
            if found.error == wire.UNKNOWN_TOPIC or partition not in found.leaders:
                await _create(found, topic, partitions)
                found = wire.read_metadata(await broker.ask(wire.METADATA, wire.metadata_body(topic)))
        finally:
            broker.close()
    leader = found.leaders.get(partition, -1)
    if found.error or leader not in found.brokers:
        words = wire.error_name(found.error) if found.error else "no leader now"
        raise ConnectionError(f"{broker.name}: {topic}/{partition}: {words}")
    return found.brokers[leader]


async def _create(found: wire.Metadata, topic: str, partitions: int) -> None:
    """Have the controller make a topic; raises ConnectionError when it says no."""
    if found.controller not in found.brokers:
        raise ConnectionError("there is no controller now")
    broker = await Broker.open(found.brokers[found.controller])
    try:
        replicas = min(REPLICAS_MAX, len(found.brokers))
        body = wire.create_topic_body(topic, partitions, replicas, int(ASK_TIMEOUT_S * 1000))
        error, words = wire.read_created(await broker.ask(wire.CREATE_TOPICS, body))
    finally:
        broker.close()
    if error not in (0, wire.TOPIC_EXISTS):
        raise ConnectionError(f"the topic {topic} cannot be made: {wire.error_name(error)} {words}".rstrip())


async def read_kafka_log(config: WorkerConfig) -> Contents:
    """Return everything that the topic holds, read from each partition's leader. Raises OSError."""
    partitions = max(1, config.params.get("partitions", 1))
    return contents_of({number: await _consume(config, number) for number in range(partitions)})


async def _consume(config: WorkerConfig, partition: int) -> tuple[I64, I64]:
    """Return a partition's values and offsets, up to where its leader said that it ends."""
    topic = config.target
    broker = await Broker.open(await find_leader(addresses_of(config.dsn), topic, partition))
    values: list[int] = []
    offsets: list[int] = []
    try:
        bounds = []
        for at in (wire.EARLIEST, wire.LATEST):
            body = wire.list_offsets_body(topic, partition, at)
            error, offset = wire.read_offset(await broker.ask(wire.LIST_OFFSETS, body))
            if error:
                raise ConnectionError(f"{broker.name}: the end of {topic}: {wire.error_name(error)}")
            bounds.append(offset)
        place, end = bounds
        idle = 0
        while place < end:
            body = wire.fetch_body(topic, partition, place, FETCH_BYTES, 250)
            error, _, batches = wire.read_fetched(await broker.ask(wire.FETCH, body))
            if error:
                raise ConnectionError(f"{broker.name}: offset {place} of {topic}: {wire.error_name(error)}")
            for offset, value in wire.records(batches):
                if offset >= place:
                    offsets.append(offset)
                    values.append(_number(value))
            after = max(place, wire.batches_end(batches, place))
            idle = idle + 1 if after == place else 0
            if idle > READ_PATIENCE:
                raise ConnectionError(f"{broker.name}: nothing at offset {place}, and {topic} ends at {end}")
            place = after
    except ValueError as error:
        raise ConnectionError(f"{broker.name}: {topic}/{partition}: {error}") from error
    finally:
        broker.close()
    return np.array(values, dtype=np.int64), np.array(offsets, dtype=np.int64)


def _number(value: bytes) -> int:
    """Return a message's number; one that nobody sent has none, and −1 stands for it."""
    try:
        return int(value)
    except ValueError:
        return -1
