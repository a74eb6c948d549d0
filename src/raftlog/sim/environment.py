"""What surrounds the simulated nodes: the clock, the wires, the disks, and what is known to be true.

Time is counted in microseconds and passes only from event to event. Every choice comes from the one
generator, so a seed gives the same run, step for step, on every machine.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from raftlog.core.types import Message
from raftlog.peer_protocol import decode_message, encode_message
from raftlog.sim.disk import SimDisk
from raftlog.sim.invariants import Invariants


@dataclass(frozen=True, slots=True)
class FaultProfile:
    """How bad it gets. Probabilities are per message; delays in microseconds; means of faults in seconds apart."""

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


class Environment:
    """Clock, wires and disks of nodes 1 to `nodes`, and the invariants that their steps are held to.

    seed: of every choice. deliver: hands a message that arrives, and the snapshot content that goes with it, to
    its node.
    """

    def __init__(
        self, seed: int, nodes: int, profile: FaultProfile, deliver: Callable[[Message, str], None]
    ) -> None:
        self.rng = random.Random(seed)
        self.profile = profile
        self.now_us = 0
        self.calm = False
        """Whether faults have ended: then no message is lost, doubled or late."""
        self.disks = {number: SimDisk(number) for number in range(1, nodes + 1)}
        self.invariants = Invariants()
        self.counts: Counter[str] = Counter()
        self.acked: dict[bytes, int] = {}
        """Payloads a client was told are committed, and their index."""
        self.cut: set[tuple[int, int]] = set()
        """(sender, receiver) of wires that carry nothing."""
        self._deliver = deliver
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._sequence = 0

    # --- time ---------------------------------------------------------------------------------------------

    def after(self, delay_us: int, action: Callable[[], None]) -> None:
        """Let something happen delay_us from now."""
        self._sequence += 1
        heapq.heappush(self._events, (self.now_us + delay_us, self._sequence, action))

    def run_until(self, end_us: int) -> None:
        """Let simulated time pass up to end_us. Raises what an event raises."""
        while self._events and self._events[0][0] <= end_us:
            self.now_us, _, action = heapq.heappop(self._events)
            action()
            self.counts["events"] += 1
        self.now_us = end_us

    # --- wires --------------------------------------------------------------------------------------------

    def send(self, message: Message, state: str) -> None:
        """Put a message on the wire; it may be lost, late, doubled or overtaken. state: what a snapshot holds."""
        profile, rng = self.profile, self.rng
        if (message.sender, message.to) in self.cut or message.to not in self.disks:
            return
        copies = 1
        if not self.calm:
            if rng.random() < profile.loss:
                return
            copies += rng.random() < profile.duplicate
        data = encode_message(message)
        for _ in range(copies):
            delay = rng.randint(*profile.delay_us)
            if not self.calm and rng.random() < profile.straggler:
                delay += rng.randrange(profile.straggler_us)
            self.after(delay, lambda: self._arrive(data, state))

    def _arrive(self, data: bytes, state: str) -> None:
        message = decode_message(data)
        if (message.sender, message.to) not in self.cut:
            self._deliver(message, state)

    # --- disks --------------------------------------------------------------------------------------------

    def sync_delay_us(self) -> int:
        """Return how long the next sync takes."""
        delay = self.rng.randint(*self.profile.sync_us)
        if self.rng.random() < self.profile.slow_sync:
            delay += self.rng.randrange(self.profile.slow_sync_us)
        return delay

    def durable_copies(self, index: int, term: int, nodes: Iterable[int]) -> int:
        """Return how many of the nodes have an entry on their disks for good, crashes notwithstanding."""
        return sum(1 for number in nodes if self.disks[number].has_durably(index, term))
