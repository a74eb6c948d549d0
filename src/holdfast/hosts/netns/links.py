"""The truth about a lab's rules: holds them, tells the kernel, and measures what came of it.

Part of the wires process, so that rules outlive the tool, any other process can heal them, and a host that is
switched on again meets them again. What the kernel has is always made from all rules at once, never patched.
"""

from __future__ import annotations

import os
import signal
import socket
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from holdfast.hosts.netns import syscalls, wire
from holdfast.hosts.netns.server import Server, answer
from holdfast.net import probe
from holdfast.net.base import Rule
from holdfast.net.netlink import Netfilter
from holdfast.net.ruleset import bridge_table

RULES_MAX: Final = 4096


@dataclass(frozen=True, slots=True)
class Attached:
    """A host with a cable. process: its init as a pidfd, which holds no namespace alive; port.

    Of the bridge.
    """

    name: str
    address: str
    process: int
    port: str


class Links:
    """Rules by id, and the hosts that they are about, by address."""

    def __init__(self) -> None:
        self._rules: dict[int, Rule] = {}
        self._last_id = 0
        self._hosts: dict[str, Attached] = {}

    def serve_on(self, server: Server) -> None:
        """Answer the requests of the tool's net."""
        # Children (probes) are not waited for.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        server.handlers |= {
            "net_apply": lambda message, _fds, _caller: self._apply(message),
            "net_heal": lambda message, _fds, _caller: self._heal(message),
            "net_active": lambda _message, _fds, _caller: {
                "rules": [rule.to_document() for rule in self._rules.values()]
            },
            "net_probe": self._probe,
        }

    def attached(self, name: str, address: str, pid: int, port: str) -> None:
        """Take note that a host has been wired, and put it under the rules that are in force."""
        old = self._hosts.pop(address, None)
        if old is not None:
            os.close(old.process)
        self._hosts[address] = Attached(name, address, os.pidfd_open(pid), port)

    def _apply(self, message: wire.Message) -> wire.Message:
        given = message["rules"]
        if not isinstance(given, list) or len(given) + len(self._rules) > RULES_MAX:
            raise ValueError(f"net_apply wants a list of rules, {RULES_MAX} at most in all")
        before = dict(self._rules)
        new = []
        for document in given:
            self._last_id += 1
            new.append(replace(Rule.from_document(document), id=self._last_id))
        self._rules |= {rule.id: rule for rule in new}
        try:
            self._tell_kernel()
        except OSError:
            self._rules = before
            self._tell_kernel()
            raise
        return {"ids": [rule.id for rule in new], "mechanisms": ["nftables drop at the bridge"]}

    def _heal(self, message: wire.Message) -> wire.Message:
        wanted = message.get("ids")
        ids = list(self._rules) if not isinstance(wanted, list) else [int(str(one)) for one in wanted]
        gone = [one for one in ids if one in self._rules]
        before = dict(self._rules)
        for one in gone:
            del self._rules[one]
        if gone:
            try:
                self._tell_kernel()
            except OSError:
                self._rules = before
                raise
        return {"ids": gone}

    def _tell_kernel(self) -> None:
        with Netfilter() as netfilter:
            netfilter.batch(bridge_table(list(self._rules.values())))

    # probing

    def _probe(self, message: wire.Message, _fds: list[int], caller: socket.socket) -> None:
        """Measure in a child, which answers by itself: a lost packet must not keep other requests waiting."""
        source, destination = self._host(message, "source"), self._host(message, "destination")

        def work() -> wire.Message:
            return self._measure(message, source, destination)

        _in_child(work, caller)

    def _measure(self, message: wire.Message, source: Attached, destination: Attached) -> wire.Message:
        stream = message["kind"] == "converse"
        kind = socket.SOCK_STREAM if stream else socket.SOCK_DGRAM
        with self.inside(destination), socket.socket(socket.AF_INET, kind) as far:
            far.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            far.bind((destination.address, int(str(message.get("port", 0)))))
            if stream:
                far.listen(1)
            errors = probe.checksum_errors()
            with self.inside(source), socket.socket(socket.AF_INET, kind) as near:
                near.bind((source.address, 0))
                found = _carry_out(message, near, far)
            return {**found, "corrupted": probe.checksum_errors() - errors}

    def _host(self, message: wire.Message, key: str) -> Attached:
        address = str(message[key])
        if address not in self._hosts:
            raise ValueError(f"no host with the address {address} was ever switched on")
        return self._hosts[address]

    @contextmanager
    def inside(self, host: Attached) -> Iterator[None]:
        """Be in a host's network namespace for a while. Raises OSError when it is off."""
        now = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            try:
                syscalls.setns(host.process, syscalls.CLONE_NEWNET)
            except ProcessLookupError as error:
                raise OSError(error.errno, f"{host.name} is off") from error
            try:
                yield
            finally:
                syscalls.setns(now, syscalls.CLONE_NEWNET)
        finally:
            os.close(now)


def _carry_out(message: wire.Message, near: socket.socket, far: socket.socket) -> wire.Message:
    def number(key: str) -> float:
        return float(str(message[key]))

    match message["kind"]:
        case "datagrams":
            plan = probe.Plan(
                int(number("count")),
                int(number("interval_ms") * 1e6),
                int(number("patience_ms") * 1e6),
                int(number("size_bytes")),
            )
            return probe.measure(near, far, plan)
        case "rate":
            return probe.measure_rate(near, far, int(number("duration_ms") * 1e6))
        case "converse":
            return probe.converse(near, far, int(number("patience_ms") * 1e6))
        case other:
            raise ValueError(f"no such probe: {other!r}")


def _in_child(work: Callable[[], wire.Message], caller: socket.socket) -> None:
    """Fork a process that does work, answers the caller and ends."""
    if os.fork():
        return
    try:
        reply = work()
    except (OSError, ValueError, KeyError) as error:
        reply = {"error": f"{error}"}
    except BaseException as error:  # noqa: BLE001 - the child must end here, whatever happened
        traceback.print_exc()
        reply = {"error": f"{type(error).__name__}: {error}"}
    try:
        answer(caller, reply)
    finally:
        os._exit(0)
