"""A client of raftlog's registers, over its admin port: writes go to the leader, reads to any member.

Each client reads at a member of its own, so that a member that was cut off is asked too; raftlog promises a
linearizable answer or none. Outcomes: the docstring of raftlog's admin/api.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Final

from outlast.history.op import Outcome
from outlast.systems.http import HttpConnection
from outlast.workloads.base import Invocation
from outlast.workloads.config import WorkerConfig
from outlast.workloads.protocol_client import Reply, addresses_of

ASK_TIMEOUT_S: Final = 0.7
_NOT_DONE: Final = (421, 429, 413)


class RaftlogRegisters:
    """Reads, writes and compares-and-sets registers."""

    def __init__(self, config: WorkerConfig, number: int) -> None:
        self._addresses = addresses_of(config.dsn)
        self._own = self._addresses[(config.first_process + number) % len(self._addresses)]
        self._pinned = config.pinned
        self._prefix = config.target
        self._nodes = config.nodes
        self._leader: HttpConnection | None = None
        self._near: HttpConnection | None = None

    async def connect(self) -> None:
        """Ask all members who leads and connect to the one named in the newest term, and to the client's own."""
        leader = self._own if self._pinned else await self._find_leader()
        self._leader = await HttpConnection.open(*leader)
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(ASK_TIMEOUT_S):
                self._near = await HttpConnection.open(*self._own)

    async def call(self, call: Invocation) -> Reply:
        """Send one op."""
        assert call.txn is not None
        path = f"/kv/{self._prefix}-{call.key}"
        f = call.txn.f
        if f == "read":
            return await self._read(path)
        connection = self._leader
        if connection is None:
            raise ConnectionError("no connection to the leader")
        if f == "write":
            status, body = await connection.request("PUT", path, str(call.value).encode())
        else:
            expected, new = json.loads(call.txn.payload or "[]")
            status, body = await connection.request("PUT", f"{path}?expect={expected}", str(new).encode())
            if status == 412:
                return Reply(Outcome.OK, f"[{expected}]", self._name(connection))
        if status == 200:
            return Reply(Outcome.OK, None, self._name(connection))
        outcome = Outcome.FAIL if status in _NOT_DONE else Outcome.INFO
        return Reply(outcome, None, self._name(connection), 0, _words(status, body), status == 429)

    async def _read(self, path: str) -> Reply:
        connection = self._near or self._leader
        if connection is None:
            raise ConnectionError("no connection")
        status, body = await connection.request("GET", path)
        if status == 200:
            return Reply(Outcome.OK, int(body), self._name(connection))
        if status == 404:
            return Reply(Outcome.OK, "[null]", self._name(connection))
        # A read that was not answered changed nothing.
        return Reply(Outcome.FAIL, None, self._name(connection), 0, _words(status, body), keep=False)

    def close(self) -> None:
        """Drop both connections."""
        for connection in (self._leader, self._near):
            if connection is not None:
                connection.close()
        self._leader = self._near = None

    async def _find_leader(self) -> tuple[str, int]:
        answers = await asyncio.gather(
            *(self._ask(address) for address in self._addresses), return_exceptions=True
        )
        named = [answer for answer in answers if not isinstance(answer, BaseException) and answer[1]]
        if not named:
            raise ConnectionError("no member names a leader")
        return addresses_of(max(named)[1])[0]

    async def _ask(self, address: tuple[str, int]) -> tuple[int, str]:
        """Return (term, the leader's admin address or "") as a member says."""
        async with asyncio.timeout(ASK_TIMEOUT_S):
            connection = await HttpConnection.open(*address)
            try:
                status, body = await connection.request("GET", "/status")
            finally:
                connection.close()
        if status != 200:
            raise ConnectionError(f"{connection.name} answers {status}")
        said = json.loads(body)
        return int(said["term"]), said["addresses"].get(str(said["leader"]), {}).get("admin", "")

    def _name(self, connection: HttpConnection) -> str:
        return self._nodes.get(connection.name.rpartition(":")[0], connection.name)


def _words(status: int, body: bytes) -> str:
    try:
        return f"{status}: {json.loads(body)['error']}"
    except (ValueError, KeyError, TypeError):
        return str(status)
