"""What a lab and a host are, whatever runs them."""

from __future__ import annotations

import signal as signals
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from outlast.net.base import Net


@dataclass(frozen=True, slots=True)
class Completed:
    """How a program ended. code: its exit status, −n when signal n killed it."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """One process as its host sees it. state: the letter of proc_pid_stat(5), Z for a zombie."""

    pid: int
    parent: int
    name: str
    state: str


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """A port of the lab that the machine can reach: 127.0.0.1:port leads to address:target_port."""

    name: str
    port: int
    address: str
    target_port: int


@dataclass(frozen=True, slots=True)
class Program:
    """What to start on a host.

    name: under which it is known there (``patroni``); argv: words, never a shell string; env: added to a
    minimal one; uid: run as this user in a user namespace of its own, None for the lab's root. module:
    argv[0] names a Python function (``package.module:main``), called without exec in a child of the host's
    init, which may have imported its module already. host_time: on a host with a clock of its own it follows that; a
    function that does not care starts faster without. log: file below the host's folder that takes stdout and stderr.
    """

    name: str
    argv: Sequence[str]
    log: str
    env: Mapping[str, str] | None = None
    uid: int | None = None
    module: bool = False
    host_time: bool = True


class Process(Protocol):
    """A program that runs on a host."""

    @property
    def pid(self) -> int:
        """Its id in the host's pid namespace."""
        ...

    async def wait(self, timeout_s: float) -> int:
        """Return its exit status. Raises TimeoutError when it has not ended by then."""
        ...


@dataclass(frozen=True, slots=True)
class DiskPace:
    """The most that a disk does. iops: operations a second; bps: bytes a second; 0: no limit."""

    read_iops: int = 0
    write_iops: int = 0
    read_bps: int = 0
    write_bps: int = 0


class Disk(Protocol):
    """A disk of a host's own, which can lose its power apart from the machine's."""

    async def stop(self) -> None:
        """Cut its power: from now on nothing reaches it, and what was not synced is lost."""
        ...

    async def fail(self) -> None:
        """Have it report an error: it can be read from now on, and not written. Raises HostError."""
        ...

    @property
    def is_stopped(self) -> bool:
        """Whether nothing can be written to it."""
        ...

    async def start(self) -> None:
        """Give it power again, while its host is off: its journal is replayed. Raises HostError."""
        ...

    async def sync(self) -> None:
        """Have everything written so far reach it."""
        ...

    @property
    def pace(self) -> DiskPace | None:
        """What it is held to, None when it may do what it can."""
        ...

    async def set_pace(self, pace: DiskPace | None) -> None:
        """Hold it to a pace, also when it is mounted anew; None: no more. Raises HostError."""
        ...


class Memory(Protocol):
    """The memory of some programs of a host, which can be given a limit; the kernel kills where it is passed."""

    async def limit(self, pids: Sequence[int], limit_bytes: int) -> None:
        """Let programs, and whatever they start, take so many bytes more together. Raises HostError.

        Called again it takes in more of them.
        """
        ...

    @property
    def kills(self) -> int | None:
        """How many of them the kernel has killed for want of memory; None when nothing is limited."""
        ...

    async def free(self) -> None:
        """Lift the limit; safe to call again. Raises HostError."""
        ...


class Clock(Protocol):
    """A wall clock of a host's own. Not all programs follow it: see ``hosts/netns/clocks.py``."""

    @property
    def offset_s(self) -> float:
        """How many seconds it is ahead of the machine's, below 0 when it is behind."""
        ...

    def set(self, offset_s: float, pace: float = 1.0) -> None:
        """Move it at once; from then on it gains pace - 1 seconds each second."""
        ...


class Host(Protocol):
    """One machine of a lab: its own processes, network, files below ``folder``, and power switch."""

    @property
    def name(self) -> str:
        """Its name, unique in the lab."""
        ...

    @property
    def address(self) -> str:
        """Its IP address in the lab."""
        ...

    @property
    def folder(self) -> Path:
        """Where its files are, the same path inside and outside."""
        ...

    @property
    def disk(self) -> Disk | None:
        """The disk that holds ``folder``, None when that is the machine's."""
        ...

    @property
    def memory(self) -> Memory | None:
        """What gives some of its programs a limit of memory, None where nothing can."""
        ...

    @property
    def clock(self) -> Clock | None:
        """The wall clock that its programs follow, None when that is the machine's."""
        ...

    async def spawn(self, program: Program) -> Process:
        """Start a program and return at once. Raises HostError when it can't be started."""
        ...

    async def run(self, program: Program, *, timeout_s: float, stdin: bytes = b"") -> Completed:
        """Run a program to its end; it is killed at the time-out, which raises TimeoutError."""
        ...

    async def signal(
        self,
        number: signals.Signals,
        *,
        name: str | None = None,
        pids: Sequence[int] = (),
        tree: bool = False,
    ) -> list[int]:
        """Send a signal to processes by program name or pid, with all below them when tree.

        Returns the pids that were there to take it.
        """
        ...

    async def processes(self) -> list[ProcessInfo]:
        """Return all that runs on the host. Raises HostError when it is off."""
        ...

    async def power_off(self) -> None:
        """Cut the cable, then end everything on the host at once; returns when all of it is gone."""
        ...

    async def power_on(self) -> None:
        """Start the host again, with its files and address; no program runs."""
        ...

    async def plug(self, plugged: bool) -> None:
        """Plug the cable in, or pull it: packets vanish, and no process hears of it.

        Raises HostError when there is none to plug in, because the host is off.
        """
        ...

    @property
    def is_on(self) -> bool:
        """Whether power_on was the last of the two to succeed."""
        ...

    async def put(self, path: str, data: bytes, mode: int = 0o600) -> Path:
        """Write a file below the host's folder and return its path. Raises HostError for a path outside."""
        ...

    async def get(self, path: str) -> bytes:
        """Read a file below the host's folder. Raises HostError when there is none."""
        ...


class Lab(Protocol):
    """Hosts on one network, and nothing else of the machine."""

    @property
    def name(self) -> str:
        """The lab's id."""
        ...

    @property
    def folder(self) -> Path:
        """Its state folder."""
        ...

    @property
    def hosts(self) -> Mapping[str, Host]:
        """All hosts by name, on or off."""
        ...

    @property
    def published(self) -> Mapping[str, PublishedPort]:
        """All published ports by name."""
        ...

    @property
    def net(self) -> Net:
        """What happens to packets between its hosts."""
        ...

    async def add_host(self, name: str, address: str, *, power: bool = True) -> Host:
        """Make a host and its folder, and switch it on unless told not to.

        Raises HostError for a name or address in use.
        """
        ...

    async def remove_host(self, name: str) -> None:
        """Switch a host off, take its published ports back and delete its files."""
        ...

    async def run(self, program: Program, *, timeout_s: float, stdin: bytes = b"") -> Completed:
        """Run a program of the lab's own, on no host, to its end; it sees all of the lab's files."""
        ...

    async def preload(self, modules: Sequence[str]) -> None:
        """Import Python modules once, for all hosts that are switched on later."""
        ...

    async def publish(self, name: str, address: str, target_port: int, port: int | None) -> PublishedPort:
        """Make address:target_port reachable at 127.0.0.1, at port or at a free one.

        Raises UnavailableError when port is in use.
        """
        ...

    async def dial(self, address: str, port: int, timeout_s: float) -> socket.socket:
        """Return a non-blocking TCP connection to an address of the lab. Raises OSError."""
        ...

    async def destroy(self) -> None:
        """End everything and remove the folder; safe to call again."""
        ...
