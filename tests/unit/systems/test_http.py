"""HTTP over a connection of its own: one request, one answer, and never longer than it was told."""

from __future__ import annotations

import asyncio
import time

import pytest
from waiting import forever

from outlast.systems.http import request


async def serve(answer: bytes, *, closes: bool) -> tuple[asyncio.Server, int]:
    """Serve one answer to every request; closes: hangs up only when it is asked to, or never."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        if closes and b"connection: close" in head.lower():
            writer.close()
        else:
            await forever()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


async def test_a_server_that_keeps_connections_is_told_not_to() -> None:
    server, port = await serve(b'HTTP/1.1 200 OK\r\n\r\n{"a": 1}', closes=True)
    async with server:
        answer = await request(None, ("127.0.0.1", port), "GET", "/", timeout_s=2)
        assert (answer.status, answer.body) == (200, {"a": 1})


async def test_a_server_that_hangs_is_given_up_in_time() -> None:
    server, port = await serve(b"", closes=False)
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        await request(None, ("127.0.0.1", port), "GET", "/", timeout_s=0.2)
    assert time.monotonic() - start < 2
    server.close()


async def test_what_is_no_http_is_an_error_of_the_connection() -> None:
    server, port = await serve(b"hello", closes=True)
    async with server:
        with pytest.raises(ConnectionError):
            await request(None, ("127.0.0.1", port), "GET", "/", timeout_s=2)
