"""Clients of etcd's v3 API over its JSON gateway: registers, and a log whose messages are keys written once.

Every member takes every request and passes it on to the leader, so each client has a member of its own and turns to the
next when that one does not answer. https://etcd.io/docs/v3.5/dev-guide/api_grpc_gateway/
"""

from __future__ import annotations

import base64
import json
from typing import Any, Final

import numpy as np

from outlast.history.op import Outcome
from outlast.systems.http import HttpConnection
from outlast.workloads.base import Invocation
from outlast.workloads.config import WorkerConfig
from outlast.workloads.log import contents_of
from outlast.workloads.protocol_client import Contents, Reply, addresses_of

PAGE: Final = 5_000
_NOT_DONE: Final = ("too many requests", "request is too large", "mvcc: database space exceeded")
"""Errors that etcd gives before it proposes anything (server/etcdserver/v3_server.go)."""


class EtcdClient:
    """A connection to one member at a time."""

    def __init__(self, config: WorkerConfig, number: int) -> None:
        self._addresses = addresses_of(config.dsn)
        self._turn = (config.first_process + number) % len(self._addresses)
        self._prefix = config.target
        self._nodes = config.nodes
        self._connection: HttpConnection | None = None

    async def connect(self) -> None:
        """Connect to the next member."""
        host, port = self._addresses[self._turn % len(self._addresses)]
        self._turn += 1
        self._connection = await HttpConnection.open(host, port)

    def close(self) -> None:
        """Drop the connection."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    async def post(self, path: str, body: object) -> tuple[int, dict[str, Any], str]:
        """Send a request; return status, answer, and the member's name. Raises OSError."""
        connection = self._connection
        if connection is None:
            raise ConnectionError("not connected")
        status, raw = await connection.request("POST", path, json.dumps(body).encode())
        try:
            answer = json.loads(raw)
        except ValueError as error:
            raise ConnectionError(f"{connection.name} does not answer in JSON") from error
        name = self._nodes.get(connection.name.rpartition(":")[0], connection.name)
        return status, answer if isinstance(answer, dict) else {}, name


class EtcdLog(EtcdClient):
    """Appends a message: a put of a key that nobody else writes. Its place is its revision."""

    async def call(self, call: Invocation) -> Reply:
        """Put one message."""
        status, answer, node = await self.post(
            "/v3/kv/put", _pair(f"{self._prefix}/{call.value}", call.value)
        )
        if status != 200:
            return _refused(status, answer, node)
        return Reply(Outcome.OK, None, node, int(answer["header"]["revision"]))


class EtcdRegisters(EtcdClient):
    """Reads, writes and compares-and-sets registers."""

    async def call(self, call: Invocation) -> Reply:
        """Send one op."""
        assert call.txn is not None
        key = f"{self._prefix}/{call.key}"
        f = call.txn.f
        if f == "read":
            status, answer, node = await self.post("/v3/kv/range", {"key": _text(key)})
            if status != 200:
                return Reply(Outcome.FAIL, None, node, 0, _words(status, answer), keep=False)
            found = answer.get("kvs")
            return Reply(Outcome.OK, int(base64.b64decode(found[0]["value"])) if found else "[null]", node)
        if f == "write":
            status, answer, node = await self.post("/v3/kv/put", _pair(key, call.value))
            return Reply(Outcome.OK, None, node) if status == 200 else _refused(status, answer, node)
        expected, new = json.loads(call.txn.payload or "[]")
        compare = {"target": "VALUE", "result": "EQUAL", **_pair(key, expected)}
        change = {"compare": [compare], "success": [{"requestPut": _pair(key, new)}]}
        status, answer, node = await self.post("/v3/kv/txn", change)
        if status != 200:
            return _refused(status, answer, node)
        return Reply(Outcome.OK, None if answer.get("succeeded") else f"[{expected}]", node)


async def read_etcd_log(config: WorkerConfig) -> Contents:
    """Return all messages, as of one revision, in the order of the revisions that made them."""
    client = EtcdClient(config, 0)
    await client.connect()
    try:
        values: list[int] = []
        revisions: list[int] = []
        first, end = f"{config.target}/".encode(), f"{config.target}0".encode()  # 0 comes after /
        revision = 0
        while True:
            wanted = {"key": _code(first), "range_end": _code(end), "limit": PAGE, "revision": revision}
            status, answer, _ = await client.post("/v3/kv/range", wanted)
            if status != 200:
                raise ConnectionError(f"the range cannot be read: {_words(status, answer)}")
            revision = revision or int(answer["header"]["revision"])
            found = answer.get("kvs", [])
            values += [int(base64.b64decode(one["value"])) for one in found]
            revisions += [int(one["create_revision"]) for one in found]
            if not answer.get("more"):
                break
            first = base64.b64decode(found[-1]["key"]) + b"\0"
    finally:
        client.close()
    order = np.argsort(np.array(revisions, dtype=np.int64), kind="stable")
    return contents_of(
        {0: (np.array(values, dtype=np.int64)[order], np.array(revisions, dtype=np.int64)[order])}
    )


def _pair(key: str, value: int) -> dict[str, str]:
    return {"key": _text(key), "value": _text(str(value))}


def _text(text: str) -> str:
    return _code(text.encode())


def _code(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _refused(status: int, answer: dict[str, Any], node: str) -> Reply:
    words = _words(status, answer)
    certain = any(text in words for text in _NOT_DONE)
    return Reply(Outcome.FAIL if certain else Outcome.INFO, None, node, 0, words, keep=False)


def _words(status: int, answer: dict[str, Any]) -> str:
    return f"{status}: {answer.get('error') or answer.get('message') or 'no reason given'}"
