"""A small HTTP/1.1 server: enough for probes, scrapes, operators and curl, with a bound on everything."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from raftlog.config import split_address

log = logging.getLogger("raftlog")

HEAD_MAX: Final = 16 << 10
BODY_MAX: Final = 256 << 10
_IDLE_S: Final = 60.0
_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    412: "Precondition Failed",
    413: "Content Too Large",
    421: "Misdirected Request",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


@dataclass(frozen=True, slots=True)
class Request:
    """A request. path: unquoted, without the query."""

    method: str
    path: str
    query: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """A response. body: bytes as they are, anything else as JSON."""

    status: int
    body: Any
    kind: str = "application/json"

    def encode(self, keep_alive: bool) -> bytes:
        """Return it as sent."""
        data = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode() + b"\n"
        head = (
            f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Unknown')}\r\n"
            f"Content-Type: {self.kind}\r\nContent-Length: {len(data)}\r\n"
            f"Connection: {'keep-alive' if keep_alive else 'close'}\r\n\r\n"
        )
        return head.encode() + data


Handle = Callable[[Request], Awaitable[Response]]


class _BadRequest(Exception):
    """The client does not speak HTTP as we do."""


class HttpServer:
    """Serves handle on one address."""

    def __init__(self, listen: str, handle: Handle) -> None:
        self._listen, self._handle = listen, handle
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen."""
        host, port = split_address(self._listen)
        self._server = await asyncio.start_server(self._connected, host, port, limit=HEAD_MAX)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            keep_alive = True
            while keep_alive:
                async with asyncio.timeout(_IDLE_S):
                    request, keep_alive = await self._read(reader)
                response = await self._handle(request)
                writer.write(response.encode(keep_alive))
                await writer.drain()
        except _BadRequest as error:
            writer.write(Response(400, {"error": str(error)}).encode(keep_alive=False))
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> tuple[Request, bool]:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError as error:
            raise _BadRequest(f"a head of more than {HEAD_MAX} bytes") from error
        lines = head.decode("latin-1").split("\r\n")
        words = lines[0].split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            raise _BadRequest("no HTTP/1.1 request")
        fields = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:])
        }
        length = fields.get("content-length", "0")
        if not length.isdigit() or int(length) > BODY_MAX:
            raise _BadRequest(f"a body of {length} bytes; {BODY_MAX} at most")
        body = await reader.readexactly(int(length))
        url = urlsplit(words[1])
        keep_alive = fields.get("connection", "").lower() != "close"
        return Request(words[0], unquote(url.path), dict(parse_qsl(url.query)), body), keep_alive

    async def close(self) -> None:
        """Stop listening and hang up."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
