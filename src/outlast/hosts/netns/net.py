"""The tool's end of a lab's network: asks the wires process, which holds the rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from outlast.errors import HostError
from outlast.hosts.base import Host
from outlast.hosts.netns import messages
from outlast.hosts.netns.kernel_support import DROP, DUPLICATE, LOSS, QUEUE, RATE, RESET
from outlast.hosts.netns.request_client import RequestClient
from outlast.hosts.netns.wires import SOCKET_NAME
from outlast.net.base import Conditions, Conversation, Link, Measurement, Rule, RulePlan

_GRACE_S: Final = 10.0


class NetnsNet:
    """What happens to packets between the hosts of one lab. See outlast.net.base.Net."""

    def __init__(self, folder: Path, hosts: Mapping[str, Host]) -> None:
        self._folder = folder
        self._hosts = hosts
        self._mechanisms: messages.Message | None = None

    def unavailable(self, conditions: Conditions) -> str | None:
        """Return why this kernel or user can't make the conditions. Blocks for some milliseconds, once."""
        needed = {
            DROP: conditions.cuts,
            LOSS: 0 < conditions.loss_percent < 100,
            QUEUE: conditions.holds or conditions.corrupt_percent > 0,
            DUPLICATE: conditions.duplicate_percent > 0,
            RATE: conditions.rate_kbit > 0,
        }
        missing = self._missing()
        why = [missing[name] for name, wanted in needed.items() if wanted and missing[name]]
        return str(why[0]) if why else None

    def unavailable_reset(self) -> str | None:
        """Return why this kernel or user can't break connections."""
        missing = self._missing()[RESET]
        return None if missing is None else str(missing)

    def mechanisms(self) -> dict[str, str | None]:
        """Return for each of the kernel's parts why it is not available here, None when it is."""
        return {name: None if why is None else str(why) for name, why in self._missing().items()}

    def _missing(self) -> messages.Message:
        if self._mechanisms is None:
            with messages.connect(self._folder / SOCKET_NAME, _GRACE_S) as connection:
                messages.send(connection, {"op": "net_mechanisms"})
                self._mechanisms, _fds = messages.receive(connection)
        if self._mechanisms is None or messages.Failure.read(self._mechanisms) is not None:
            raise HostError(f"{self._folder.name}: the lab does not say what its network can do")
        return self._mechanisms

    async def plan(self, rules: Sequence[Rule]) -> RulePlan:
        """Have the lab's counter of rules go on, and ask how it would make them."""
        reply = await self._ask({"op": "net_plan", "rules": self._documents(rules)})
        ids = _numbers(reply["ids"])
        planned = tuple(replace(rule, id=rule_id) for rule, rule_id in zip(rules, ids, strict=True))
        return RulePlan(planned, tuple(_words(reply["mechanisms"])))

    async def apply(self, rules: Sequence[Rule]) -> None:
        """Put all rules into force at once."""
        await self._ask({"op": "net_apply", "rules": self._documents(rules)})

    def _documents(self, rules: Sequence[Rule]) -> list[dict[str, Any]]:
        """Return rules as the wires process knows them: hosts by address."""
        return [
            replace(
                rule,
                sources=tuple(self._address(name) for name in rule.sources),
                destinations=tuple(self._address(name) for name in rule.destinations),
            ).to_document()
            for rule in rules
        ]

    async def heal(self, ids: Sequence[int] | None = None) -> tuple[int, ...]:
        """Remove rules by id, None for all."""
        reply = await self._ask({"op": "net_heal", "ids": None if ids is None else list(ids)})
        if died := _numbers(reply["died"]):
            raise HostError(
                f"{self._folder.name}: what held packets back for rules {list(died)} ended before its time",
                hint="they are healed; the fault was not in force until its end",
            )
        return _numbers(reply["ids"])

    async def active(self) -> tuple[Rule, ...]:
        """Return all rules in force."""
        reply = await self._ask({"op": "net_active"})
        documents = reply["rules"]
        assert isinstance(documents, list)
        names = {host.address: name for name, host in self._hosts.items()}
        rules = [Rule.from_document(document) for document in documents]
        return tuple(
            replace(
                rule,
                sources=tuple(names.get(address, address) for address in rule.sources),
                destinations=tuple(names.get(address, address) for address in rule.destinations),
            )
            for rule in rules
        )

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
        """Send datagrams from src and see what reaches dst."""
        found = await self._measure_one(
            src,
            dst,
            {
                "kind": "datagrams",
                "count": count,
                "interval_ms": interval_ms,
                "patience_ms": patience_ms,
                "size_bytes": size_bytes,
            },
            port,
            (count * interval_ms + patience_ms) / 1000,
        )
        return _measurement(src, dst, found)

    async def probe_all(
        self, links: Sequence[Link], *, count: int = 5, interval_ms: float = 1.0, patience_ms: float = 250.0
    ) -> tuple[Measurement | None, ...]:
        """Send datagrams on several links at once."""
        if not links:
            return ()
        asked: messages.Message = {
            "kind": "datagrams",
            "count": count,
            "interval_ms": interval_ms,
            "patience_ms": patience_ms,
            "size_bytes": 64,
        }
        found = await self._measure(links, asked, (count * interval_ms + patience_ms) / 1000)
        return tuple(
            None if messages.Failure.read(answer) else _measurement(link.source, link.destination, answer)
            for link, answer in zip(links, found, strict=True)
        )

    async def probe_rate(
        self, src: str, dst: str, *, duration_ms: float = 500.0, size_bytes: int = 1400, port: int = 0
    ) -> Measurement:
        """Send as fast as the wire takes it and see how much reaches dst."""
        asked: messages.Message = {"kind": "rate", "duration_ms": duration_ms, "size_bytes": size_bytes}
        found = await self._measure_one(src, dst, asked, port, duration_ms / 1000)
        return _measurement(src, dst, found)

    async def converse(
        self, src: str, dst: str, *, patience_ms: float = 500.0, port: int = 0
    ) -> Conversation:
        """Connect from src to a listener of our own on dst, ask, be answered, and be closed upon."""
        asked: messages.Message = {"kind": "converse", "patience_ms": patience_ms}
        found = await self._measure_one(src, dst, asked, port, 4 * patience_ms / 1000)
        return Conversation(
            src, dst, _figure(found["connect_ms"]), _figure(found["answer_ms"]), _figure(found["close_ms"])
        )

    async def connections(
        self, sources: Sequence[str], destinations: Sequence[str], ports: Sequence[int] = ()
    ) -> tuple[str, ...]:
        """Return the established TCP connections between two groups."""
        return await self._connections(sources, destinations, ports, breaks=False)

    async def reset(
        self, sources: Sequence[str], destinations: Sequence[str], ports: Sequence[int] = ()
    ) -> tuple[str, ...]:
        """Break the established TCP connections between two groups."""
        return await self._connections(sources, destinations, ports, breaks=True)

    async def _connections(
        self, sources: Sequence[str], destinations: Sequence[str], ports: Sequence[int], *, breaks: bool
    ) -> tuple[str, ...]:
        reply = await self._ask(
            {
                "op": "net_connections",
                "sources": [self._address(name) for name in sources],
                "destinations": [self._address(name) for name in destinations],
                "ports": list(ports),
                "breaks": breaks,
            }
        )
        return tuple(_words(reply["connections"]))

    async def _measure_one(
        self, src: str, dst: str, asked: messages.Message, port: int, lasts_s: float
    ) -> messages.Message:
        (found,) = await self._measure([Link(src, dst, port)], asked, lasts_s)
        if (failure := messages.Failure.read(found)) is not None:
            raise failure.to_error(f"{self._folder.name}: {src} → {dst}")
        return found

    async def _measure(
        self, links: Sequence[Link], asked: messages.Message, lasts_s: float
    ) -> list[messages.Message]:
        ends = [[self._address(link.source), self._address(link.destination), link.port] for link in links]
        reply = await self._ask({"op": "net_probe", "links": ends, **asked}, timeout_s=lasts_s + _GRACE_S)
        found = reply["found"]
        assert isinstance(found, list)
        return found

    async def _ask(self, message: messages.Message, timeout_s: float = _GRACE_S) -> messages.Message:
        channel = RequestClient(self._folder / SOCKET_NAME)
        try:
            reply, _fds = await channel.request(message, timeout_s=timeout_s)
            return reply
        finally:
            channel.close()

    def _address(self, name: str) -> str:
        if name not in self._hosts:
            raise HostError(f"{self._folder.name}: there is no host {name}")
        return self._hosts[name].address


def _measurement(src: str, dst: str, found: messages.Message) -> Measurement:
    def count(key: str) -> int:
        return int(str(found[key]))

    delays = found["delays_ms"]
    assert isinstance(delays, list)
    return Measurement(
        src,
        dst,
        count("sent"),
        count("received"),
        count("duplicates"),
        count("corrupted"),
        count("overtaken"),
        tuple(float(delay) for delay in delays),
        _figure(found.get("rate_kbit")),
    )


def _figure(value: object) -> float | None:
    return None if value is None else float(str(value))


def _numbers(value: object) -> tuple[int, ...]:
    assert isinstance(value, list)
    return tuple(int(number) for number in value)


def _words(value: object) -> list[str]:
    assert isinstance(value, list)
    return [str(word) for word in value]
