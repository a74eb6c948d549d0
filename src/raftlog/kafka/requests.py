"""The other requests, read and written by kio from Kafka's own schemas, one function each.

Only versions without tagged fields are advertised, save ApiVersions, whose version 3 every modern client
begins with. Which versions satisfy which client: docs/raftlog.md.
"""

from __future__ import annotations

import io
import secrets
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any, Final, NamedTuple

from kio.schema.errors import ErrorCode
from kio.serial import entity_reader, entity_writer

from raftlog.config import split_address
from raftlog.errors import ProtocolError
from raftlog.kafka.broker import KafkaBroker
from raftlog.kafka.errors import code
from raftlog.store import commands
from raftlog.store.commands import Outcome
from raftlog.store.partition import Partition
from raftlog.store.record_batch import parse
from raftlog.store.state_machine import valid_topic

LATEST: Final = -1
EARLIEST: Final = -2
_NO_THROTTLE: Final = timedelta(0)


class Api(NamedTuple):
    """One kind of request. versions: the lowest and highest advertised."""

    name: str
    versions: tuple[int, int]
    handle: Callable[[KafkaBroker, Any, ModuleType], Awaitable[Any]] | None


@lru_cache(maxsize=256)
def _schema(name: str, version: int) -> tuple[Callable[..., Any], Callable[..., None], ModuleType]:
    """Return how to read the request and write the response of one version, and the response's types."""
    request = import_module(f"kio.schema.{name}.v{version}.request")
    response = import_module(f"kio.schema.{name}.v{version}.response")
    title = "".join(word.capitalize() for word in name.split("_"))
    return (
        entity_reader(getattr(request, f"{title}Request")),
        entity_writer(getattr(response, f"{title}Response")),
        response,
    )


def make(kind: type, **fields: Any) -> Any:
    """Build a response's part from those fields that its version has."""
    has = kind.__dataclass_fields__  # type: ignore[attr-defined]
    return kind(**{name: value for name, value in fields.items() if name in has})


async def answer(broker: KafkaBroker, api: Api, version: int, data: bytes, at: int) -> bytes:
    """Read a request's body, handle it, return the response's body. Raises ProtocolError."""
    read, write, types = _schema(api.name, version)
    try:
        request, _ = read(memoryview(data), at)
    except Exception as error:  # kio raises many kinds for one thing: this is not the request it says it is
        raise ProtocolError(f"cannot parse a {api.name} request of version {version}") from error
    assert api.handle is not None
    response = await api.handle(broker, request, types)
    buffer = io.BytesIO()
    write(buffer, response)
    return buffer.getvalue()


def _error(name: str) -> ErrorCode:
    return ErrorCode(code(name))


# --- metadata -----------------------------------------------------------------------------------------------


async def metadata(broker: KafkaBroker, request: Any, types: ModuleType) -> Any:
    """Say which brokers there are, who leads, and which topics exist; make a topic that is asked for, where allowed."""
    wanted = request.topics
    names = (
        sorted(broker.machine.topics)
        if wanted is None
        else [topic.name.encode() for topic in wanted if topic.name is not None]
    )
    may_create = broker.auto_create_topics and getattr(request, "allow_auto_topic_creation", True)
    topics = []
    for name in names:
        if name not in broker.machine.topics and may_create and valid_topic(name):
            broker.forward(commands.create_topic(name, broker.default_partitions))
        topics.append(_describe_topic(broker, name, may_create, types))
    return make(
        types.MetadataResponse,
        throttle_time=_NO_THROTTLE,
        brokers=tuple(
            make(types.MetadataResponseBroker, node_id=node, host=host, port=port, rack=None)
            for node, (host, port) in (
                (node, split_address(address)) for node, address in broker.brokers().items()
            )
        ),
        cluster_id=broker.cluster,
        controller_id=broker.leader or -1,
        topics=tuple(topics),
    )


def _describe_topic(broker: KafkaBroker, name: bytes, may_create: bool, types: ModuleType) -> Any:
    topic = broker.machine.topics.get(name)
    if topic is None:
        reason = "UNKNOWN_TOPIC_OR_PARTITION"
        if not valid_topic(name):
            reason = "INVALID_TOPIC_EXCEPTION"
        elif may_create:
            reason = "LEADER_NOT_AVAILABLE"  # it is being made; clients ask again
        return make(
            types.MetadataResponseTopic,
            error_code=_error(reason),
            name=name.decode(errors="replace"),
            is_internal=False,
            partitions=(),
        )
    leader = broker.leader
    replicas = tuple(broker.brokers())
    return make(
        types.MetadataResponseTopic,
        error_code=_error(""),
        name=name.decode(),
        is_internal=False,
        partitions=tuple(
            make(
                types.MetadataResponsePartition,
                error_code=_error("" if leader else "LEADER_NOT_AVAILABLE"),
                partition_index=number,
                leader_id=leader or -1,
                replica_nodes=replicas,
                isr_nodes=tuple(broker.in_sync()),
                offline_replicas=(),
            )
            for number in range(len(topic.partitions))
        ),
    )


# --- offsets ------------------------------------------------------------------------------------------------


async def list_offsets(broker: KafkaBroker, request: Any, types: ModuleType) -> Any:
    """Say where partitions begin and end, or where a time begins; linearizable (thesis §6.4)."""
    fresh = await broker.read(5.0) if broker.leads else Outcome("NOT_LEADER_OR_FOLLOWER")
    topics = []
    for topic in request.topics:
        answers = []
        for asked in topic.partitions:
            partition = broker.machine.partition(topic.name.encode(), asked.partition_index)
            error, offset, timestamp = fresh.error, -1, -1
            if not error and partition is None:
                error = "UNKNOWN_TOPIC_OR_PARTITION"
            elif not error and partition is not None:
                offset, timestamp = _offset_at(partition, _milliseconds(asked.timestamp))
            answers.append(
                make(
                    types.ListOffsetsPartitionResponse,
                    partition_index=asked.partition_index,
                    error_code=_error(error),
                    timestamp=timestamp,
                    offset=offset,
                    leader_epoch=-1,
                )
            )
        topics.append(make(types.ListOffsetsTopicResponse, name=topic.name, partitions=tuple(answers)))
    return make(types.ListOffsetsResponse, throttle_time=_NO_THROTTLE, topics=tuple(topics))


def _milliseconds(value: Any) -> int:
    return int(value) if isinstance(value, int) else int(value.timestamp() * 1000)


def _offset_at(partition: Partition, asked: int) -> tuple[int, int]:
    if asked == LATEST:
        return partition.end, -1
    if asked == EARLIEST:
        return partition.start, -1
    offset = partition.start
    while data := partition.read(offset, 1 << 20):
        at = 0
        while at < len(data):
            head = parse(data, at)
            if head.max_timestamp >= asked:
                return head.base_offset, head.max_timestamp
            offset = head.base_offset + head.last_delta + 1
            at += head.size
    return -1, -1


# --- topics and producers -----------------------------------------------------------------------------------


async def create_topics(broker: KafkaBroker, request: Any, types: ModuleType) -> Any:
    """Make topics; only the leader does (it is the controller that metadata names)."""
    results = []
    for topic in request.topics:
        reason = "NOT_CONTROLLER"
        if broker.leads:
            wanted = topic.num_partitions if topic.num_partitions > 0 else broker.default_partitions
            name = topic.name.encode()
            reason = "INVALID_TOPIC_EXCEPTION" if not valid_topic(name) else ""
            if not reason and not getattr(request, "validate_only", False):
                outcome = await broker.propose(commands.create_topic(name, wanted), 10.0)
                reason = outcome.error
        results.append(
            make(
                types.CreatableTopicResult,
                name=topic.name,
                error_code=_error(reason),
                error_message=reason or None,
            )
        )
    return make(types.CreateTopicsResponse, throttle_time=_NO_THROTTLE, topics=tuple(results))


async def init_producer_id(_broker: KafkaBroker, request: Any, types: ModuleType) -> Any:
    """Give an idempotent producer an id that nobody else has: 62 random bits need no agreement. No
    transactions."""
    refused = request.transactional_id is not None
    return make(
        types.InitProducerIdResponse,
        throttle_time=_NO_THROTTLE,
        error_code=_error("TRANSACTIONAL_ID_AUTHORIZATION_FAILED" if refused else ""),
        producer_id=-1 if refused else secrets.randbits(62),
        producer_epoch=-1 if refused else 0,
    )


async def api_versions(_broker: KafkaBroker, _request: Any, types: ModuleType) -> Any:
    """Say which requests are understood, in which versions."""
    return make(
        types.ApiVersionsResponse,
        error_code=_error(""),
        api_keys=tuple(
            make(types.ApiVersion, api_key=key, min_version=api.versions[0], max_version=api.versions[1])
            for key, api in sorted(APIS.items())
        ),
        throttle_time=_NO_THROTTLE,
    )


APIS: Final[dict[int, Api]] = {
    0: Api("produce", (0, 8), None),
    1: Api("fetch", (4, 11), None),
    2: Api("list_offsets", (1, 5), list_offsets),
    3: Api("metadata", (1, 5), metadata),
    18: Api("api_versions", (0, 3), api_versions),
    19: Api("create_topics", (0, 4), create_topics),
    22: Api("init_producer_id", (0, 1), init_producer_id),
}
"""Every request that is understood, by its key. Produce 0 to 2 is advertised because librdkafka takes a
broker without them for an old one; it is answered with an error."""
