"""What Kafka's requests mean here: a Produce is a proposal, a Fetch reads what is applied, an offset is its place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from raftlog.core.types import NOBODY
from raftlog.errors import ProtocolError
from raftlog.kafka import produce_fetch
from raftlog.kafka.errors import code
from raftlog.node.node import Node
from raftlog.node.ready_loop import NOT_LEADER, UNKNOWN, Answer
from raftlog.store import commands, record_batch
from raftlog.store.commands import Outcome

Results = list[tuple[produce_fetch.PartitionData, int, int]]
Produced = Callable[[Results, dict[int, str]], None]
Answered = Callable[[list[produce_fetch.Fetched]], None]

_RESPONSE_BYTES_MAX = 50 << 20


@dataclass(slots=True, eq=False)
class _Waiter:
    """A fetch that waits for more. owner: its connection."""

    owner: object
    fetch: produce_fetch.Fetch
    answer: Answered
    timer: asyncio.TimerHandle = field(init=False)


@dataclass(slots=True)
class Traffic:
    """What clients have sent and fetched, by whichever listener they came."""

    produced: int = 0
    produced_bytes: int = 0
    fetched_bytes: int = 0
    fetches: int = 0


class KafkaBroker:
    """A node as Kafka clients see it that connect to one of its two listeners: see ``published``."""

    def __init__(self, node: Node, *, listener: Literal["kafka", "published"] = "kafka") -> None:
        self.node = node
        self.machine = node.machine
        self.settings = node.config.kafka
        self.cluster = node.config.cluster
        self.listen = node.config.own.kafka if listener == "kafka" else self.settings.published_listen
        self.auto_create_topics = self.settings.auto_create_topics
        self.default_partitions = self.settings.default_partitions
        self.traffic = Traffic()
        self._listener = listener
        self._ready_loop = node.ready_loop
        self._core = node.ready_loop.core
        self._waiters: set[_Waiter] = set()
        self._ready_loop.on_applied.append(self._wake)

    def published(self) -> KafkaBroker:
        """Return the same node as its second listener shows it: every member at its published address."""
        other = KafkaBroker(self.node, listener="published")
        other.traffic = self.traffic
        return other

    # --- who leads ----------------------------------------------------------------------------------------

    @property
    def leader(self) -> int:
        """The leader's id, 0 when none is known."""
        return self._core.leader

    @property
    def leads(self) -> bool:
        """Whether this node leads."""
        return self._core.leads

    def brokers(self) -> dict[int, str]:
        """Return each member's Kafka address for clients of this listener; its own where it has no other."""
        return {
            node: address.get(self._listener) or address["kafka"]
            for node, address in self.node.addresses().items()
        }

    def in_sync(self) -> list[int]:
        """Return the members that are heard from; a follower knows only of itself and the leader."""
        if self.leads:
            members = self._core.progress().items()
            return sorted(node for node, member in members if member.active or node == self._core.id)
        return sorted({self._core.id, self.leader} - {NOBODY})

    # --- produce ------------------------------------------------------------------------------------------

    def produce(self, produce: produce_fetch.Produce, done: Produced) -> Callable[[], None]:
        """Propose each batch; call done once all are answered. Return what answers for those that are late."""
        asked = produce.data
        results: list[Outcome | None] = [None] * len(asked)
        reasons: dict[int, str] = {}
        left = len(asked)
        finished = False

        def finish() -> None:
            nonlocal finished
            if not finished:
                finished = True
                pairs = zip(asked, (outcome or UNKNOWN for outcome in results), strict=True)
                done([(a, code(o.error), -1 if o.error else o.value) for a, o in pairs], reasons)

        def answered(position: int, outcome: Outcome) -> None:
            nonlocal left
            results[position] = outcome
            left -= 1
            if not left:
                finish()

        if not asked:
            finish()
        refused = self._refusal(produce.acks)
        if produce.transactional:
            refused = Outcome("TRANSACTIONAL_ID_AUTHORIZATION_FAILED")
        for position, data in enumerate(asked):
            outcome = refused or self._check(data, position, reasons)
            if outcome is not None:
                answered(position, outcome)
                continue
            command = commands.append(data.topic, data.partition, data.records)
            self._ready_loop.propose(command, lambda outcome, position=position: answered(position, outcome))  # type: ignore[misc]
        return finish

    def produce_one(self, acks: int, asked: produce_fetch.PartitionData, answer: Answer) -> None:
        """Propose one batch."""
        outcome = self._refusal(acks) or self._check(asked, 0, {})
        if outcome is not None:
            answer(outcome)
        else:
            self._ready_loop.propose(commands.append(*asked), answer)

    def _refusal(self, acks: int) -> Outcome | None:
        if not self.leads:
            return NOT_LEADER
        if acks not in (-1, 0, 1):
            return Outcome("INVALID_REQUIRED_ACKS")
        wanted = self.node.config.min_insync
        if acks == -1 and wanted and len(self.in_sync()) < wanted:
            return Outcome("NOT_ENOUGH_REPLICAS")
        return None

    def _check(
        self, data: produce_fetch.PartitionData, position: int, reasons: dict[int, str]
    ) -> Outcome | None:
        """Return why a batch is not taken, None when it is: once proposed, it is applied everywhere as it is."""
        if self.machine.partition(data.topic, data.partition) is None:
            return Outcome("UNKNOWN_TOPIC_OR_PARTITION")
        if len(data.records) > self.settings.batch_bytes_max:
            return Outcome("MESSAGE_TOO_LARGE")
        try:
            head = record_batch.check(data.records)
        except ProtocolError as error:
            reasons[position] = str(error)
            return Outcome("CORRUPT_MESSAGE")
        self.traffic.produced += head.records
        self.traffic.produced_bytes += len(data.records)
        return None

    # --- fetch --------------------------------------------------------------------------------------------

    def fetch(self, owner: object, fetch: produce_fetch.Fetch, answer: Answered) -> None:
        """Answer with what there is, or wait for bytes_min of it, wait_ms at most."""
        self.traffic.fetches += 1
        ready, waits = self._available(fetch)
        if ready or not waits or fetch.wait_ms <= 0:
            self._answer(fetch, answer)
            return
        loop = asyncio.get_running_loop()
        waiter = _Waiter(owner, fetch, answer)
        waiter.timer = loop.call_later(min(fetch.wait_ms, 60_000) / 1000, self._late, waiter)
        self._waiters.add(waiter)

    def _available(self, fetch: produce_fetch.Fetch) -> tuple[bool, bool]:
        """Return whether a fetch can be answered with messages now, and whether waiting would make sense."""
        if not self._may_serve:
            return False, False
        for wanted in fetch.wanted:
            partition = self.machine.partition(wanted.topic, wanted.partition)
            if partition is None or not partition.start <= wanted.offset <= partition.end:
                return False, False
            if wanted.offset < partition.end:
                return True, True
        return fetch.bytes_min <= 0, bool(fetch.wanted)

    @property
    def _may_serve(self) -> bool:
        return self.leads or (self.settings.follower_fetch and self.leader != 0)

    def _answer(self, fetch: produce_fetch.Fetch, answer: Answered) -> None:
        left = min(fetch.bytes_max, _RESPONSE_BYTES_MAX)
        fetched_partitions: list[produce_fetch.Fetched] = []
        for wanted in fetch.wanted:
            fetched = self._read(wanted, left)
            left -= len(fetched.records)
            fetched_partitions.append(fetched)
            self.traffic.fetched_bytes += len(fetched.records)
        answer(fetched_partitions)

    def _read(self, wanted: produce_fetch.PartitionFetch, left: int) -> produce_fetch.Fetched:
        partition = self.machine.partition(wanted.topic, wanted.partition)
        if not self._may_serve:
            return produce_fetch.Fetched(wanted, code("NOT_LEADER_OR_FOLLOWER"), -1, -1, b"")
        if partition is None:
            return produce_fetch.Fetched(wanted, code("UNKNOWN_TOPIC_OR_PARTITION"), -1, -1, b"")
        start, end = partition.start, partition.end
        if not start <= wanted.offset <= end:
            return produce_fetch.Fetched(wanted, code("OFFSET_OUT_OF_RANGE"), start, end, b"")
        data = partition.read(wanted.offset, min(wanted.bytes_max, left)) if left > 0 else b""
        return produce_fetch.Fetched(wanted, 0, start, end, data)

    def _wake(self) -> None:
        """Entries were applied: answer the fetches that have something now."""
        served = [waiter for waiter in self._waiters if self._available(waiter.fetch)[0]]
        for waiter in served:
            waiter.timer.cancel()
            self._waiters.discard(waiter)
            self._answer(waiter.fetch, waiter.answer)

    def _late(self, waiter: _Waiter) -> None:
        if waiter in self._waiters:
            self._waiters.discard(waiter)
            self._answer(waiter.fetch, waiter.answer)

    def forget(self, owner: object) -> None:
        """Drop the fetches of a connection that is gone."""
        orphans = [waiter for waiter in self._waiters if waiter.owner is owner]
        for waiter in orphans:
            waiter.timer.cancel()
            self._waiters.discard(waiter)

    # --- the rest -----------------------------------------------------------------------------------------

    def forward(self, command: bytes) -> None:
        """Propose a command here or at the leader, and do not wait."""
        self.node.forward(command)

    async def propose(self, command: bytes, timeout_s: float) -> Outcome:
        """Propose a command and wait until it is applied."""
        return await self.node.ask(lambda answer: self._ready_loop.propose(command, answer), timeout_s)

    async def read(self, timeout_s: float) -> Outcome:
        """Wait until this node's state is up to date (thesis §6.4)."""
        return await self.node.ask(self._ready_loop.read, timeout_s)
