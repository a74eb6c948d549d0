"""The truth about a lab's rules: holds them, and makes the kernel do what they say.

Part of the wires process, so that rules outlive the tool, any other process can heal them, and a host that is
switched on again meets them again. What the kernel has is always made from all rules at once, never patched.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
from collections.abc import Sequence
from typing import Final

from outlast.hosts.netns import messages, probing
from outlast.hosts.netns.bandwidth import Bandwidth
from outlast.hosts.netns.kernel_support import KernelSupport
from outlast.hosts.netns.queues import Queues, jobs
from outlast.hosts.netns.request_server import RequestServer
from outlast.hosts.netns.wired_host import WiredHost
from outlast.net.base import Rule
from outlast.net.netlink import Netlink, NetlinkMessage
from outlast.net.rtnetlink import RtNetlink
from outlast.net.ruleset import bridge_table, counts_packets, pairs, port_table, rate_classes

RULES_MAX: Final = 4096
_SEGMENTS_MAX: Final = 65535  # what a device bundles unless told otherwise
_ATTEMPTS: Final = 3
_BRIDGE: Final = "the bridge"
_PORTS: Final = "its ports"


class RuleTable:
    """Rules by id, and the hosts that they are about, by address. route: made in the lab's namespace."""

    def __init__(self, route: RtNetlink) -> None:
        self._rules: dict[int, Rule] = {}
        self._last_id = 0
        self._hosts: dict[str, WiredHost] = {}
        self._mechanisms = KernelSupport(route)
        self._bandwidth = Bandwidth(route)
        self._queues = Queues()
        self._told: dict[str, list[NetlinkMessage]] = {}  # what the lab's own packet filter was last told
        self._netlink: Netlink | None = None
        self._unbundled: set[WiredHost] = set()
        self._lives = 0

    def serve_on(self, server: RequestServer) -> None:
        """Answer the requests of the tool's net."""
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # probes and workers are not waited for
        server.handlers |= {
            "net_plan": lambda message, _fds, _caller: self._plan(message),
            "net_apply": lambda message, _fds, _caller: self._apply(message),
            "net_heal": lambda message, _fds, _caller: self._heal(message),
            "net_active": lambda _message, _fds, _caller: {
                "rules": [rule.to_document() for rule in self._rules.values()]
            },
            "net_mechanisms": lambda _message, _fds, _caller: self._mechanisms.to_document(),
            "net_probe": self._probe,
            "net_connections": self._connections,
        }

    def attached(self, name: str, address: str, pid: int, port: str, cable: int) -> None:
        """Take note that a host has been wired, and put it under the rules that are in force."""
        old = self._hosts.get(address)
        self._lives += 1
        self._hosts[address] = WiredHost(self._lives, name, address, os.pidfd_open(pid), port, cable)
        if self._rules:
            self._tell_kernel()
        if old is not None:
            self._unbundled.discard(old)
            os.close(old.process)  # only now: its number would be taken for the new host's

    # requests

    def _plan(self, message: messages.Message) -> messages.Message:
        """Give rules ids and say by what they would be made; none comes into force."""
        rules = self._rules_of(message)
        ids = list(range(self._last_id + 1, self._last_id + 1 + len(rules)))
        self._last_id += len(rules)
        words = sorted({word for rule in rules for word in self._mechanisms.words(rule.conditions)})
        return {"ids": ids, "mechanisms": words}

    def _apply(self, message: messages.Message) -> messages.Message:
        before = dict(self._rules)
        new = self._rules_of(message)
        ids = {rule.id for rule in new}
        if len(ids) < len(new) or ids & before.keys() or not all(0 < given <= self._last_id for given in ids):
            raise ValueError("net_apply wants rules with ids from net_plan that are not in force")
        self._rules |= {rule.id: rule for rule in new}
        try:
            self._tell_kernel()
        except BaseException:
            self._rules = before
            self._tell_kernel()
            raise
        return {}

    def _rules_of(self, message: messages.Message) -> list[Rule]:
        documents = message["rules"]
        if not isinstance(documents, list) or len(documents) + len(self._rules) > RULES_MAX:
            raise ValueError(f"{message['op']} wants a list of rules, {RULES_MAX} at most in all")
        return [Rule.from_document(document) for document in documents]

    def _heal(self, message: messages.Message) -> messages.Message:
        """Remove rules. died: rules whose worker ended early, so that they were not in force all the time."""
        wanted = message.get("ids")
        ids = list(self._rules) if not isinstance(wanted, list) else [int(str(rule_id)) for rule_id in wanted]
        gone = [rule_id for rule_id in ids if rule_id in self._rules]
        died = sorted({job.rule.id for job in self._queues.dead() if job.rule.id in gone})
        before = dict(self._rules)
        for rule_id in gone:
            del self._rules[rule_id]
        if gone:
            try:
                self._tell_kernel()
            except BaseException:
                self._rules = before
                raise
        return {"ids": gone, "died": died}

    # telling the kernel

    def _tell_kernel(self) -> None:
        """Make the kernel do what the rules say. A device that goes while we look is a host that goes off."""
        for left in reversed(range(_ATTEMPTS)):
            try:
                self._tell_once()
                return
            except OSError as error:
                if not left or error.errno not in (errno.ENODEV, errno.ENOENT):
                    raise

    def _tell_once(self) -> None:
        rules = list(self._rules.values())
        devices = {name: index for index, name in socket.if_nameindex()}
        on = [host for host in self._hosts.values() if host.port in devices and host.is_on]
        ports = {host.address: (host.port, devices[host.port]) for host in on}
        self._bandwidth.make(rate_classes(rules), {address: index for address, (_, index) in ports.items()})
        self._tell(_PORTS, port_table(rules, ports))
        for host in on:
            self._bundle(host, rules)
        wanted = [job for host in on for job in jobs(rules, host)]
        if wanted:
            self._queues.start(wanted, native=self._mechanisms.native_queue)
        self._tell(_BRIDGE, bridge_table(rules))
        self._queues.stop_all_but(wanted)

    def _tell(self, place: str, batch: list[NetlinkMessage]) -> None:
        """Replace a table of the lab's namespace, unless it is so already."""
        is_empty = len(batch) <= 2
        if self._told.get(place, []) == ([] if is_empty else batch):
            return
        self._netlink = self._netlink or Netlink()
        self._netlink.batch(batch)
        self._told[place] = [] if is_empty else batch

    def _bundle(self, host: WiredHost, rules: Sequence[Rule]) -> None:
        """Have a host send packets one by one where a rule counts them, and else as ever."""
        single = any(
            counts_packets(rule) and any(source == host.address for source, _ in pairs(rule))
            for rule in rules
        )
        if single == (host in self._unbundled):
            return
        try:
            with host.network(), RtNetlink() as there:
                there.bundle_segments(host.cable, 1 if single else _SEGMENTS_MAX)
        except OSError as error:
            if error.errno != errno.ESRCH:
                raise
            return  # switched off a moment ago
        (self._unbundled.add if single else self._unbundled.discard)(host)

    # measuring

    def _probe(self, message: messages.Message, _fds: list[int], caller: socket.socket) -> None:
        """Measure in a child, which answers by itself: a lost packet must not keep other requests waiting."""
        asked = message["links"]
        if not isinstance(asked, list):
            raise ValueError("net_probe wants a list of links")
        ends = [
            probing.Ends(self._host(source), self._host(destination), int(port))
            for source, destination, port in asked
        ]
        keep = {host.process for pair in ends for host in (pair.source, pair.destination)}
        probing.in_child(lambda: probing.measure(message, ends), caller, tuple(keep))

    def _connections(self, message: messages.Message, _fds: list[int], caller: socket.socket) -> None:
        """List or break connections, in a child for the same reason."""
        wanted = probing.ConnectionsWanted.read(message)
        hosts = [host for host in self._hosts.values() if host.address in wanted.addresses and host.is_on]
        keep = tuple(host.process for host in hosts)
        probing.in_child(lambda: probing.connections(wanted, hosts), caller, keep)

    def _host(self, address: object) -> WiredHost:
        if address not in self._hosts:
            raise ValueError(f"no host with the address {address} was ever switched on")
        return self._hosts[str(address)]
