"""HTTP/1.1 for load clients: one connection, one request at a time, kept open between them."""

from __future__ import annotations

import asyncio
from typing import Final

HEAD_BYTES_MAX: Final = 64 << 10
BODY_BYTES_MAX: Final = 256 << 20


class HttpConnection:
    """A connection to a server. name: ``host:port``."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str) -> None:
        self._reader = reader
        self._writer = writer
        self.name = name

    @classmethod
    async def open(cls, host: str, port: int) -> HttpConnection:
        """Connect. Raises OSError."""
        reader, writer = await asyncio.open_connection(host, port, limit=HEAD_BYTES_MAX)
        return cls(reader, writer, f"{host}:{port}")

    async def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Send a request and return status and body. Raises OSError, also for an answer that is no HTTP."""
        head = f"{method} {path} HTTP/1.1\r\nHost: {self.name}\r\nContent-Length: {len(body)}\r\n\r\n"
        self._writer.write(head.encode() + body)
        await self._writer.drain()
        try:
            lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            status = int(lines[0].split(" ", 2)[1])
            headers = {
                name.strip().lower(): value.strip()
                for name, _, value in (line.partition(":") for line in lines[1:] if line)
            }
            return status, await self._body(headers)
        except (asyncio.IncompleteReadError, EOFError) as error:
            raise ConnectionError(f"{self.name} closed the connection") from error
        except (ValueError, IndexError, asyncio.LimitOverrunError) as error:
            raise ConnectionError(f"{self.name} does not speak HTTP: {error}") from error

    async def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            length = int(headers.get("content-length", "0"))
            if length > BODY_BYTES_MAX:
                raise ValueError(f"a body of {length} bytes")
            return await self._reader.readexactly(length)
        parts: list[bytes] = []
        while size := int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16):
            if size + sum(map(len, parts)) > BODY_BYTES_MAX:
                raise ValueError("a body without end")
            parts.append((await self._reader.readexactly(size + 2))[:-2])
        await self._reader.readuntil(b"\r\n")
        return b"".join(parts)

    def close(self) -> None:
        """Drop the connection."""
        self._writer.close()
