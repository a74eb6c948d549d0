"""The lab's wires: a bridge and a veth pair for each host; what faults do to packets on them is in rule_table.py.

A process of its own, so that netlink code stays out of the inits; it enters a host's network namespace
when it has to and returns to the lab's.
"""

from __future__ import annotations

import errno
import ipaddress
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn

from outlast.hosts.netns import messages, syscalls
from outlast.hosts.netns.request_server import RequestServer
from outlast.hosts.netns.rule_table import RuleTable
from outlast.net.rtnetlink import LOOPBACK, RtNetlink, index_of

SOCKET_NAME: Final = "wires.sock"
BRIDGE: Final = "br0"
PORT: Final = "eth0"


class Wires:
    """Serve on the unix socket in folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port_of: dict[str, str] = {}  # the bridge's port of each host

    def serve(self) -> NoReturn:
        """Serve until killed."""
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._route = RtNetlink()
        self._rules = RuleTable(self._route)
        server = RequestServer(messages.listen(self._folder / SOCKET_NAME))
        server.handlers = {
            "bridge": lambda message, _fds, _caller: self.bridge(str(message["address"])),
            "attach": lambda message, _fds, _caller: self.attach(
                str(message["host"]), int(str(message["pid"])), str(message["address"])
            ),
            "link": lambda message, _fds, _caller: self.link(str(message["host"]), bool(message["up"])),
        }
        self._rules.serve_on(server)
        server.serve_forever()
        raise AssertionError("serve_forever returned")

    def bridge(self, address: str) -> messages.Message:
        """Make the lab's bridge and give it address (``172.28.0.1/24``)."""
        interface = ipaddress.ip_interface(address)
        self._route.switch(LOOPBACK, up=True)
        self._route.add_bridge(BRIDGE)
        index = _index(BRIDGE)
        self._route.add_address(index, interface)
        self._route.switch(index, up=True)
        return {}

    def attach(self, host: str, pid: int, address: str) -> messages.Message:
        """Wire the host whose init is pid (in the lab) to the bridge, with address on its eth0.

        The hardware address follows from the IP address: a host that comes back after a power-off is the
        same station to its peers, whose ARP tables still hold it.
        """
        interface = ipaddress.ip_interface(address)
        mac = "02:00:" + ":".join(f"{byte:02x}" for byte in interface.ip.packed[-4:])
        near = port_name(interface)
        self._remove(near)
        self._route.add_pair(near, PORT, mac, pid)
        self._route.plug(_index(near), _index(BRIDGE))
        self._port_of[host] = near
        with self._inside(pid), RtNetlink() as there:
            there.switch(LOOPBACK, up=True)
            far = _index(PORT)
            there.add_address(far, interface)
            there.switch(far, up=True)
        self._rules.attached(host, str(interface.ip), pid, near, far)
        return {"mac": mac}

    def link(self, host: str, up: bool) -> messages.Message:
        """Plug a host's cable in or out at the bridge's side."""
        index = index_of(self._port_of[host])
        if index is not None:
            self._route.switch(index, up=up)
        return {"found": index is not None}

    def _remove(self, name: str) -> None:
        """Remove a device that a host of old has left, if the kernel, which takes its time, has not yet."""
        index = index_of(name)
        if index is not None:
            try:
                self._route.remove(index)
            except OSError as error:
                if error.errno != errno.ENODEV:
                    raise

    @contextmanager
    def _inside(self, pid: int) -> Iterator[None]:
        """Be in the network namespace of pid for a while."""
        there = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscalls.setns(there, syscalls.CLONE_NEWNET)
            try:
                yield
            finally:
                syscalls.setns(self._home, syscalls.CLONE_NEWNET)
        finally:
            os.close(there)


def _index(name: str) -> int:
    """Return the index of a device of this namespace. Raises OSError when there is none."""
    index = index_of(name)
    if index is None:
        raise OSError(errno.ENODEV, f"there is no device {name}")
    return index


def port_name(interface: ipaddress.IPv4Interface | ipaddress.IPv6Interface) -> str:
    """Return the name of the bridge's port for an address: unique in the lab, at most 15 characters."""
    return "h" + interface.ip.packed[-4:].hex()
