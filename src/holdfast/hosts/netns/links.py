"""The truth about a lab's rules: holds them, and makes the kernel do what they say.

Part of the wires process, so that rules outlive the tool, any other process can heal them, and a host that is switched on
again meets them again. What the kernel has is always made from all rules at once, never patched.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from holdfast.hosts.netns import probing, syscalls, wire
from holdfast.hosts.netns.bandwidth import Bandwidth
from holdfast.hosts.netns.mechanisms import Mechanisms
from holdfast.hosts.netns.server import Server
from holdfast.hosts.netns.workers import Job, Workers, jobs
from holdfast.net.base import Rule
from holdfast.net.netlink import Message, Netlink, bundle_segments
from holdfast.net.ruleset import bridge_table, counts_packets, host_table, pairs, port_table, rate_classes

RULES_MAX: Final = 4096
_SEGMENTS_MAX: Final = 65535  # what a device bundles unless told otherwise
_BRIDGE: Final = "the bridge"
_PORTS: Final = "its ports"


@dataclass(frozen=True, slots=True)
class Attached:
    """A host that has been wired. process: its init as a pidfd, which holds no namespace alive; port: its device
    on the bridge; cable: the index of the other end, its eth0."""

    name: str
    address: str
    process: int
    port: str
    cable: int

    @property
    def is_on(self) -> bool:
        """Whether its init lives."""
        try:
            signal.pidfd_send_signal(self.process, 0)
        except ProcessLookupError:
            return False
        return True

    @contextmanager
    def network(self) -> Iterator[None]:
        """Be in its network namespace for a while. Raises OSError when it is off."""
        now = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            try:
                syscalls.setns(self.process, syscalls.CLONE_NEWNET)
            except ProcessLookupError as error:
                raise OSError(error.errno, f"{self.name} is off") from error
            try:
                yield
            finally:
                syscalls.setns(now, syscalls.CLONE_NEWNET)
        finally:
            os.close(now)


class Links:
    """Rules by id, and the hosts that they are about, by address. ip: pyroute2's IPRoute in the lab's namespace."""

    def __init__(self, ip: Any) -> None:
        self._rules: dict[int, Rule] = {}
        self._last_id = 0
        self._hosts: dict[str, Attached] = {}
        self._mechanisms = Mechanisms(ip)
        self._bandwidth = Bandwidth(ip)
        self._workers = Workers()
        self._told: dict[str, list[Message]] = {}  # what each namespace's packet filter was last told
        self._unbundled: set[str] = set()

    def serve_on(self, server: Server) -> None:
        """Answer the requests of the tool's net."""
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # probes and workers are not waited for
        server.handlers |= {
            "net_apply": lambda message, _fds, _caller: self._apply(message),
            "net_heal": lambda message, _fds, _caller: self._heal(message),
            "net_active": lambda _message, _fds, _caller: {
                "rules": [rule.to_document() for rule in self._rules.values()]
            },
            "net_mechanisms": lambda _message, _fds, _caller: self._mechanisms.to_document(),
            "net_probe": self._probe,
            "net_reset": self._reset,
        }

    def attached(self, name: str, address: str, pid: int, port: str, cable: int) -> None:
        """Take note that a host has been wired, and put it under the rules that are in force."""
        old = self._hosts.pop(address, None)
        if old is not None:
            os.close(old.process)
        self._hosts[address] = Attached(name, address, os.pidfd_open(pid), port, cable)
        self._told.pop(address, None)
        self._unbundled.discard(address)
        if self._rules:
            self._tell_kernel()

    # requests

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
        except BaseException:
            self._rules = before
            self._tell_kernel()
            raise
        words = sorted({word for rule in new for word in self._mechanisms.words(rule.conditions)})
        return {"ids": [rule.id for rule in new], "mechanisms": words}

    def _heal(self, message: wire.Message) -> wire.Message:
        """Remove rules. died: rules whose worker ended early, so that they were not in force all the time."""
        wanted = message.get("ids")
        ids = list(self._rules) if not isinstance(wanted, list) else [int(str(one)) for one in wanted]
        gone = [one for one in ids if one in self._rules]
        died = sorted({job.rule.id for job in self._workers.dead() if job.rule.id in gone and self._on(job)})
        before = dict(self._rules)
        for one in gone:
            del self._rules[one]
        if gone:
            try:
                self._tell_kernel()
            except BaseException:
                self._rules = before
                raise
        return {"ids": gone, "died": died}

    def _on(self, job: Job) -> bool:
        host = self._hosts.get(job.address)
        return host is not None and host.process == job.process and host.is_on

    # telling the kernel

    def _tell_kernel(self) -> None:
        rules = list(self._rules.values())
        devices = {name: index for index, name in socket.if_nameindex()}
        on = [host for host in self._hosts.values() if host.port in devices and host.is_on]
        ports = {host.address: (host.port, devices[host.port]) for host in on}
        self._bandwidth.make(rate_classes(rules), {address: index for address, (_, index) in ports.items()})
        self._tell(_PORTS, port_table(rules, ports))
        wanted = [job for host in on for job in jobs(rules, host.address, host.process)]
        for host in on:
            self._tell_host(host, rules, [job for job in wanted if job.address == host.address])
        self._tell(_BRIDGE, bridge_table(rules))
        self._workers.stop_all_but(wanted)

    def _tell_host(self, host: Attached, rules: Sequence[Rule], wanted: Sequence[Job]) -> None:
        messages = host_table(rules, host.address, native_queue=self._mechanisms.native_queue) if wanted else []
        unbundle = any(
            counts_packets(rule) and any(source == host.address for source, _ in pairs(rule)) for rule in rules
        )
        changed = unbundle != (host.address in self._unbundled)
        if not changed and messages == self._told.get(host.address, []):
            return
        try:
            with host.network():
                for job in wanted:
                    self._workers.start(job)
                self._tell(host.address, messages or host_table([], host.address, native_queue=True))
                if changed:
                    bundle_segments(host.cable, 1 if unbundle else _SEGMENTS_MAX)
        except OSError as error:
            if error.errno == errno.ESRCH:
                return  # switched off a moment ago: nothing left to tell
            raise
        (self._unbundled.add if unbundle else self._unbundled.discard)(host.address)

    def _tell(self, place: str, messages: list[Message]) -> None:
        """Replace a table of the namespace in which we are, unless it is so already."""
        is_empty = len(messages) <= 2
        if self._told.get(place, []) == ([] if is_empty else messages):
            return
        with Netlink() as netlink:
            netlink.batch(messages)
        self._told[place] = [] if is_empty else messages

    # measuring

    def _probe(self, message: wire.Message, _fds: list[int], caller: socket.socket) -> None:
        """Measure in a child, which answers by itself: a lost packet must not keep other requests waiting."""
        source, destination = self._host(message["source"]), self._host(message["destination"])
        keep = (source.process, destination.process)
        probing.in_child(lambda: probing.measure(message, source, destination), caller, keep)

    def _reset(self, message: wire.Message, _fds: list[int], caller: socket.socket) -> None:
        """Break connections in a child, for the same reason."""
        raise NotImplementedError

    def _host(self, address: object) -> Attached:
        if address not in self._hosts:
            raise ValueError(f"no host with the address {address} was ever switched on")
        return self._hosts[str(address)]
