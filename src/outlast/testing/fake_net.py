"""A net without packets, for unit tests of faults: keeps rules as a real one does and measures what they say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from outlast.errors import HostError
from outlast.net.base import Conditions, Conversation, Link, Measurement, Packets, Rule, RulePlan

WIRE_MS: Final = 0.1


class FakeNet:
    """Rules by id over named hosts. deaf: rules are accepted and do nothing, as a fault that does not bite."""

    def __init__(
        self, hosts: Mapping[str, object], *, deaf: bool = False, refuses: str | None = None
    ) -> None:
        self._hosts = hosts
        self._rules: dict[int, Rule] = {}
        self._last_id = 0
        self.deaf = deaf
        self.refuses = refuses
        self.open_connections: list[str] = []

    def unavailable(self, conditions: Conditions) -> str | None:
        """Return the reason it was made with."""
        return self.refuses

    def unavailable_reset(self) -> str | None:
        """Return the reason it was made with."""
        return self.refuses

    async def plan(self, rules: Sequence[Rule]) -> RulePlan:
        """Number the rules."""
        self._check({name for rule in rules for name in (*rule.sources, *rule.destinations)})
        first = self._last_id + 1
        self._last_id += len(rules)
        planned = tuple(replace(rule, id=rule_id) for rule_id, rule in enumerate(rules, start=first))
        return RulePlan(planned, ("nothing: a fake",))

    async def apply(self, rules: Sequence[Rule]) -> None:
        """Keep the rules."""
        ids = {rule.id for rule in rules}
        known = range(1, self._last_id + 1)
        if len(ids) < len(rules) or any(given not in known or given in self._rules for given in ids):
            raise HostError("rules need ids from plan that are not in force")
        self._rules |= {rule.id: rule for rule in rules}

    async def heal(self, ids: Sequence[int] | None = None) -> tuple[int, ...]:
        """Forget rules."""
        gone = tuple(rule_id for rule_id in (self._rules if ids is None else ids) if rule_id in self._rules)
        for rule_id in gone:
            del self._rules[rule_id]
        return gone

    async def active(self) -> tuple[Rule, ...]:
        """Return the rules kept."""
        return tuple(self._rules.values())

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
        """Return what the rules say a datagram meets; shares are met exactly, jitter by turns."""
        self._check((src, dst))
        met = [rule.conditions for rule in self._meeting(src, dst, port) if rule.packets is Packets.ALL]
        delay_ms = WIRE_MS + sum(conditions.delay_ms for conditions in met)
        kept = 1.0
        for conditions in met:
            kept *= 1 - conditions.loss_percent / 100
        received = round(count * kept) if delay_ms <= patience_ms else 0
        duplicates = round(received * sum(conditions.duplicate_percent for conditions in met) / 100)
        corrupted = round(received * sum(conditions.corrupt_percent for conditions in met) / 100)
        received -= corrupted
        jitter_ms = sum(conditions.jitter_ms for conditions in met)
        delays = tuple(delay_ms + (jitter_ms if turn % 2 else -jitter_ms) for turn in range(received))
        overtaken = received // 2 if any(conditions.reorder for conditions in met) else 0
        return Measurement(src, dst, count, received, duplicates, corrupted, overtaken, delays)

    async def probe_all(
        self, links: Sequence[Link], *, count: int = 5, interval_ms: float = 1.0, patience_ms: float = 250.0
    ) -> tuple[Measurement | None, ...]:
        """Probe one after the other."""
        return tuple(
            [
                await self.probe(
                    link.source, link.destination, count=count, patience_ms=patience_ms, port=link.port
                )
                for link in links
            ]
        )

    async def probe_rate(
        self, src: str, dst: str, *, duration_ms: float = 500.0, size_bytes: int = 1400, port: int = 0
    ) -> Measurement:
        """Return the tightest rate."""
        rates = [
            rule.conditions.rate_kbit for rule in self._meeting(src, dst, port) if rule.conditions.rate_kbit
        ]
        return Measurement(src, dst, 1, 1, 0, 0, 0, (), float(min(rates, default=10_000_000)))

    async def converse(
        self, src: str, dst: str, *, patience_ms: float = 500.0, port: int = 0
    ) -> Conversation:
        """Return how a connection would go."""
        there, back = self._meeting(src, dst, port), self._meeting(dst, src, port)
        if any(rule.conditions.cuts and rule.packets is Packets.ALL for rule in there + back):
            return Conversation(src, dst, None, None, None)
        silent = any(rule.conditions.cuts and rule.packets is Packets.DATA for rule in there + back)
        close_ms = WIRE_MS + sum(rule.conditions.delay_ms for rule in back if rule.packets is Packets.CLOSE)
        return Conversation(src, dst, WIRE_MS, None if silent else WIRE_MS, close_ms)

    async def connections(
        self, sources: Sequence[str], destinations: Sequence[str], ports: Sequence[int] = ()
    ) -> tuple[str, ...]:
        """Return the connections that were put here."""
        return tuple(self.open_connections)

    async def reset(
        self, sources: Sequence[str], destinations: Sequence[str], ports: Sequence[int] = ()
    ) -> tuple[str, ...]:
        """Break the connections that were put here, unless deaf."""
        found = tuple(self.open_connections)
        if not self.deaf:
            self.open_connections.clear()
        return found

    def _check(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self._hosts:
                raise HostError(f"there is no host {name}")

    def _meeting(self, src: str, dst: str, port: int) -> list[Rule]:
        return [
            rule
            for rule in self._rules.values()
            if not self.deaf
            and src != dst
            and src in rule.sources
            and dst in rule.destinations
            and (not rule.ports or port in rule.ports)
        ]
