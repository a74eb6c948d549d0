"""HTTP from the exporter to a program of the lab: one request, one answer, bounded."""

from __future__ import annotations

import asyncio
import json
from typing import Final

ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024


async def fetch(
    address: str, port: int, method: str, path: str, *, timeout_s: float, body: object = None
) -> tuple[int, object]:
    """Return (status, parsed JSON or text). Raises OSError (TimeoutError among them) when nobody answers."""
    payload = b"" if body is None else json.dumps(body).encode()
    # The answer ends where the connection does; some servers keep it open unless they are told not to.
    head = f"{method} {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n"
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_connection(address, port)
        try:
            writer.write(f"{head}Content-Length: {len(payload)}\r\n\r\n".encode() + payload)
            raw = await _read(reader)
        finally:
            writer.close()
    top, _, content = raw.partition(b"\r\n\r\n")
    words = top.split(b" ", 2)
    if len(words) < 2 or not words[1].isdigit():
        raise ConnectionError(f"no HTTP answer from {address}:{port}")
    try:
        return int(words[1]), json.loads(content)
    except ValueError:
        return int(words[1]), content.decode(errors="replace")


async def _read(reader: asyncio.StreamReader) -> bytes:
    parts = []
    size = 0
    while chunk := await reader.read(65536):
        parts.append(chunk)
        size += len(chunk)
        if size > ANSWER_BYTES_MAX:
            raise ConnectionError("the answer is too long")
    return b"".join(parts)
