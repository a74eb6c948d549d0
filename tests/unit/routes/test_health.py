"""A balancer is healthy when a query through it is answered."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from outlast.config.cluster import ServiceSpec
from outlast.routes.haproxy import HaproxyService
from outlast.routes.pgbouncer import PgbouncerService

REFUSAL = b"E\x00\x00\x00\x26SFATAL\x00C08P01\x00Mno such user here\x00\x00"


@contextlib.asynccontextmanager
async def refusing() -> AsyncIterator[int]:
    """The port of a balancer that accepts every connection and refuses every client."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8192)
        writer.write(REFUSAL)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("kind", [HaproxyService(), PgbouncerService()])
async def test_a_balancer_that_refuses_every_client_is_not_healthy(kind: Any) -> None:
    async def dial(_address: str, _port: int, _timeout_s: float) -> Any:
        return SimpleNamespace(close=lambda: None)

    async with refusing() as number:
        port = SimpleNamespace(port=number)
        cluster: Any = SimpleNamespace(
            lab=SimpleNamespace(published={"b": port, "b/read": port}, dial=dial),
            spec=SimpleNamespace(user="app", database="app"),
            credentials=SimpleNamespace(password=lambda _user: "secret"),
        )
        assert not await kind.is_healthy(cluster, ServiceSpec(name="b", kind=kind.kind, address="172.28.0.9"))
