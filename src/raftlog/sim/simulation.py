"""The simulated cluster: nodes, wires, disks, clients and faults, all driven by one queue and one seed.

Time is counted in microseconds and passes only from event to event. Every choice comes from the one
generator, so a seed gives the same run, step for step, on every machine.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from raftlog.core.rawnode import RawNode
from raftlog.core.types import Message, SnapshotPoint
from raftlog.errors import CorruptError
from raftlog.peer_protocol import decode_message, encode_message
from raftlog.sim.invariants import Invariants, Violation
from raftlog.sim.node import SimNode

TICK_US = 10_000
EVENTS_MAX = 50_000_000


@dataclass(frozen=True, slots=True)
class FaultProfile:
    """How bad it gets. Probabilities are per message; delays in microseconds; means of faults in seconds
    apart."""

    loss: float = 0.03
    duplicate: float = 0.02
    delay_us: tuple[int, int] = (100, 3_000)
    straggler: float = 0.03
    straggler_us: int = 80_000
    sync_us: tuple[int, int] = (50, 2_000)
    slow_sync: float = 0.01
    slow_sync_us: int = 120_000
    fault_every_s: float = 0.4
    proposal_every_us: int = 4_000
    compact_after: int = 60
    append_bytes_max: int = 64
    eager_commit: bool = False
    """As the real node has it; HARSH is eager, so that both ways are walked."""
    membership: float = 0.12
    """The share of faults that are a change of membership."""


HARSH = FaultProfile(
    loss=0.2,
    delay_us=(500, 12_000),
    straggler=0.1,
    fault_every_s=0.09,
    proposal_every_us=20_000,
    append_bytes_max=1,
    eager_commit=True,
    membership=0.3,
)
"""Leaders live for a moment, and each entry travels alone: what figure 8 of the paper needs to happen."""


@dataclass(slots=True)
class Simulation:
    """A cluster of `voters` nodes and one spare, and everything that happens to it.

    seed: of every choice. weather: how bad it gets. make: builds a node's core; a test plants its bug there.
    """

    seed: int
    voters: int = 3
    weather: FaultProfile = field(default_factory=FaultProfile)
    make: Callable[..., RawNode] = RawNode
    now_us: int = 0
    rng: random.Random = field(init=False)
    nodes: dict[int, SimNode] = field(init=False)
    truth: Invariants = field(default_factory=Invariants)
    counts: Counter[str] = field(default_factory=Counter)
    acked: dict[bytes, int] = field(default_factory=dict)
    """Payloads a client was told are committed, and their index."""
    _queue: list[tuple[int, int, Callable[[], None]]] = field(default_factory=list)
    _sequence: int = 0
    _cut: set[tuple[int, int]] = field(default_factory=set)
    _calm: bool = False
    _proposals: int = 0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        everyone = range(1, self.voters + 2)
        self.nodes = {number: SimNode(self, number, tuple(range(1, self.voters + 1))) for number in everyone}
        for node in self.nodes.values():
            node.start()
        self.after(TICK_US, self._propose)
        self.after(TICK_US, self._fault)

    # --- time ---------------------------------------------------------------------------------------------

    def after(self, delay_us: int, action: Callable[[], None]) -> None:
        """Let something happen delay_us from now."""
        self._sequence += 1
        heapq.heappush(self._queue, (self.now_us + delay_us, self._sequence, action))

    def run(self, seconds: float) -> None:
        """Let simulated time pass. Raises Violation, naming seed and time."""
        end = self.now_us + int(seconds * 1_000_000)
        try:
            while self._queue and self._queue[0][0] <= end:
                self.now_us, _, action = heapq.heappop(self._queue)
                action()
                self.counts["events"] += 1
        except (AssertionError, KeyError, IndexError, CorruptError) as error:
            raise Violation(f"seed {self.seed}, at {self.now_us / 1e6:.3f} s: {error}") from error
        self.now_us = end

    def settle(self, seconds: float = 20.0) -> None:
        """End all faults and let the cluster come to rest; then nothing acked may be missing anywhere."""
        self._calm = True
        self._cut.clear()
        for node in self.nodes.values():
            if not node.alive:
                node.start()
        self.run(seconds)
        members = self._members()
        applied = {number: self.nodes[number].applied for number in sorted(members)}
        if len(set(applied.values())) != 1 or min(applied.values()) < self.truth.highest:
            raise Violation(f"seed {self.seed}: no agreement after {seconds} s of calm: {applied}")
        for payload, index in self.acked.items():
            if self.truth.chosen[index].data != payload:
                raise Violation(f"seed {self.seed}: acked {payload!r} is not at {index}")

    def _members(self) -> frozenset[int]:
        latest = max(self.nodes.values(), key=lambda node: node.applied)
        return latest.core.membership.nodes

    # --- wires --------------------------------------------------------------------------------------------

    def send(self, message: Message, state: str) -> None:
        """Put a message on the wire; it may be lost, late, doubled or overtaken. state: what a snapshot
        holds."""
        weather, rng = self.weather, self.rng
        if (message.sender, message.to) in self._cut or message.to not in self.nodes:
            return
        copies = 1
        if not self._calm:
            if rng.random() < weather.loss:
                return
            copies += rng.random() < weather.duplicate
        data = encode_message(message)
        for _ in range(copies):
            delay = rng.randint(*weather.delay_us)
            if not self._calm and rng.random() < weather.straggler:
                delay += rng.randrange(weather.straggler_us)
            self.after(delay, lambda: self._arrive(data, state))

    def _arrive(self, data: bytes, state: str) -> None:
        message = decode_message(data)
        node = self.nodes[message.to]
        if node.alive and (message.sender, message.to) not in self._cut:
            node.receive(message, state)

    # --- clients ------------------------------------------------------------------------------------------

    def _propose(self) -> None:
        self.after(self.rng.randrange(1, 2 * self.weather.proposal_every_us), self._propose)
        alive = [node for node in self.nodes.values() if node.alive]
        if not alive or self._calm:
            return
        node = self.rng.choice(alive)
        if self.rng.random() < 0.2:
            node.read(self.truth.highest)
            return
        leaders = [one for one in alive if one.leads]
        self._proposals += 1
        self.rng.choice(leaders or alive).propose(b"m%d" % self._proposals)

    # --- faults -------------------------------------------------------------------------------------------

    def _fault(self) -> None:
        self.after(int(self.rng.expovariate(1 / self.weather.fault_every_s) * 1_000_000) + 1, self._fault)
        if not self._calm:
            name, fault = self.rng.choice(self._FAULTS)
            if self.rng.random() < self.weather.membership:
                name, fault = "change_membership", Simulation._change_membership
            self.counts[name] += 1
            fault(self)

    def _crash(self) -> None:
        node = self.rng.choice(list(self.nodes.values()))
        if node.alive:
            node.crash()
            self.after(self.rng.randrange(10_000, 900_000), node.start_if_down)

    def _crash_all(self) -> None:
        for node in self.nodes.values():
            if node.alive:
                node.crash()
                self.after(self.rng.randrange(10_000, 500_000), node.start_if_down)

    def _partition(self) -> None:
        numbers = list(self.nodes)
        side = {number for number in numbers if self.rng.random() < 0.5}
        self._cut = {(a, b) for a in numbers for b in numbers if (a in side) != (b in side)}
        self.after(self.rng.randrange(50_000, 1_500_000), self._cut.clear)

    def _partition_one_way(self) -> None:
        victim = self.rng.choice(list(self.nodes))
        cut = {(victim, other) for other in self.nodes}
        self._cut = cut if self.rng.random() < 0.5 else {(b, a) for a, b in cut}
        self.after(self.rng.randrange(50_000, 1_000_000), self._cut.clear)

    def _corner_leader(self) -> None:
        """Leave a leader one follower at most, and then kill it: entries end up on a minority, as in figure
        8."""
        leaders = [number for number, node in self.nodes.items() if node.leads]
        if not leaders:
            return
        leader = self.rng.choice(leaders)
        corner = {leader, self.rng.choice(list(self.nodes))}
        self._cut = {(a, b) for a in self.nodes for b in self.nodes if (a in corner) != (b in corner)}

        def end() -> None:
            self._cut.clear()
            node = self.nodes[leader]
            if node.alive and self.rng.random() < 0.7:
                node.crash()
                self.after(self.rng.randrange(10_000, 300_000), node.start_if_down)

        self.after(self.rng.randrange(5_000, 300_000), end)

    def _transfer(self) -> None:
        for node in self.nodes.values():
            if node.leads:
                node.transfer(self.rng.choice(list(self.nodes)))

    def _change_membership(self) -> None:
        for node in self.nodes.values():
            if node.leads:
                node.change_membership(self.rng)

    _FAULTS = (
        ("crash", _crash),
        ("crash", _crash),
        ("crash_all", _crash_all),
        ("partition", _partition),
        ("partition", _partition),
        ("partition_one_way", _partition_one_way),
        ("corner_leader", _corner_leader),
        ("corner_leader", _corner_leader),
        ("transfer", _transfer),
    )

    # --- truth --------------------------------------------------------------------------------------------

    def stored_by(self, index: int, term: int, voters: Iterable[int]) -> int:
        """Return how many of the voters have an entry on their disks for good, crashes notwithstanding."""
        return sum(1 for number in voters if self.nodes[number].has_durably(index, term))

    def snapshot_of(self, number: int) -> tuple[SnapshotPoint, str]:
        """Return a node's newest snapshot."""
        disk = self.nodes[number].disk
        return disk.point, disk.state
