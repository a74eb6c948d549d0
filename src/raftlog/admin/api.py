"""The admin port.

    GET  /health                     200 while this node serves and hears a leader, else 503
    GET  /status                     everything, as JSON; ?registers=1 adds their checksum, which reads them all
    GET  /metrics                    for Prometheus
    POST /members/ID                 {"kafka","peer","admin"[,"learner"]}: add a node (on the leader)
    DELETE /members/ID               remove a node (on the leader)
    POST /transfer/ID                transfer leadership to a node
    POST /snapshot                   take a snapshot now
    GET  /kv/KEY                     a register, linearizable on any node (thesis §6.4)
    PUT  /kv/KEY                     write it, on the leader; ?expect=V or ?expect_absent=1 compares first
    (412 if not so)

Outcomes of writes: 200 done; 412 compared and not so; 421 not the leader and 429 too much at once: certainly
not done; 504 unknown: it may be done yet.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from pydantic import ValidationError

from raftlog.admin import pages
from raftlog.admin.http import HttpRequest, HttpResponse
from raftlog.config import Address
from raftlog.core.config_change import Op
from raftlog.kafka.broker import KafkaBroker
from raftlog.node.node import Node
from raftlog.store import commands
from raftlog.store.commands import Outcome
from raftlog.store.state_machine import VALUE_MAX

KEY_MAX: Final = 1_000
_STATUS: Final = {
    "NOT_LEADER_OR_FOLLOWER": 421,
    "THROTTLING_QUOTA_EXCEEDED": 429,
    "REQUEST_TIMED_OUT": 504,
    "POLICY_VIOLATION": 413,
}


class AdminApi:
    """Answers the admin port's requests. timeout_s: how long a write or a linearizable read may take."""

    def __init__(self, node: Node, broker: KafkaBroker, timeout_s: float = 10.0) -> None:
        self._node, self._broker, self._timeout_s = node, broker, timeout_s
        self._routes: dict[tuple[str, str], Callable[[HttpRequest, str], Awaitable[HttpResponse]]] = {
            ("GET", "health"): self._health,
            ("GET", "status"): self._status,
            ("GET", "metrics"): self._metrics,
            ("POST", "members"): self._add,
            ("DELETE", "members"): self._remove,
            ("POST", "transfer"): self._transfer,
            ("POST", "snapshot"): self._snapshot,
            ("GET", "kv"): self._get,
            ("PUT", "kv"): self._put,
        }

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one request."""
        first, _, rest = request.path.lstrip("/").partition("/")
        route = self._routes.get((request.method, first))
        if route is None:
            known = any(name == first for _, name in self._routes)
            return HttpResponse(405 if known else 404, {"error": f"no {request.method} {request.path}"})
        return await route(request, rest)

    # --- looking ------------------------------------------------------------------------------------------

    async def _health(self, _request: HttpRequest, _rest: str) -> HttpResponse:
        node = self._node
        healthy = node.failure is None and not node.ready_loop.stopped and self._broker.leader != 0
        body = {"healthy": healthy, "leader": self._broker.leader, "node_id": node.config.node_id}
        return HttpResponse(200 if healthy else 503, body)

    async def _status(self, request: HttpRequest, _rest: str) -> HttpResponse:
        body = pages.status(self._node, self._broker)
        if "registers" in request.query:
            body["registers_crc"] = pages.registers_crc(self._node)
        return HttpResponse(200, body)

    async def _metrics(self, _request: HttpRequest, _rest: str) -> HttpResponse:
        text = pages.metrics(self._node, self._broker).encode()
        return HttpResponse(200, text, "text/plain; version=0.0.4")

    # --- changing -----------------------------------------------------------------------------------------

    async def _add(self, request: HttpRequest, rest: str) -> HttpResponse:
        try:
            node = int(rest)
            raw = json.loads(request.body)
            learner = bool(raw.pop("learner", False))
            address = Address.model_validate(raw)
        except (ValueError, TypeError, AttributeError, ValidationError) as error:
            return HttpResponse(
                400, {"error": f"expected POST /members/ID with kafka, peer and admin: {error}"}
            )
        op = Op.ADD_LEARNER if learner else Op.ADD_VOTER
        return self._changed(await self._node.change_member(op, node, address.model_dump(), self._timeout_s))

    async def _remove(self, _request: HttpRequest, rest: str) -> HttpResponse:
        if not rest.isdigit():
            return HttpResponse(400, {"error": "expected DELETE /members/ID with a number"})
        return self._changed(await self._node.change_member(Op.REMOVE, int(rest), None, self._timeout_s))

    def _changed(self, outcome: Outcome) -> HttpResponse:
        if not outcome.error and not outcome.value:
            return HttpResponse(409, {"error": "another membership change is in progress; try again"})
        return self._outcome(outcome, {"voters": list(self._node.ready_loop.core.membership.voters)})

    async def _transfer(self, _request: HttpRequest, rest: str) -> HttpResponse:
        members = self._node.ready_loop.core.membership.voters
        if not rest.isdigit() or int(rest) not in members:
            return HttpResponse(400, {"error": f"expected POST /transfer/ID with one of {list(members)}"})
        if not self._broker.leads:
            return self._outcome(Outcome("NOT_LEADER_OR_FOLLOWER"), {})
        self._node.ready_loop.core.transfer(int(rest))
        self._node.ready_loop.drive()
        return HttpResponse(200, {"asked": int(rest)})

    async def _snapshot(self, _request: HttpRequest, _rest: str) -> HttpResponse:
        await self._node.snapshotter.take()
        return HttpResponse(200, {"snapshot_index": self._node.snapshotter.newest.index})

    # --- registers ----------------------------------------------------------------------------------------

    async def _get(self, _request: HttpRequest, key: str) -> HttpResponse:
        outcome = await self._broker.read(self._timeout_s)
        if outcome.error:
            return self._outcome(outcome, {})
        value = self._node.machine.registers.get(key.encode())
        if value is None:
            return HttpResponse(404, {"error": "no such register"})
        return HttpResponse(200, value, "application/octet-stream")

    async def _put(self, request: HttpRequest, key: str) -> HttpResponse:
        if not 0 < len(key.encode()) <= KEY_MAX or len(request.body) > VALUE_MAX:
            return HttpResponse(
                413, {"error": f"a key must be 1 to {KEY_MAX} bytes long, a value at most {VALUE_MAX}"}
            )
        name = key.encode()
        if "expect" in request.query:
            command = commands.kv_cas(name, request.query["expect"].encode(), request.body)
        elif "expect_absent" in request.query:
            command = commands.kv_cas(name, None, request.body)
        else:
            command = commands.kv_set(name, request.body)
        outcome = await self._broker.propose(command, self._timeout_s)
        if not outcome.error and not outcome.value:
            return HttpResponse(412, {"error": "the register holds another value"})
        return self._outcome(outcome, {"done": True})

    def _outcome(self, outcome: Outcome, body: dict[str, Any]) -> HttpResponse:
        if not outcome.error:
            return HttpResponse(200, body)
        leader = self._broker.leader
        address = self._node.addresses().get(leader, {}).get("admin")
        return HttpResponse(
            _STATUS.get(outcome.error, 409),
            {"error": outcome.error, "leader": leader, "leader_admin": address},
        )
