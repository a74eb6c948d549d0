"""A running raftlog cluster: what its members show over their admin ports, and what can be asked of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

from outlast.config.cluster import ClusterSpec, NodeSpec
from outlast.errors import ClusterError
from outlast.history.history import NodeContent
from outlast.hosts.base import Lab, Program
from outlast.systems import http
from outlast.systems.base import RouteView
from outlast.systems.consensus import LOOK_TIMEOUT_S, ConsensusCluster, MemberLook
from outlast.systems.credentials import Credentials
from outlast.systems.raftlog import settings

ENTRY: Final = "raftlog.cli:main"
KEY_TIMEOUT_S: Final = 12.0
"""raftlog itself gives up after 10 s."""


class RaftlogCluster(ConsensusCluster):
    """Members of one Raft group that serve the Kafka protocol."""

    process: ClassVar[str] = settings.PROCESS
    port: ClassVar[int] = settings.KAFKA_PORT

    def __init__(self, lab: Lab, spec: ClusterSpec, credentials: Credentials) -> None:
        super().__init__(lab, spec, credentials, settings.outage_model(spec))
        self._names = {number: name for name, number in settings.node_ids(spec).items()}

    async def ask(self, node: NodeSpec) -> MemberLook:
        """Ask for a member's status."""
        status = await self._status(node)
        leader = self._names.get(int(status["leader"]), "")
        failure = status["failure"]
        return MemberLook(
            leader,
            int(status["term"]),
            int(status["commit_index"]),
            int(status["applied_index"]),
            str(status["role"]).replace("_", "-"),
            str(failure) if failure else "" if leader else "it knows no leader",
        )

    async def start_server(self, node: NodeSpec) -> None:
        """Start raftlog, as a fork of its host's init, which has imported it already."""
        environment = dict(self.spec.environment)
        if not self.spec.fsync:
            environment[settings.NO_FSYNC] = "1"
        argv = [ENTRY, "serve", "--config", settings.CONFIG]
        await self.lab.hosts[node.name].spawn(
            Program(settings.PROCESS, argv, settings.LOG, env=environment, module=True)
        )

    async def transfer(self, leader: NodeSpec, target: NodeSpec) -> None:
        """Ask the leader to hand over."""
        number = settings.node_ids(self.spec)[target.name]
        answer = await self._request(leader, "POST", f"/transfer/{number}")
        if answer.status != 200:
            raise ClusterError(f"{leader.name} refuses to transfer leadership: {answer.status} {answer.body}")

    async def takes_writes(self) -> str:
        """Return "" when some member can read linearizably, which needs a leader that a majority confirms."""
        last = "no member answers"
        for node in self.spec.nodes:
            try:
                answer = await self._request(node, "GET", "/kv/outlast")
            except OSError as error:
                last = f"{node.name}: {error}"
                continue
            if answer.status in (200, 404):
                return ""
            last = f"{node.name} answered {answer.status}: {answer.field('error')}"
        return last

    async def content(self, node: str, position: int) -> NodeContent | None:
        """Return a checksum of each partition and of the registers, once position is applied."""
        try:
            status = await self._status(self.node(node), "/status?registers=1")
        except (OSError, ValueError):
            return None
        if int(status["applied_index"]) < position:
            return None
        hashes, counts = {"registers": str(status["registers_crc"])}, {"registers": int(status["registers"])}
        for partition in status["partitions"]:
            name = f"{partition['topic']}/{partition['partition']}"
            hashes[name] = (
                f"{partition['start_offset']}-{partition['end_offset']}:{','.join(partition['crc'])}"
            )
            counts[name] = int(partition["end_offset"]) - int(partition["start_offset"])
        return NodeContent(node, int(status["applied_index"]), hashes, counts)

    async def put_key(self, node: str, key: str, value: str) -> None:
        """Write a register: ask a member, and if it says who leads, that one."""
        asked = self.node(node)
        for _ in range(2):
            answer = await self._key_request(asked, "PUT", key, value)
            leader = self._names.get(int(str(answer.field("leader") or 0)))
            if answer.status != 421 or leader is None or leader == asked.name:
                break
            asked = self.node(leader)
        if answer.status != 200:
            raise ClusterError(f"{asked.name} answered {answer.status}: {answer.field('error')}")

    async def get_key(self, node: str, key: str) -> str | None:
        """Return what a member says that a register holds, linearizably."""
        answer = await self._key_request(self.node(node), "GET", key)
        if answer.status not in (200, 404):
            raise ClusterError(f"{node} answered {answer.status}: {answer.field('error')}")
        return None if answer.status == 404 else answer.raw.decode()

    async def _key_request(
        self, node: NodeSpec, method: str, key: str, value: str | None = None
    ) -> http.Answer:
        data = None if value is None else value.encode()
        try:
            return await http.request(
                self.lab,
                (node.address, settings.ADMIN_PORT),
                method,
                f"/kv/{key}",
                timeout_s=KEY_TIMEOUT_S,
                body=data,
            )
        except OSError as error:
            raise ClusterError(f"{node.name} did not answer in {KEY_TIMEOUT_S:g} s: {error}") from error

    def routes(self) -> tuple[RouteView, ...]:
        """Return the Kafka bootstrap addresses and, for registers, the admin addresses."""
        return tuple(
            RouteView(name, kind, ",".join(f"{node.address}:{port}" for node in self.spec.nodes), None)
            for name, kind, port in (
                ("log-primary", "kafka", settings.KAFKA_PORT),
                ("kv-primary", "raftlog", settings.ADMIN_PORT),
            )
        )

    def log_files(self, node: str) -> Mapping[str, Path]:
        """Return a node's log."""
        return {"raftlog": self.lab.hosts[node].folder / settings.LOG}

    async def _status(self, node: NodeSpec, path: str = "/status") -> Mapping[str, Any]:
        answer = await self._request(node, "GET", path)
        if answer.status != 200 or not isinstance(answer.body, Mapping):
            raise ConnectionError(f"{node.name} answered {answer.status}")
        return answer.body

    async def _request(self, node: NodeSpec, method: str, path: str) -> http.Answer:
        return await http.request(
            self.lab, (node.address, settings.ADMIN_PORT), method, path, timeout_s=LOOK_TIMEOUT_S
        )
