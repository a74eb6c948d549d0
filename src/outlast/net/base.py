"""The words for what happens to packets: conditions, rules, measurements, and the Net that a lab offers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

LOSS_ALL: Final = 100.0


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a packet meets on its way. The default is a clear way.

    delay_ms: added to each packet; jitter_ms: uniformly more or less of it (never below 0); reorder: whether
    jitter may change the order. loss_percent, duplicate_percent, corrupt_percent: of packets as the wire
    carries them, each drawn by itself. rate_kbit: bandwidth, 0 for no limit. Raises ValueError for what makes
    no sense.
    """

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    reorder: bool = False
    loss_percent: float = 0.0
    duplicate_percent: float = 0.0
    corrupt_percent: float = 0.0
    rate_kbit: int = 0

    def __post_init__(self) -> None:
        for name in ("loss_percent", "duplicate_percent", "corrupt_percent"):
            if not 0 <= getattr(self, name) <= 100:
                raise ValueError(f"{name} must be from 0 to 100, got {getattr(self, name):g}")
        for name in ("delay_ms", "jitter_ms", "rate_kbit"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name):g}")

    @property
    def cuts(self) -> bool:
        """Whether nothing gets through."""
        return self.loss_percent >= LOSS_ALL

    @property
    def holds(self) -> bool:
        """Whether packets are held back for a while."""
        return self.delay_ms > 0 or self.jitter_ms > 0


CUT: Final = Conditions(loss_percent=LOSS_ALL)


class Packets(StrEnum):
    """Which packets of a link a rule is about."""

    ALL = "all"
    DATA = "data"  # TCP segments that carry data: handshakes and plain acknowledgements pass
    CLOSE = "close"  # TCP segments that end a connection: FIN


@dataclass(frozen=True, slots=True)
class Rule:
    """Conditions on packets that go from any of sources to any of destinations.

    The other direction is another rule.

    sources, destinations: names of hosts; a host never meets itself. ports: only TCP and UDP packets from or
    to one of these, () for all packets. id: of its own in the lab, see Net.plan; 0 before it has one.
    """

    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    conditions: Conditions = CUT
    ports: tuple[int, ...] = ()
    packets: Packets = Packets.ALL
    id: int = 0

    def to_document(self) -> dict[str, Any]:
        """Return it as a JSON document."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Rule:
        """Read what to_document wrote."""
        return cls(
            tuple(document["sources"]),
            tuple(document["destinations"]),
            Conditions(**document["conditions"]),
            tuple(document["ports"]),
            Packets(document["packets"]),
            int(document["id"]),
        )


@dataclass(frozen=True, slots=True)
class Link:
    """One direction of one pair of hosts. port: where to probe it, 0 for anywhere."""

    source: str
    destination: str
    port: int = 0

    def __str__(self) -> str:
        at = f" port {self.port}" if self.port else ""
        return f"{self.source} → {self.destination}{at}"

    @classmethod
    def parse(cls, text: str) -> Link:
        """Read what str wrote."""
        ends, _, port = text.partition(" port ")
        source, _, destination = ends.partition(" → ")
        return cls(source, destination, int(port or 0))


@dataclass(frozen=True, slots=True)
class RulePlan:
    """Rules that have ids and are not in force yet. mechanisms: the kernel's parts that will do it, in words."""

    rules: tuple[Rule, ...]
    mechanisms: tuple[str, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """The rules' ids, in their order."""
        return tuple(rule.id for rule in self.rules)


@dataclass(frozen=True, slots=True)
class Measurement:
    """What datagrams from one host to another met. received counts each datagram once, duplicates the rest.

    delays_ms: one-way, of those received (of thousands: of some), in order of arrival. corrupted: what the
    receiver's kernel dropped for a wrong checksum. overtaken: arrived after one that was sent later.
    rate_kbit: None unless measured.
    """

    source: str
    destination: str
    sent: int
    received: int
    duplicates: int
    corrupted: int
    overtaken: int
    delays_ms: tuple[float, ...]
    rate_kbit: float | None = None

    @property
    def reaches(self) -> bool:
        """Whether anything arrived."""
        return self.received > 0

    @property
    def delay_ms(self) -> float:
        """The median delay; NaN when nothing arrived."""
        if not self.delays_ms:
            return float("nan")
        return sorted(self.delays_ms)[len(self.delays_ms) // 2]

    @property
    def loss_percent(self) -> float:
        """The share of datagrams that never came."""
        return 100.0 * (self.sent - self.received) / self.sent


@dataclass(frozen=True, slots=True)
class Conversation:
    """How a TCP connection from one host to another went; None: did not happen within the time-out.

    connect_ms: until the handshake was done; answer_ms: from sending a question to its answer; close_ms: from
    the close at the destination to its being seen at the source.
    """

    source: str
    destination: str
    connect_ms: float | None
    answer_ms: float | None
    close_ms: float | None


class Net(Protocol):
    """The network of a lab.

    Traffic of the tool itself, which comes from the lab's bridge, is never affected.
    """

    def unavailable(self, conditions: Conditions) -> str | None:
        """Return why this kernel or user can't make the conditions, None when it can.

        It is tried, not guessed.
        """
        ...

    def unavailable_reset(self) -> str | None:
        """Return why this kernel or user can't break connections, None when it can."""
        ...

    async def plan(self, rules: Sequence[Rule]) -> RulePlan:
        """Give rules ids that no rule of this lab ever had. Changes nothing.

        So whoever applies them can write down beforehand what is to be healed. Raises HostError for an unknown host.
        """
        ...

    async def apply(self, rules: Sequence[Rule]) -> None:
        """Put all rules into force at once, under the ids they have, beside those already there.

        Raises HostError when one has no id or one that is in force, and when the kernel says no.
        """
        ...

    async def heal(self, ids: Sequence[int] | None = None) -> tuple[int, ...]:
        """Remove rules by id, None for all; returns those that were there.

        Safe to call again, from any process.
        """
        ...

    async def active(self) -> tuple[Rule, ...]:
        """Return all rules in force, whoever applied them."""
        ...

    async def probe(
        self,
        src: str,
        dst: str,
        *,
        count: int = 20,
        interval_ms: float = 1.0,
        patience_ms: float = 500.0,
        port: int = 0,
        size_bytes: int = 64,
    ) -> Measurement:
        """Send datagrams from src and see what reaches dst, a patience after the last one was sent.

        port: of the destination, 0 for any free one. Raises HostError when a host is off.
        """
        ...

    async def probe_all(
        self, links: Sequence[Link], *, count: int = 5, interval_ms: float = 1.0, patience_ms: float = 250.0
    ) -> tuple[Measurement | None, ...]:
        """Send datagrams on several links at once; None for a link one of whose hosts is off."""
        ...

    async def probe_rate(
        self, src: str, dst: str, *, duration_ms: float = 500.0, size_bytes: int = 1400, port: int = 0
    ) -> Measurement:
        """Send as fast as the wire takes it and see how much reaches dst."""
        ...

    async def converse(
        self, src: str, dst: str, *, patience_ms: float = 500.0, port: int = 0
    ) -> Conversation:
        """Connect from src to a listener of our own on dst, ask, be answered, and be closed upon."""
        ...

    async def connections(
        self, sources: Sequence[str], destinations: Sequence[str], ports: Sequence[int] = ()
    ) -> tuple[str, ...]:
        """Return the established TCP connections between two groups, a thousand at most.

        ports: of either end, () for all. One reads ``ip:port ↔ ip:port``.
        """
        ...

    async def reset(
        self, sources: Sequence[str], destinations: Sequence[str], ports: Sequence[int] = ()
    ) -> tuple[str, ...]:
        """Break the established TCP connections between two groups, at both ends, and return them.

        Raises HostError when the kernel can't.
        """
        ...
