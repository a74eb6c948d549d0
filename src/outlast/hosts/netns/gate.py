"""The lab's gate: carries published ports into the lab, and dials addresses of the lab for the tool.

A listening socket belongs to the network namespace in which it was opened, whoever accepts from it. So the
tool opens one on 127.0.0.1 of the machine and hands it over; connections made here start inside the lab.
"""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Final, NoReturn

from outlast.hosts.netns import messages
from outlast.hosts.netns.request_server import log

SOCKET_NAME: Final = "gate.sock"
CHUNK_BYTES: Final = 256 * 1024
CONNECT_TIMEOUT_S: Final = 5.0
CONNECTIONS_MAX: Final = 2000
DEAD_AFTER_MS: Final = 5000
"""When a connection into the lab counts as dead. A client outside talks to us over loopback, where nothing ever dies:
it would wait for ever for a host without power, whatever it set for itself. Our own connection strings ask for as
much."""

KEEPALIVE_S: Final = 1


class Gate:
    """Serve on the unix socket in folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._published: dict[str, asyncio.Server] = {}
        self._open = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def serve(self) -> NoReturn:
        """Serve until killed."""
        # Both ends of a fork may be process 1 of their pid namespace, so asyncio can't tell the child by its
        # pid from a parent in which a loop was running.
        asyncio._set_running_loop(None)
        asyncio.run(self._main())
        raise AssertionError("the gate's loop ended")

    async def _main(self) -> None:
        loop = asyncio.get_running_loop()
        listener = messages.listen(self._folder / SOCKET_NAME)
        listener.setblocking(False)
        while True:
            connection, _address = await loop.sock_accept(listener)
            task = asyncio.create_task(self._converse(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _converse(self, connection: socket.socket) -> None:
        """Answer one caller until it leaves."""
        readable = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(connection, readable.set)
        try:
            while True:
                await readable.wait()
                readable.clear()
                try:
                    message, fds = messages.receive(connection)
                except BlockingIOError:
                    continue  # the loop told of data that the last round has taken already
                if message is None:
                    return
                try:
                    await self._answer(message, fds, connection)
                except (OSError, ValueError, KeyError, TimeoutError) as error:
                    messages.send(connection, messages.Failure.of(error).to_message())
        except OSError as error:
            log(f"a caller of the gate left: {error}")
        finally:
            loop.remove_reader(connection)
            connection.close()

    async def _answer(self, message: messages.Message, fds: list[int], connection: socket.socket) -> None:
        name = str(message.get("name"))
        match message.get("op"):
            case "publish":
                await self._publish(name, str(message["address"]), int(str(message["port"])), fds)
                messages.send(connection, {})
            case "unpublish":
                server = self._published.pop(name, None)
                if server is not None:
                    server.close()
                messages.send(connection, {})
            case "dial":
                address, port = str(message["address"]), int(str(message["port"]))
                timeout_s = float(str(message["timeout_s"]))
                with socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as dialled:
                    async with asyncio.timeout(timeout_s):
                        await asyncio.get_running_loop().sock_connect(dialled, (address, port))
                    messages.send(connection, {}, [dialled.fileno()])
            case other:
                for fd in fds:
                    os.close(fd)
                raise ValueError(f"no such request: {other!r}")

    async def _publish(self, name: str, address: str, port: int, fds: list[int]) -> None:
        if len(fds) != 1:
            raise ValueError(f"publish wants one listening socket, got {len(fds)} descriptors")
        listener = socket.socket(fileno=fds[0])
        listener.setblocking(False)

        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._carry(reader, writer, address, port)

        self._published[name] = await asyncio.start_server(carry, sock=listener, limit=CHUNK_BYTES)

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str, port: int
    ) -> None:
        """Carry one connection into the lab and back until either side ends it."""
        if self._open >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        self._open += 1
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                far_reader, far_writer = await asyncio.open_connection(address, port, limit=CHUNK_BYTES)
        except (OSError, TimeoutError):
            self._open -= 1
            writer.transport.abort()
            return
        _set_keepalive(far_writer.get_extra_info("socket"))
        try:
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        except OSError:
            # One side reset: the other must see the same, not an orderly end.
            writer.transport.abort()
            far_writer.transport.abort()
        finally:
            self._open -= 1
            writer.close()
            far_writer.close()


def _set_keepalive(far: socket.socket) -> None:
    """Have a connection end, with an error, soon after its other end stops answering. Source: tcp(7)."""
    far.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    far.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
    far.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_S)
    far.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_AFTER_MS)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the end of reader, then tell writer's side that no more comes."""
    while chunk := await reader.read(CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
