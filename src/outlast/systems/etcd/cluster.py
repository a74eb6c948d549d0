"""A running etcd cluster that is a database of its own, and no other system's store."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

from outlast.config.cluster import ClusterSpec, NodeSpec
from outlast.errors import ClusterError
from outlast.history.history import NodeContent
from outlast.hosts.base import Lab
from outlast.systems import http
from outlast.systems.base import OutageModel, RouteView
from outlast.systems.consensus import LOOK_TIMEOUT_S, ConsensusCluster, MemberLook
from outlast.systems.credentials import Credentials
from outlast.systems.etcd import member

MARGIN_S: Final = 5.0
RELINK_S: Final = 5.0
"""A member drops a peer's connection that is silent for so long, then dials anew, profile or not. Source: etcd,
server/etcdserver/api/rafthttp/peer.go, DefaultConnReadTimeout."""

KEY_TIMEOUT_S: Final = 8.0
"""etcd itself gives up after 5 s and an election time-out more (server/etcdserver/config.go, ReqTimeout)."""


def outage_model(spec: ClusterSpec) -> OutageModel:
    """Return the outage that the timing allows: a follower waits one to two election time-outs, then they vote."""
    election_s = member.timing(len(spec.nodes), spec.profile).election_ms / 1000
    return OutageModel(
        2 * election_s + MARGIN_S,
        f"election time-out {election_s:g} s, up to twice + {MARGIN_S:g} s",
        relink_s=RELINK_S,
    )


class EtcdCluster(ConsensusCluster):
    """etcd members on hosts of their own."""

    process: ClassVar[str] = member.PROCESS
    port: ClassVar[int] = member.CLIENT_PORT

    def __init__(self, lab: Lab, spec: ClusterSpec, credentials: Credentials) -> None:
        super().__init__(lab, spec, credentials, outage_model(spec))
        self._names: dict[str, str] = {}

    async def ask(self, node: NodeSpec) -> MemberLook:
        """Ask for a member's status; the first time that somebody leads, ask all for their ids."""
        found = await member.status(self.lab, node, LOOK_TIMEOUT_S)
        if found.leader not in ("0", *self._names):
            for one in self.spec.nodes:
                if self.lab.hosts[one.name].is_on:
                    with contextlib.suppress(OSError):
                        self._names[(await member.status(self.lab, one, LOOK_TIMEOUT_S)).id] = one.name
        leader = "" if found.leader == "0" else self._names.get(found.leader, f"member {found.leader}")
        state = "leader" if leader == node.name else "follower" if leader else "candidate"
        trouble = found.errors or ("" if leader else "it knows no leader")
        return MemberLook(leader, found.term, found.index, found.applied, state, trouble)

    async def start_server(self, node: NodeSpec) -> None:
        """Start etcd."""
        spec = self.spec
        await member.start_member(
            self.lab.hosts[node.name],
            spec.nodes,
            member.timing(len(spec.nodes), spec.profile),
            program=member.etcd_program(spec.etcd),
            more=() if spec.fsync else ("--unsafe-no-fsync",),
        )

    async def transfer(self, leader: NodeSpec, target: NodeSpec) -> None:
        """Ask the leader to hand over."""
        to = await member.status(self.lab, target, LOOK_TIMEOUT_S)
        answer = await self._request(leader, "/v3/maintenance/transfer-leadership", {"targetID": to.id}, 10.0)
        if answer.status != 200:
            raise ClusterError(f"{leader.name} does not hand over: {answer.status} {answer.body}")

    async def takes_writes(self) -> str:
        """Return "" when etcd can be read linearizably, which needs a leader that a majority confirms."""
        try:
            await member.get(self.lab, self.spec.nodes, "outlast", LOOK_TIMEOUT_S)
        except ConnectionError as error:
            return str(error)
        return ""

    async def content(self, node: str, position: int) -> NodeContent | None:
        """Return etcd's own hash of all keys at its newest revision, once position is applied."""
        try:
            found = await member.status(self.lab, self.node(node), LOOK_TIMEOUT_S)
            if found.applied < position:
                return None
            answer = await self._request(self.node(node), "/v3/maintenance/hash", {}, 10.0)
        except OSError:
            return None
        if answer.status != 200:
            return None
        return NodeContent(
            node,
            found.applied,
            {"keys": f"{answer.field('hash')} at revision {found.revision}"},
            {"keys": found.revision},
        )

    async def put_key(self, node: str, key: str, value: str) -> None:
        """Have a member write a key, through the leader."""
        await self._key_request(node, "/v3/kv/put", {"key": _code(key), "value": _code(value)})

    async def get_key(self, node: str, key: str) -> str | None:
        """Return what a member says that a key holds, linearizably."""
        found = (await self._key_request(node, "/v3/kv/range", {"key": _code(key)})).field("kvs")
        return (
            base64.b64decode(str(found[0]["value"])).decode() if isinstance(found, list) and found else None
        )

    def routes(self) -> tuple[RouteView, ...]:
        """Return the client addresses, for both kinds of load."""
        addresses = ",".join(f"{node.address}:{member.CLIENT_PORT}" for node in self.spec.nodes)
        return tuple(RouteView(name, "etcd", addresses, None) for name in ("log-primary", "kv-primary"))

    def log_files(self, node: str) -> Mapping[str, Path]:
        """Return a node's log."""
        return {"etcd": self.lab.hosts[node].folder / member.LOG}

    async def _key_request(self, node: str, path: str, body: object) -> http.Answer:
        try:
            answer = await self._request(self.node(node), path, body, KEY_TIMEOUT_S)
        except OSError as error:
            raise ClusterError(f"{node} did not answer in {KEY_TIMEOUT_S:g} s: {error}") from error
        if answer.status != 200:
            raise ClusterError(f"{node} says {answer.status}: {answer.field('error')}")
        return answer

    async def _request(self, node: NodeSpec, path: str, body: object, timeout_s: float) -> http.Answer:
        return await http.request(
            self.lab, (node.address, member.CLIENT_PORT), "POST", path, timeout_s=timeout_s, body=body
        )


def _code(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
