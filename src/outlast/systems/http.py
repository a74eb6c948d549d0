"""HTTP/1.1, as all of Outlast speaks it: load clients over a kept connection, everybody else one request each.

One connection, one request at a time. Why it is no library: docs/adr/one-http-client.md. Source: RFC 9112.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

HEAD_BYTES_MAX: Final = 64 << 10
BODY_BYTES_MAX: Final = 256 << 20
_NO_BODY: Final = (204, 304)


class Dialer(Protocol):
    """Connects to addresses of a lab from outside it."""

    async def dial(self, address: str, port: int, timeout_s: float) -> socket.socket:
        """Return a non-blocking TCP connection. Raises OSError."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. body: parsed JSON, or the text when it is none. raw: as it came."""

    status: int
    body: object
    raw: bytes = b""

    def field(self, name: str) -> object:
        """Return a field of a JSON object, None when there is none."""
        return self.body.get(name) if isinstance(self.body, Mapping) else None


class HttpConnection:
    """A connection to a server. name: ``host:port``."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str) -> None:
        self._reader = reader
        self._writer = writer
        self.name = name

    @classmethod
    async def open(cls, host: str, port: int, *, tls: bool = False) -> HttpConnection:
        """Connect. Raises OSError, for a certificate that does not hold too."""
        reader, writer = await asyncio.open_connection(host, port, limit=HEAD_BYTES_MAX, ssl=tls or None)
        return cls(reader, writer, f"{host}:{port}")

    @classmethod
    async def over(cls, sock: socket.socket, name: str) -> HttpConnection:
        """Speak over a socket that is connected already; it is closed with this connection."""
        reader, writer = await asyncio.open_connection(sock=sock, limit=HEAD_BYTES_MAX)
        return cls(reader, writer, name)

    async def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Send a request and return status and body. Raises OSError, also for an answer that is no HTTP."""
        more = "".join(f"{key}: {value}\r\n" for key, value in headers.items()) if headers else ""
        head = f"{method} {path} HTTP/1.1\r\nHost: {self.name}\r\n{more}Content-Length: {len(body)}\r\n\r\n"
        self._writer.write(head.encode() + body)
        try:
            await self._writer.drain()
            lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            status = int(lines[0].split(" ", 2)[1])
            fields = {
                name.strip().lower(): value.strip()
                for name, _, value in (line.partition(":") for line in lines[1:] if line)
            }
            return status, b"" if status in _NO_BODY else await self._body(fields)
        except (asyncio.IncompleteReadError, EOFError) as error:
            raise ConnectionError(f"{self.name} closed the connection") from error
        except (ValueError, IndexError, asyncio.LimitOverrunError) as error:
            raise ConnectionError(f"{self.name} does not speak HTTP: {error}") from error

    async def _body(self, fields: Mapping[str, str]) -> bytes:
        if fields.get("transfer-encoding", "").lower() == "chunked":
            return await self._chunks()
        if "content-length" in fields:
            length = int(fields["content-length"])
            if length > BODY_BYTES_MAX:
                raise ValueError(f"a body of {length} bytes")
            return await self._reader.readexactly(length)
        parts: list[bytes] = []  # it ends where the connection does
        size = 0
        while part := await self._reader.read(HEAD_BYTES_MAX):
            parts.append(part)
            size += len(part)
            if size > BODY_BYTES_MAX:
                raise ValueError("a body without end")
        return b"".join(parts)

    async def _chunks(self) -> bytes:
        parts: list[bytes] = []
        total = 0
        while size := int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16):
            total += size
            if total > BODY_BYTES_MAX:
                raise ValueError("a body without end")
            parts.append((await self._reader.readexactly(size + 2))[:-2])
        await self._reader.readuntil(b"\r\n")
        return b"".join(parts)

    def close(self) -> None:
        """Drop the connection."""
        self._writer.close()


async def request(
    lab: Dialer | None,
    at: tuple[str, int],
    method: str,
    path: str,
    *,
    timeout_s: float,
    body: object = None,
    user: tuple[str, str] | None = None,
) -> Answer:
    """Send one request over a connection of its own and return the answer.

    lab: whose gate connects; None connects from where this program runs. at: address and port. timeout_s: for all of
    it, connecting included. body: bytes as they are, anything else as JSON. user: (name, password), sent as basic
    authentication (RFC 7617).

    Raises OSError (TimeoutError among them) when nobody answers in time, and for what is no HTTP.
    """
    headers = {"Connection": "close"}
    if body is not None and not isinstance(body, bytes):
        headers["Content-Type"] = "application/json"
        body = json.dumps(body).encode()
    if user is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(":".join(user).encode()).decode()
    async with asyncio.timeout(timeout_s):
        if lab is None:
            connection = await HttpConnection.open(*at)
        else:
            connection = await HttpConnection.over(await lab.dial(*at, timeout_s), f"{at[0]}:{at[1]}")
        try:
            status, raw = await connection.request(method, path, body or b"", headers)
        finally:
            connection.close()
    try:
        return Answer(status, json.loads(raw), raw)
    except ValueError:
        return Answer(status, raw.decode(errors="replace"), raw)
