"""The tool's end of a conversation with one of a lab's processes."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from outlast.errors import HostError
from outlast.hosts.netns import messages
from outlast.pace import scaled

REQUEST_TIMEOUT_S: Final = 15.0


class RequestClient:
    """One connection; one request at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._socket = messages.connect(path, scaled(REQUEST_TIMEOUT_S))
        except OSError as error:
            raise _ended(path, error) from error
        self._socket.setblocking(False)

    @property
    def peer_pid(self) -> int:
        """The process at the other end, by its pid on the machine."""
        raw = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int.from_bytes(raw[:4], "little")

    def close(self) -> None:
        """End the conversation."""
        self._socket.close()

    async def request(
        self, message: messages.Message, fds: Sequence[int] = (), *, timeout_s: float = REQUEST_TIMEOUT_S
    ) -> tuple[messages.Message, list[int]]:
        """Send a request and return its reply with the reply's descriptors.

        Raises HostError when the other end says no, with the kind and errno of the error there, goes away or does not
        answer in time.
        """
        timeout_s = scaled(timeout_s)
        try:
            messages.send(self._socket, message, fds)
        except OSError as error:
            raise _ended(self._path, error) from error
        try:
            return await self.next(timeout_s)
        except TimeoutError as error:
            raise HostError(
                f"{self._path.parent.name}: no answer to {message.get('op')} in {timeout_s:g} s"
            ) from error

    async def next(self, timeout_s: float | None) -> tuple[messages.Message, list[int]]:
        """Return the next message from the other end. Raises TimeoutError, or HostError as request does."""
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(self._socket, readable.set)
        try:
            async with asyncio.timeout(timeout_s):
                await readable.wait()
        finally:
            loop.remove_reader(self._socket)
        try:
            message, fds = messages.receive(self._socket)
        except OSError as error:
            raise _ended(self._path, error) from error
        if message is None:
            raise _ended(self._path)
        if (failure := messages.Failure.read(message)) is not None:
            for fd in fds:
                os.close(fd)
            raise failure.to_error(self._path.parent.name)
        return message, fds


def _ended(path: Path, error: OSError | None = None) -> HostError:
    """Return the error for a process that listened at path, and does no more."""
    why = f": {error.strerror or error}" if error is not None else ""
    return HostError(
        f"{path.parent.name}: its {path.stem} has ended{why}",
        hint="somebody killed it, or the whole lab, from outside; outlast down --all removes what is left",
    )


async def ask(path: Path, message: messages.Message, fds: Sequence[int] = ()) -> messages.Message:
    """Ask one question over a connection of its own and return the reply."""
    channel = RequestClient(path)
    try:
        reply, received = await channel.request(message, fds)
        for fd in received:
            os.close(fd)
        return reply
    finally:
        channel.close()
