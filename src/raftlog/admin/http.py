"""A small HTTP/1.1 server: enough for probes, scrapes, operators and curl, with a bound on everything.

h11 reads and writes the protocol, so that what is a request, where its body ends and when a connection may be used
again are decided by a library that is tested for it. This module adds the socket, the bounds and the times.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import h11

from raftlog.config import split_address

HEAD_MAX: Final = 16 << 10
"""Bytes of a request line with its headers."""
BODY_MAX: Final = 256 << 10
"""Bytes of a request's body."""
CONNECTIONS_MAX: Final = 1_000
"""One more is closed at once."""
REQUEST_TIMEOUT_S: Final = 60.0
"""Within which a request must be here, from the end of the one before; and within which a response must be taken."""
_READ_BYTES: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request. path: unquoted, without the query. query: the last value of each name."""

    method: str
    path: str
    query: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response. body: bytes as they are, anything else as JSON. content_type: of bytes."""

    status: int
    body: Any
    content_type: str = "application/json"


Handler = Callable[[HttpRequest], Awaitable[HttpResponse]]


class RequestError(Exception):
    """A request that is not taken. status: what the client is told, if it can be told anything."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class HttpServer:
    """Serves one handler on one address, given as host:port. request_timeout_s: see REQUEST_TIMEOUT_S."""

    def __init__(
        self, listen: str, handler: Handler, *, request_timeout_s: float = REQUEST_TIMEOUT_S
    ) -> None:
        self._listen, self._handler, self._request_timeout_s = listen, handler, request_timeout_s
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen. Raises OSError."""
        host, port = split_address(self._listen)
        self._server = await asyncio.start_server(self._serve, host, port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if len(self._writers) <= CONNECTIONS_MAX:
                await HttpConnection(reader, writer, self._handler, self._request_timeout_s).run()
        except (OSError, TimeoutError):
            pass  # the client has gone, or was too slow
        finally:
            self._writers.discard(writer)
            writer.close()

    async def close(self) -> None:
        """Stop listening and hang up."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.close()


class HttpConnection:
    """One client's connection: requests are answered in the order in which they came."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        handler: Handler,
        request_timeout_s: float,
    ) -> None:
        self._reader, self._writer, self._handler = reader, writer, handler
        self._timeout_s = request_timeout_s
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_MAX)
        self._wants_body = True

    async def run(self) -> None:
        """Answer requests until either side ends the connection. Raises OSError or TimeoutError."""
        try:
            while True:
                async with asyncio.timeout(self._timeout_s):
                    request = await self._read_request()
                if request is None:
                    return
                await self._respond(await self._handler(request))
                if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                    return
                self._http.start_next_cycle()
        except (RequestError, h11.RemoteProtocolError) as error:
            status = error.status if isinstance(error, RequestError) else error.error_status_hint
            if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                await self._respond(HttpResponse(status, {"error": str(error)}), close=True)

    async def _read_request(self) -> HttpRequest | None:
        """Return the next request, None when the client has closed the connection instead.

        Raises RequestError or h11.RemoteProtocolError.
        """
        head = await self._next_event()
        if isinstance(head, h11.ConnectionClosed):
            return None
        assert isinstance(head, h11.Request)
        self._wants_body = head.method != b"HEAD"
        announced = next((int(value) for name, value in head.headers if name == b"content-length"), 0)
        if announced > BODY_MAX:
            raise RequestError(413, f"a body of {announced} bytes; at most {BODY_MAX} are allowed")
        if self._http.they_are_waiting_for_100_continue:
            self._write(h11.InformationalResponse(status_code=100, headers=[]))
        body = bytearray()
        while isinstance(event := await self._next_event(), h11.Data):
            body += event.data
            if len(body) > BODY_MAX:
                raise RequestError(413, f"a body of more than {BODY_MAX} bytes")
        try:
            url = urlsplit(head.target.decode("ascii"))
            return HttpRequest(
                head.method.decode("ascii"), unquote(url.path), dict(parse_qsl(url.query)), bytes(body)
            )
        except ValueError as error:
            raise RequestError(400, f"the request's target is not a URL: {error}") from error

    async def _next_event(self) -> h11.Event:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(_READ_BYTES))
        assert isinstance(event, h11.Event)  # PAUSED comes only before start_next_cycle()
        return event

    async def _respond(self, response: HttpResponse, *, close: bool = False) -> None:
        data = response.body
        if not isinstance(data, bytes):
            data = json.dumps(data).encode() + b"\n"
        headers = [("Content-Type", response.content_type), ("Content-Length", str(len(data)))]
        if close:
            headers.append(("Connection", "close"))
        reason = HTTPStatus(response.status).phrase.encode()
        head = h11.Response(status_code=response.status, headers=headers, reason=reason)
        self._write(head, *([h11.Data(data=data)] if self._wants_body else []), h11.EndOfMessage())
        async with asyncio.timeout(self._timeout_s):
            await self._writer.drain()

    def _write(self, *events: h11.Event) -> None:
        self._writer.write(b"".join(self._http.send(event) or b"" for event in events))
