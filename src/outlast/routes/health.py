"""Says over HTTP what each server is, for a balancer of a system whose nodes do not say it themselves.

    OPTIONS /primary    200 when the node takes writes      OPTIONS /standby    200 when it is in recovery

It runs on the balancer's host, one port of 127.0.0.1 a node, so what it sees is what the balancer could reach. It
keeps a connection to each server and asks it all the time; an answer is as old as the last one, at most FRESH_S.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from outlast.clock import now_ns, seconds_between

POLL_S: Final = 0.1
ASK_TIMEOUT_S: Final = 0.5
FRESH_S: Final = 0.8
REQUEST_TIMEOUT_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class CheckedNode:
    """A server at address:port, asked about at 127.0.0.1:listen."""

    name: str
    address: str
    port: int
    listen: int


@dataclass(frozen=True, slots=True)
class HealthConfig:
    """Which servers are asked, and as whom."""

    nodes: tuple[CheckedNode, ...]
    database: str
    user: str
    passfile: str

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> HealthConfig:
        """Read what to_document wrote."""
        nodes = tuple(CheckedNode(**node) for node in document["nodes"])
        return cls(nodes, document["database"], document["user"], document["passfile"])


class NodeHealth:
    """What one server last said, and when. path: the check that it passes, "" for none."""

    def __init__(self, node: CheckedNode, config: HealthConfig) -> None:
        self._node = node
        self._config = config
        self._role = ""
        self._at_ns = 0

    def passes(self, path: str, now: int) -> bool:
        """Return whether the server is what path asks for, by an answer that is not too old."""
        return path == f"/{self._role}" and seconds_between(self._at_ns, now) <= FRESH_S

    def note(self, *, in_recovery: bool, at_ns: int) -> None:
        """Keep what the server said."""
        self._role, self._at_ns = ("standby" if in_recovery else "primary"), at_ns

    async def watch(self) -> None:
        """Ask for ever."""
        import psycopg  # here: it takes a tenth of a second, in which the ports can be opened

        node, config = self._node, self._config
        while True:
            with contextlib.suppress(psycopg.Error, OSError, TimeoutError):
                async with asyncio.timeout(2 * ASK_TIMEOUT_S):
                    connection = await psycopg.AsyncConnection.connect(
                        host=node.address,
                        port=node.port,
                        dbname=config.database,
                        user=config.user,
                        passfile=config.passfile,
                        application_name="outlast-health",
                        autocommit=True,
                        prepare_threshold=None,
                    )
                try:
                    await self._ask(connection)
                finally:
                    await connection.close()
            self._role = ""
            await asyncio.sleep(POLL_S)

    async def _ask(self, connection: Any) -> None:
        while True:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                row = await (await connection.execute(b"SELECT pg_is_in_recovery()")).fetchone()
            self.note(in_recovery=bool(row[0]), at_ns=now_ns())
            await asyncio.sleep(POLL_S)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        with contextlib.suppress(OSError, TimeoutError, ValueError):
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                words = (await reader.readline()).decode(errors="replace").split()
                good = len(words) >= 2 and self.passes(words[1], now_ns())
                status = "200 OK" if good else "503 Service Unavailable"
                writer.write(f"HTTP/1.0 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
                await writer.drain()
        writer.close()


async def serve(path: Path) -> None:
    """Listen and ask until cancelled. The file is written as a whole, and read again whenever it has changed."""
    served: dict[CheckedNode, tuple[asyncio.Server, asyncio.Task[None]]] = {}
    read_at = 0
    while True:
        changed_at = path.stat().st_mtime_ns
        if changed_at != read_at:
            read_at = changed_at
            config = HealthConfig.from_document(json.loads(path.read_text()))
            for node in served.keys() - set(config.nodes):
                server, watching = served.pop(node)
                server.close()
                watching.cancel()
            for node in config.nodes:
                if node not in served:
                    check = NodeHealth(node, config)
                    server = await asyncio.start_server(check.answer, "127.0.0.1", node.listen)
                    served[node] = server, asyncio.create_task(check.watch())
        await asyncio.sleep(POLL_S)


def main() -> int:
    """Serve the configuration in the file argv[1]."""
    asyncio.run(serve(Path(sys.argv[1])))
    return 0
