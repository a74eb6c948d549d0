"""A query that is given up has ended before its connection is freed: libpq would crash the process otherwise."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

import pytest

from outlast.systems.postgres.views import Connection, within


class Silent:
    """A connection to a server that never answers; its query ends when its socket does."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.in_use = False
        self.began = asyncio.Event()

    def fileno(self) -> int:
        return self.ours.fileno()

    async def query(self) -> str:
        self.in_use = True
        self.began.set()
        try:
            await asyncio.get_running_loop().sock_recv(self.ours, 1)
            return "answered"
        finally:
            self.in_use = False


def bounded(connection: Silent, timeout_s: float) -> Any:
    return within(cast("Connection", connection), connection.query(), timeout_s)


async def test_out_of_time_it_has_ended() -> None:
    connection = Silent()
    with pytest.raises(TimeoutError, match="no answer"):
        await bounded(connection, 0.05)
    assert not connection.in_use


async def test_cancelled_it_has_ended() -> None:
    connection = Silent()
    task = asyncio.create_task(bounded(connection, 5))
    await connection.began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not connection.in_use


async def test_an_answer_is_returned() -> None:
    connection = Silent()
    connection.theirs.send(b"x")
    assert await bounded(connection, 5) == "answered"
