"""The state machine: topics with their partitions, and a few registers. Pure but for its partitions' files.

Every node applies the same entries in the same order, so every offset, id and outcome is the same everywhere;
nothing here may depend on time, chance or this node.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from raftlog.core.config_change import ConfigChange, Op
from raftlog.core.types import Entry
from raftlog.errors import ProtocolError
from raftlog.store import commands
from raftlog.store.commands import CommandCode, Outcome
from raftlog.store.partition import Partition, Piece
from raftlog.store.producers import Producers
from raftlog.store.record_batch import last_delta_and_producer, parse

TOPICS_MAX: Final = 1_000
PARTITIONS_MAX: Final = 256
REGISTERS_MAX: Final = 10_000
VALUE_MAX: Final = 64 << 10


@dataclass(slots=True)
class Topic:
    """A topic. partitions: by their number."""

    name: bytes
    partitions: list[Partition] = field(default_factory=list)
    producers: list[Producers] = field(default_factory=list)


class StateMachine:
    """The replicated state. folder: where the topics' files lie."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.topics: dict[bytes, Topic] = {}
        self.registers: dict[bytes, bytes] = {}
        self.addresses: dict[int, dict[str, Any]] = {}
        """Where nodes that were added later are found, by id; what add-node was given."""
        self._touched: set[Partition] = set()

    # --- applying -----------------------------------------------------------------------------------------

    def apply(self, entry: Entry) -> Outcome:
        """Do what an entry says; return how it ended. A command nobody understands does nothing, on every node."""
        data = entry.data
        if not data:
            return Outcome()
        code = data[0]
        try:
            if code == CommandCode.APPEND:
                return self._append(data, entry.term)
            if code == CommandCode.CREATE_TOPIC:
                return self._create_topic(*commands.read_create_topic(data))
            if code in (CommandCode.KV_SET, CommandCode.KV_CAS):
                return self._write(code, *commands.read_kv(data))
        except (ProtocolError, ValueError, IndexError, struct.error):
            return Outcome("INVALID_REQUEST")
        return Outcome("INVALID_REQUEST")

    def _append(self, data: bytes, term: int) -> Outcome:
        name, number, batch = commands.read_append(data)
        topic = self.topics.get(name)
        if topic is None or not 0 <= number < len(topic.partitions):
            return Outcome("UNKNOWN_TOPIC_OR_PARTITION")
        last_delta, producer = last_delta_and_producer(batch)
        partition = topic.partitions[number]
        if producer < 0:
            offset = partition.append(batch, last_delta, term)
        else:
            head = parse(batch)
            seen = topic.producers[number].check(head)
            if seen is not None:
                return seen
            offset = partition.append(batch, last_delta, term)
            topic.producers[number].note(head, offset)
        self._touched.add(partition)
        return Outcome("", offset)

    def flush(self) -> None:
        """Hand what was applied to the operating system; called on every tick."""
        for partition in self._touched:
            partition.flush()
        self._touched.clear()

    def _create_topic(self, name: bytes, partitions: int) -> Outcome:
        if name in self.topics:
            return Outcome("TOPIC_ALREADY_EXISTS")
        if not valid_topic(name):
            return Outcome("INVALID_TOPIC_EXCEPTION")
        if not 1 <= partitions <= PARTITIONS_MAX or len(self.topics) >= TOPICS_MAX:
            return Outcome("INVALID_PARTITIONS")
        self.topics[name] = self._topic(name, partitions)
        return Outcome("", 1)

    def _topic(self, name: bytes, partitions: int) -> Topic:
        folder = self.folder / name.decode("ascii")
        return Topic(
            name,
            [Partition(folder / str(number)) for number in range(partitions)],
            [Producers() for _ in range(partitions)],
        )

    def _write(self, code: int, key: bytes, expected: bytes | None, value: bytes) -> Outcome:
        if len(value) > VALUE_MAX or (key not in self.registers and len(self.registers) >= REGISTERS_MAX):
            return Outcome("POLICY_VIOLATION")
        if code == CommandCode.KV_CAS and self.registers.get(key) != expected:
            return Outcome("", 0)
        self.registers[key] = value
        return Outcome("", 1)

    def note_addresses(self, change: ConfigChange) -> None:
        """Keep where an added node is found, which its membership change carries as JSON."""
        for member in change.changes:
            if member.op == Op.REMOVE:
                self.addresses.pop(member.node, None)
            elif change.context:
                with contextlib.suppress(ValueError):
                    self.addresses[member.node] = json.loads(change.context)

    # --- reading ------------------------------------------------------------------------------------------

    def partition(self, topic: bytes, number: int) -> Partition | None:
        """Return a partition, None when there is no such one."""
        known = self.topics.get(topic)
        if known is None or not 0 <= number < len(known.partitions):
            return None
        return known.partitions[number]

    def each(self) -> Iterator[tuple[str, int, Partition]]:
        """Yield topic, number and partition of all partitions."""
        for name, topic in sorted(self.topics.items()):
            for number, partition in enumerate(topic.partitions):
                yield name.decode("ascii"), number, partition

    # --- snapshots ----------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return the whole state as JSON values; messages are named, not copied. O(files + registers)."""
        return {
            "topics": {
                name.decode("ascii"): [
                    {"pieces": partition.pieces(), "producers": producers.state()}
                    for partition, producers in zip(topic.partitions, topic.producers, strict=True)
                ]
                for name, topic in self.topics.items()
            },
            "registers": {_text(key): _text(value) for key, value in self.registers.items()},
            "addresses": {str(node): address for node, address in self.addresses.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Become what state says, from the files in the folder. Raises CorruptError or KeyError."""
        for _, _, partition in self.each():
            partition.close()
        self._touched.clear()
        self.topics = {}
        for text, partitions in state["topics"].items():
            name = text.encode("ascii")
            topic = self.topics[name] = self._topic(name, len(partitions))
            for number, stored in enumerate(partitions):
                topic.partitions[number].restore([Piece(*piece) for piece in stored["pieces"]])
                topic.producers[number] = Producers(stored["producers"])
        if self.folder.is_dir():
            for folder in self.folder.iterdir():
                if folder.name.encode() not in self.topics:
                    shutil.rmtree(folder)
        self.registers = {_bytes(key): _bytes(value) for key, value in state["registers"].items()}
        self.addresses = {int(node): address for node, address in state["addresses"].items()}

    def sync(self) -> None:
        """Make all partitions' files durable. May run in another thread."""
        for _, _, partition in list(self.each()):
            partition.sync()

    def close(self) -> None:
        """Close all files."""
        for _, _, partition in self.each():
            partition.flush()
            partition.close()


def valid_topic(name: bytes) -> bool:
    """Whether Kafka, and a file system, would take this name for a topic."""
    allowed = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
    return 0 < len(name) <= commands.NAME_MAX and name not in (b".", b"..") and not name.strip(allowed)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)
