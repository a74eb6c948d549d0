"""A lab without isolation, for unit tests: hosts are folders, programs are plain child processes.

No namespaces, no network of its own, never used by a command. It keeps the promises of the protocols that do not
need the kernel; tests/contract runs it through the same suite as the real ones.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal as signals
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from outlast.errors import HostError
from outlast.hosts.base import Completed, ProcessInfo, Program, PublishedPort
from outlast.testing.fake_net import FakeNet


class FakeProcess:
    """A child process of the tool."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.process = process
        self.pid = process.pid

    async def wait(self, timeout_s: float) -> int:
        """Return its exit status. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            return await self.process.wait()


class FakeHost:
    """A folder and the processes started from it."""

    def __init__(self, folder: Path, name: str, address: str) -> None:
        self.name = name
        self.address = address
        self.folder = folder
        self.is_on = False
        self._started: list[FakeProcess] = []

    async def power_on(self) -> None:
        """Let programs start again."""
        self.is_on = True

    async def power_off(self) -> None:
        """Kill everything that was started here."""
        for started in self._started:
            if started.process.returncode is None:
                os.killpg(started.pid, signals.SIGKILL)
                await started.process.wait()
        self._started.clear()
        self.is_on = False

    disk = None
    memory = None
    clock = None

    async def plug(self, plugged: bool) -> None:
        """There is no cable: nothing happens."""

    async def spawn(self, program: Program) -> FakeProcess:
        """Start a program that writes to its log."""
        with self._inside(program.log).open("ab") as log:
            return await self._start(program, asyncio.subprocess.DEVNULL, log.fileno(), log.fileno())

    async def run(self, program: Program, *, timeout_s: float, stdin: bytes = b"") -> Completed:
        """Run a program to its end."""
        pipe = asyncio.subprocess.PIPE
        started = await self._start(program, pipe, pipe, pipe)
        try:
            async with asyncio.timeout(timeout_s):
                out, err = await started.process.communicate(stdin)
        except TimeoutError:
            os.killpg(started.pid, signals.SIGKILL)
            await started.process.wait()
            raise
        return Completed(await started.process.wait(), out.decode(), err.decode())

    async def _start(self, program: Program, stdin: int, stdout: int, stderr: int) -> FakeProcess:
        if not self.is_on:
            raise HostError(f"{self.name} is off")
        argv = list(program.argv)
        if program.module:
            module, _, function = argv[0].partition(":")
            argv[:1] = [sys.executable, "-c", f"import sys, {module}; sys.exit({module}.{function}())"]
        env = {**os.environ, **(program.env or {})}
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                cwd=self.folder,
                env=env,
                start_new_session=True,
            )
        except OSError as error:
            raise HostError(
                f"{program.name} did not start on {self.name}: {error.strerror}", errno=error.errno
            ) from error
        started = FakeProcess(program.name, process)
        self._started.append(started)
        return started

    async def signal(
        self,
        number: signals.Signals,
        *,
        name: str | None = None,
        pids: Sequence[int] = (),
        tree: bool = False,
    ) -> list[int]:
        """Signal by name or pid; with tree the whole process group."""
        reached = []
        for started in self._started:
            if started.process.returncode is None and (started.name == name or started.pid in pids):
                (os.killpg if tree else os.kill)(started.pid, number)
                reached.append(started.pid)
        return reached

    async def processes(self) -> list[ProcessInfo]:
        """Return what runs."""
        if not self.is_on:
            raise HostError(f"{self.name} is off")
        return [ProcessInfo(o.pid, 1, o.name, "S") for o in self._started if o.process.returncode is None]

    async def put(self, path: str, data: bytes, mode: int = 0o600) -> Path:
        """Write a file."""
        place = self._inside(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        place.chmod(mode)
        return place

    async def get(self, path: str) -> bytes:
        """Read a file."""
        try:
            return self._inside(path).read_bytes()
        except OSError as error:
            raise HostError(f"{self.name}: cannot read {path}: {error.strerror}") from error

    def _inside(self, path: str) -> Path:
        place = Path(os.path.normpath(self.folder / path))
        if not place.is_relative_to(self.folder):
            raise HostError(f"{self.name}: {path} is not below the host's folder")
        return place


class FakeLab:
    """Fake hosts in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self.published: dict[str, PublishedPort] = {}
        self._hosts: dict[str, FakeHost] = {}
        self.net = FakeNet(self._hosts)

    @property
    def hosts(self) -> Mapping[str, FakeHost]:
        """All hosts by name."""
        return self._hosts

    async def add_host(self, name: str, address: str, *, power: bool = True) -> FakeHost:
        """Make a host and switch it on unless told not to."""
        if name in self._hosts:
            raise HostError(f"{self.name}: there is a host {name} already", errno=errno.EEXIST)
        if any(host.address == address for host in self._hosts.values()):
            raise HostError(f"{self.name}: a host has the address {address} already", errno=errno.EADDRINUSE)
        host = self._hosts[name] = FakeHost(self.folder / "hosts" / name, name, address)
        (host.folder / "log").mkdir(parents=True)
        if power:
            await host.power_on()
        return host

    async def remove_host(self, name: str) -> None:
        """Switch a host off and forget it."""
        await self._hosts[name].power_off()
        del self._hosts[name]

    async def run(self, program: Program, *, timeout_s: float, stdin: bytes = b"") -> Completed:
        """Run a program in the lab's folder."""
        host = FakeHost(self.folder, self.name, "")
        host.is_on = True
        return await host.run(program, timeout_s=timeout_s, stdin=stdin)

    async def preload(self, modules: Sequence[str]) -> None:
        """Nothing to share between plain processes."""

    async def publish(self, name: str, address: str, target_port: int, port: int | None) -> PublishedPort:
        """Only note it: the fake's programs listen on the machine itself."""
        self.published[name] = PublishedPort(name, port or target_port, address, target_port)
        return self.published[name]

    async def dial(self, address: str, port: int, timeout_s: float) -> socket.socket:
        """Connect to the machine's own loopback."""
        async with asyncio.timeout(timeout_s):
            sock = socket.socket()
            sock.setblocking(False)
            try:
                await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
            except OSError:
                sock.close()
                raise
            return sock

    async def destroy(self) -> None:
        """Switch all hosts off and remove the folder."""
        for host in self._hosts.values():
            await host.power_off()
        shutil.rmtree(self.folder, ignore_errors=True)
