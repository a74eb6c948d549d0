"""A lab of namespaces, seen from the tool: made, found again, removed."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import ipaddress
import json
import os
import select
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, TypedDict

import outlast
from outlast.clock import now_ns
from outlast.errors import HostError, UnavailableError
from outlast.files import write_atomic
from outlast.hosts.base import Completed, Program, PublishedPort
from outlast.hosts.netns import disks, memory, messages, throttle
from outlast.hosts.netns.clocks import NetnsClock
from outlast.hosts.netns.gate import SOCKET_NAME as GATE_SOCKET
from outlast.hosts.netns.host import NetnsHost
from outlast.hosts.netns.init import SOCKET_NAME as INIT_SOCKET
from outlast.hosts.netns.launch import PID_NAME, LaunchPlan, init_pid
from outlast.hosts.netns.net import NetnsNet
from outlast.hosts.netns.programs import Programs
from outlast.hosts.netns.request_client import RequestClient, ask
from outlast.hosts.netns.wires import SOCKET_NAME as WIRES_SOCKET
from outlast.hosts.state import cache_folder, runs_folder
from outlast.pace import scaled, scaled_deadline_ns

STATE_NAME: Final = "lab.json"
LOCK_NAME: Final = "lab.lock"
LAUNCH_TIMEOUT_S: Final = 20.0
END_TIMEOUT_S: Final = 20.0
LOOK_TIMEOUT_S: Final = 10.0


class _Saved(TypedDict):
    """What lab.json holds."""

    runtime: str
    subnet: str
    hosts: list[dict[str, str]]
    published: list[dict[str, Any]]
    released: bool


def bind_port(name: str, port: int | None) -> socket.socket:
    """Return a socket bound at a port of 127.0.0.1, or at a free one. Raises UnavailableError when it is in use."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port or 0))
    except OSError as error:
        listener.close()
        raise UnavailableError(
            f"port {port} for {name} cannot be used: {error.strerror}",
            hint=f"free it, or choose another with --set ports.{name}=PORT (0 for any free one)",
        ) from error
    return listener


class NetnsLab:
    """One lab. Make it with create, find it again with open."""

    def __init__(self, folder: Path, subnet: ipaddress.IPv4Network) -> None:
        self.folder = folder
        self.name = folder.name
        self.subnet = subnet
        self._hosts: dict[str, NetnsHost] = {}
        self.published: dict[str, PublishedPort] = {}
        self.is_released = False
        self._lifeline: int | None = None
        self.net = NetnsNet(folder, self._hosts)

    @property
    def hosts(self) -> dict[str, NetnsHost]:
        """All hosts by name, on or off."""
        return self._hosts

    @classmethod
    async def create(
        cls,
        folder: Path,
        subnet: str,
        disks_for: Sequence[str] = (),
        clocks_for: Sequence[str] = (),
        shared: Sequence[str] = (),
    ) -> NetnsLab:
        """Make a lab in folder, which must not exist. disks_for, clocks_for: hosts that get a disk, a wall clock
        of their own. shared: folders below the lab's that every host may write to; any other is its own alone.

        Until it is released, the lab ends when this process does, however that happens. Raises
        UnavailableError when the kernel refuses namespaces, HostError when the lab's init does not start.
        """
        folder.mkdir(mode=0o700)
        network = ipaddress.IPv4Network(subnet)
        lab = cls(folder, network)
        visible = {
            sys.prefix,
            sys.base_prefix,
            str(Path(outlast.__file__).parent.parent),
            str(cache_folder()),
        }
        for name in shared:
            (folder / name).mkdir(mode=0o700)
        below = tuple(str(folder / name) for name in (*(f"hosts/{host}" for host in disks_for), *shared))
        plan = LaunchPlan(lab.name, (str(folder), str(runs_folder()), *below), tuple(sorted(visible)))
        plan.save(folder)
        lab._record(lambda saved: None)
        try:
            await disks.make_all(folder, disks_for)
            for name in clocks_for:
                NetnsClock.make(folder / "hosts" / name)
            await lab._launch()
            gateway = next(network.hosts())
            await asyncio.gather(lab._wait_for_socket(WIRES_SOCKET), lab._wait_for_socket(GATE_SOCKET))
            await ask(folder / WIRES_SOCKET, {"op": "bridge", "address": f"{gateway}/{network.prefixlen}"})
        except BaseException:
            await lab.destroy()
            raise
        return lab

    @classmethod
    def open(cls, folder: Path) -> NetnsLab:
        """Find a lab again. Raises HostError when folder holds none, and when its init does not answer."""
        try:
            saved = json.loads((folder / STATE_NAME).read_text())
        except (OSError, ValueError) as error:
            raise HostError(f"{folder} holds no lab: {error}") from error
        lab = cls(folder, ipaddress.IPv4Network(saved["subnet"]))
        on = _hosts_on(folder)
        for host in saved["hosts"]:
            lab._hosts[host["name"]] = NetnsHost(
                folder,
                host["name"],
                host["address"],
                lab.subnet.prefixlen,
                is_on=host["name"] in on,
            )
        lab.is_released = saved["released"]
        lab.published = {port["name"]: PublishedPort(**port) for port in saved["published"]}
        return lab

    @classmethod
    def nameless(cls, folder: Path) -> NetnsLab:
        """Return a lab of which nothing but its folder is known, so that it can be destroyed."""
        return cls(folder, ipaddress.IPv4Network("0.0.0.0/32"))

    @property
    def is_orphan(self) -> bool:
        """Whether it ended with the tool that made it: never released, its init started once and gone."""
        return not self.is_released and (self.folder / PID_NAME).exists() and not self.is_running

    @property
    def init_pid(self) -> int | None:
        """The lab's init by its pid on the machine; None when it has ended."""
        return init_pid(self.folder)

    @property
    def is_running(self) -> bool:
        """Whether the lab's init lives."""
        return self.init_pid is not None

    async def release(self) -> None:
        """Let the lab outlive this process; it stays until it is destroyed."""
        await ask(self.folder / INIT_SOCKET, {"op": "release"})
        self.is_released = True
        self._record(lambda saved: saved.update({"released": True}))

    async def run(self, program: Program, *, timeout_s: float, stdin: bytes = b"") -> Completed:
        """Run a program of the lab's own, on no host, to its end; it sees all of the lab's files."""
        return await Programs(self.folder, self.name).run(program, timeout_s=timeout_s, stdin=stdin)

    async def add_host(self, name: str, address: str, *, power: bool = True) -> NetnsHost:
        """Make a host and its folder, and switch it on unless told not to.

        Raises HostError for a name in use (EEXIST), or an address (EADDRINUSE): another process may have been first.
        """

        def add(saved: _Saved) -> None:
            if any(name == host["name"] for host in saved["hosts"]):
                raise HostError(f"{self.name}: there is a host {name} already", errno=errno.EEXIST)
            if any(address == host["address"] for host in saved["hosts"]):
                raise HostError(
                    f"{self.name}: a host has the address {address} already", errno=errno.EADDRINUSE
                )
            saved["hosts"].append({"name": name, "address": address})

        self._record(add)
        host = NetnsHost(self.folder, name, address, self.subnet.prefixlen, is_on=False)
        self._hosts[name] = host
        (host.folder / "log").mkdir(parents=True, exist_ok=True, mode=0o700)
        if power:
            await host.power_on()
        return host

    async def remove_host(self, name: str) -> None:
        """Switch a host off, take its published ports back and delete its files."""
        host = self._hosts[name]
        if host.is_on:
            await host.power_off()
        for port in [port for port in self.published.values() if port.address == host.address]:
            await self.unpublish(port.name)
        del self._hosts[name]
        self._record(
            lambda saved: saved.update({"hosts": [host for host in saved["hosts"] if host["name"] != name]})
        )
        await asyncio.to_thread(shutil.rmtree, host.folder, True)

    async def preload(self, modules: Sequence[str]) -> None:
        """Import Python modules in the lab's init, for all hosts that are switched on later."""
        await ask(self.folder / INIT_SOCKET, {"op": "preload", "modules": list(modules)})

    async def publish(self, name: str, address: str, target_port: int, port: int | None) -> PublishedPort:
        """Make address:target_port of the lab reachable at 127.0.0.1, at port or at a free one."""
        with bind_port(name, port) as listener:
            listener.listen(512)
            await ask(
                self.folder / GATE_SOCKET,
                {"op": "publish", "name": name, "address": address, "port": target_port},
                [listener.fileno()],
            )
            found = PublishedPort(name, listener.getsockname()[1], address, target_port)
        self.published[name] = found

        def keep(saved: _Saved) -> None:
            others = [port for port in saved["published"] if port["name"] != name]
            saved["published"] = [*others, asdict(found)]

        self._record(keep)
        return found

    async def unpublish(self, name: str) -> None:
        """Take a published port back."""
        await ask(self.folder / GATE_SOCKET, {"op": "unpublish", "name": name})
        self.published.pop(name, None)
        self._record(
            lambda saved: saved.update(
                {"published": [port for port in saved["published"] if port["name"] != name]}
            )
        )

    async def dial(self, address: str, port: int, timeout_s: float) -> socket.socket:
        """Return a non-blocking TCP connection to an address of the lab.

        Raises the OSError that connecting raised inside the lab, ConnectionError when the lab itself does not answer.
        """
        channel = RequestClient(self.folder / GATE_SOCKET)
        try:
            _reply, fds = await channel.request(
                {"op": "dial", "address": address, "port": port, "timeout_s": timeout_s},
                timeout_s=timeout_s + 1,
            )
        except HostError as error:
            if error.errno is None:
                raise ConnectionError(f"{address}:{port}: {error.message}") from error
            raise OSError(error.errno, f"{address}:{port}: {os.strerror(error.errno)}") from error
        finally:
            channel.close()
        return socket.socket(fileno=fds[0])

    async def destroy(self) -> None:
        """Kill the lab's init, wait for all of the lab to be gone, remove the folder; safe to call again."""
        throttle.end_all(self.folder)  # what waits for a slow disk would not die before it answers
        await self.end()
        await asyncio.to_thread(memory.free_all, self.folder)
        await asyncio.to_thread(disks.remove, self.folder)
        await asyncio.to_thread(_remove_tree, self.folder)

    async def end(self) -> None:
        """Kill the lab's init and wait until the kernel has ended everything below it."""
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None
        pid = self.init_pid
        if pid is None:
            return
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            if self.init_pid != pid:
                return  # it ended between the look and the open, and another took its number
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            await asyncio.to_thread(_wait_for_end, handle, self.name)
        finally:
            os.close(handle)

    async def _launch(self) -> None:
        reader, writer = os.pipe2(os.O_CLOEXEC)
        launcher = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "outlast.hosts.netns.launch",
            str(self.folder),
            stdin=reader,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        os.close(reader)
        self._lifeline = writer
        try:
            async with asyncio.timeout(scaled(LAUNCH_TIMEOUT_S)):
                out, err = await launcher.communicate()
        except TimeoutError as error:
            launcher.kill()
            raise HostError(
                f"lab {self.name}: its init was not ready in {scaled(LAUNCH_TIMEOUT_S):g} s"
            ) from error
        said = out.decode().strip()
        if said == "ready":
            return
        if said.startswith("refused: "):
            raise UnavailableError(
                f"the kernel refuses namespaces to this user: {said.removeprefix('refused: ')}",
                hint="run as root, or allow them: sysctl -w kernel.unprivileged_userns_clone=1 (Debian), "
                "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu)",
            )
        log = self.folder / "init.log"
        words = log.read_text(errors="replace") if log.exists() else ""
        raise HostError(f"lab {self.name}: {said or err.decode().strip()} {words[-2000:]}".rstrip())

    async def _wait_for_socket(self, name: str) -> None:
        deadline = scaled_deadline_ns(LAUNCH_TIMEOUT_S)
        while not _answers(self.folder / name):
            if now_ns() > deadline:
                raise HostError(f"lab {self.name}: {name} did not answer in {scaled(LAUNCH_TIMEOUT_S):g} s")
            await asyncio.sleep(0.005)

    def _record(self, change: Callable[[_Saved], None]) -> None:
        """Change what is written down of the lab. Other processes change it too, so it is read again first."""
        with (self.folder / LOCK_NAME).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            path = self.folder / STATE_NAME
            saved: _Saved = (
                json.loads(path.read_text())
                if path.exists()
                else {
                    "runtime": "netns",
                    "subnet": str(self.subnet),
                    "hosts": [],
                    "published": [],
                    "released": False,
                }
            )
            change(saved)
            write_atomic(path, json.dumps(saved))


def _hosts_on(folder: Path) -> frozenset[str]:
    """Return which hosts are on, none of them when the lab has ended. Raises HostError when its init does not answer.

    The answer comes once the init has done what it is about: it may be switching a host off for a tool that has died.
    """
    try:
        with messages.connect(folder / INIT_SOCKET, scaled(LOOK_TIMEOUT_S)) as connection:
            messages.send(connection, {"op": "hosts"})
            reply, _fds = messages.receive(connection)
    except TimeoutError as error:
        raise HostError(
            f"lab {folder.name}: its init did not answer in {scaled(LOOK_TIMEOUT_S):g} s"
        ) from error
    except OSError:
        return frozenset()
    found = None if reply is None else reply.get("hosts")
    return frozenset(map(str, found)) if isinstance(found, list) else frozenset()


def _answers(path: Path) -> bool:
    try:
        RequestClient(path).close()
    except HostError:
        return False
    return True


def _wait_for_end(handle: int, name: str) -> None:
    """Wait for a process by its pidfd. Raises HostError when it does not end in time.

    The pidfd is readable once the process, and with it all of its pid namespace, has ended.
    Sources: pidfd_open(2), pid_namespaces(7).
    """
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    if not poll.poll(scaled(END_TIMEOUT_S) * 1000):
        raise HostError(f"lab {name}: its processes did not end in {scaled(END_TIMEOUT_S):g} s after SIGKILL")


def _remove_tree(folder: Path) -> None:
    """Remove a folder whose files no living process holds; a second ``down`` may be removing them too."""

    def passed_over(_call: object, _path: object, info: tuple[object, BaseException, object]) -> None:
        if not isinstance(info[1], FileNotFoundError):
            raise info[1]

    shutil.rmtree(folder, onerror=passed_over)
