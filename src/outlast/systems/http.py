"""HTTP to an address of a lab, from the tool, over a connection that the lab's gate dials."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from outlast.hosts.base import Lab


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. body: parsed JSON, or the text when it is none. raw: as it came."""

    status: int
    body: object
    raw: bytes = b""

    def field(self, name: str) -> object:
        """Return a field of a JSON object, None when there is none."""
        return self.body.get(name) if isinstance(self.body, Mapping) else None


async def request(
    lab: Lab,
    address: str,
    port: int,
    method: str,
    path: str,
    *,
    timeout_s: float,
    body: object = None,
    data: bytes | None = None,
    user: tuple[str, str] | None = None,
) -> Answer:
    """Send one request and return its answer. body: sent as JSON; data: as it is.

    user: (name, password) for basic authentication.

    Raises OSError (TimeoutError among them) when nobody answers in timeout_s, connecting included.
    """
    sock = await lab.dial(address, port, timeout_s)
    headers = {"Host": f"{address}:{port}", "Connection": "close"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    if user is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(":".join(user).encode()).decode()
    payload = data if body is None else json.dumps(body).encode()
    return await asyncio.to_thread(_exchange, sock, timeout_s, method, path, payload, headers)


def _exchange(
    sock: socket.socket, timeout_s: float, method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> Answer:
    sock.settimeout(timeout_s)
    connection = http.client.HTTPConnection("lab")
    connection.sock = sock
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        raw = response.read()
    except http.client.HTTPException as error:
        raise ConnectionError(f"no HTTP answer: {error!r}") from error
    finally:
        connection.close()
    try:
        return Answer(response.status, json.loads(raw), raw)
    except ValueError:
        return Answer(response.status, raw.decode(errors="replace"), raw)
