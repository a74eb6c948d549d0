"""Programs below one init, a host's or the lab's own, and the files they may write; seen from the tool."""

from __future__ import annotations

import asyncio
import os
import signal as signals
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from outlast.errors import HostError
from outlast.hosts.base import Completed, ProcessInfo, Program
from outlast.hosts.netns import messages
from outlast.hosts.netns.clocks import NetnsClock
from outlast.hosts.netns.init import SOCKET_NAME as INIT_SOCKET
from outlast.hosts.netns.request_client import RequestClient, ask
from outlast.pace import scaled

CALLED: Final = "outlast.hosts.netns.call_function"
OUTPUT_BYTES_MAX: Final = 64 * 1024 * 1024


class NetnsProcess:
    """A program that runs on a host; its init tells when it ends."""

    def __init__(self, pid: int, channel: RequestClient) -> None:
        self.pid = pid
        self._channel = channel
        self._code: int | None = None

    async def wait(self, timeout_s: float | None) -> int:
        """Return its exit status. Raises TimeoutError; HostError when the host goes off first."""
        if self._code is None:
            message, _fds = await self._channel.next(timeout_s)
            self._code = int(str(message["exit"]))
            self._channel.close()
        return self._code

    def forget(self) -> None:
        """Stop listening for its end; a program that was not started to stay is killed."""
        self._channel.close()


class Programs:
    """What runs below the init that serves in folder. name: for errors."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name

    async def spawn(self, program: Program) -> NetnsProcess:
        """Start a program that outlives the tool; its output goes to its log below the host's folder."""
        log = self._inside(program.log)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return await self._start(program, (null, out, out), keep=True)
        finally:
            os.close(out)
            os.close(null)

    async def run(self, program: Program, *, timeout_s: float, stdin: bytes = b"") -> Completed:
        """Run a program to its end and return what it said."""
        with (
            os.fdopen(os.memfd_create("stdin"), "w+b") as given,
            os.fdopen(os.memfd_create("stdout"), "w+b") as out,
            os.fdopen(os.memfd_create("stderr"), "w+b") as err,
        ):
            given.write(stdin)
            given.seek(0)
            process = await self._start(program, (given.fileno(), out.fileno(), err.fileno()), keep=False)
            try:
                code = await process.wait(scaled(timeout_s))
            except TimeoutError as error:
                raise TimeoutError(
                    f"{program.name} on {self.name} took over {scaled(timeout_s):g} s"
                ) from error
            finally:
                process.forget()
            out.seek(0)
            err.seek(0)
            return Completed(
                code,
                out.read(OUTPUT_BYTES_MAX).decode(errors="replace"),
                err.read(OUTPUT_BYTES_MAX).decode(errors="replace"),
            )

    async def attach(self, program: Program, fds: Sequence[int]) -> NetnsProcess:
        """Start a program on the caller's own stdin, stdout and stderr; it ends with the caller."""
        return await self._start(program, fds, keep=False)

    async def _start(self, program: Program, fds: Sequence[int], *, keep: bool) -> NetnsProcess:
        channel = RequestClient(self.folder / INIT_SOCKET)
        clock = NetnsClock(self.folder)
        follows = clock.exists and program.host_time
        anew = follows and program.module  # a fork of the init would keep the machine's time
        argv = [*(sys.executable, "-m", CALLED, program.name), *program.argv] if anew else program.argv
        time = clock.environment() if follows else {}
        message: messages.Message = {
            "op": "spawn",
            "name": program.name,
            "argv": list(argv),
            "env": {**minimal_env(self.folder), **time, **(program.env or {})},
            "cwd": str(self.folder),
            "uid": program.uid,
            "module": program.module and not anew,
            "keep": keep,
        }
        try:
            reply, _fds = await channel.request(message, fds)
        except HostError as error:
            channel.close()
            raise HostError(
                f"{program.name} did not start on {self.name}: {error.message}",
                kind=error.kind,
                errno=error.errno,
            ) from error
        return NetnsProcess(int(str(reply["pid"])), channel)

    async def signal(
        self,
        number: signals.Signals,
        *,
        name: str | None = None,
        pids: Sequence[int] = (),
        tree: bool = False,
    ) -> list[int]:
        """Send a signal by program name or pid; returns the pids that took it."""
        message: messages.Message = {"op": "signal", "signal": int(number), "pids": list(pids), "tree": tree}
        if name is not None:
            message["name"] = name
        reply = await ask(self.folder / INIT_SOCKET, message)
        reached = reply["pids"]
        return [int(pid) for pid in reached] if isinstance(reached, list) else []

    async def processes(self) -> list[ProcessInfo]:
        """Return all that runs on the host."""
        reply = await ask(self.folder / INIT_SOCKET, {"op": "processes"})
        found = reply["processes"]
        if not isinstance(found, list):
            raise HostError(f"{self.name}: the host's init gave no list of processes")
        return [
            ProcessInfo(process["pid"], process["parent"], process["name"], process["state"])
            for process in found
        ]

    async def put(self, path: str, data: bytes, mode: int = 0o600) -> Path:
        """Write a file below the host's folder, all or nothing."""
        place = self._inside(path)
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = place.with_name(place.name + ".new")
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        new.rename(place)
        return place

    async def get(self, path: str) -> bytes:
        """Read a file below the host's folder."""
        try:
            return await asyncio.to_thread(self._inside(path).read_bytes)
        except OSError as error:
            raise HostError(f"{self.name}: cannot read {path}: {error.strerror}") from error

    def _inside(self, path: str) -> Path:
        place = Path(os.path.normpath(self.folder / path))
        if not place.is_relative_to(self.folder):
            raise HostError(f"{self.name}: {path} is not below the host's folder")
        return place


def minimal_env(home: Path) -> dict[str, str]:
    """Return the environment a program of a host gets: no secret and no setting of the person's own."""
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
