"""The servers of a Patroni cluster: what they and etcd show, and how their processes are started and asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from outlast.config.cluster import ClusterSpec, NodeSpec
from outlast.hosts.base import Host, Lab, Program
from outlast.systems import http, maintenance
from outlast.systems.base import ClusterView, HealthCheck, NodeView, OutageModel, Role
from outlast.systems.credentials import Credentials
from outlast.systems.etcd import member as etcd
from outlast.systems.patroni import settings
from outlast.systems.postgres import server, views
from outlast.systems.postgres.install import find
from outlast.systems.postgres.operations import OperableServers
from outlast.systems.postgres.seed import POSTGRES_UID
from outlast.systems.postgres.server_group import LOOK_TIMEOUT_S, POSTGRES
from outlast.systems.wait import wait_for

PROCESS: Final = "patroni"
WATCHDOG: Final = "watchdog"
MEMBER_FILE: Final = "patroni.yml"
"""A member's own settings, as JSON."""

STOP_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Look:
    """What one node showed: its server's own view, who streams from it, its manager's word; None: no answer."""

    server: views.ServerView | None
    standbys: tuple[views.StandbyView, ...]
    manager: http.Answer | None


class PatroniServers(OperableServers):
    """PostgreSQL nodes under Patroni, with the etcd members that hold the leader's key."""

    def __init__(self, lab: Lab, spec: ClusterSpec, credentials: Credentials) -> None:
        super().__init__(lab, spec, credentials)
        self.model: OutageModel = settings.outage_model(spec)

    # looking

    async def view(self) -> ClusterView:
        """Return what every node shows now, all asked at once."""
        looks, members, leader, synchronous = await asyncio.gather(
            asyncio.gather(*(self._look(node) for node in self.spec.nodes)),
            asyncio.gather(*(etcd.is_healthy(self.lab, member) for member in self.spec.dcs)),
            self._leader_or_none(),
            self._sync_record(),
        )
        by_name = {node.name: look for node, look in zip(self.spec.nodes, looks, strict=True)}
        primary = self._believed_primary(by_name, leader)
        said = self.told_of_standbys(by_name, primary) if primary else {}
        nodes = [self._node_view(node, by_name[node.name], said.get(node.name)) for node in self.spec.nodes]
        nodes += [
            NodeView(
                member.name,
                Role.DCS,
                member.address,
                etcd.CLIENT_PORT,
                self.published(member.name),
                "running" if healthy else "unreachable",
                healthy,
            )
            for member, healthy in zip(self.spec.dcs, members, strict=True)
        ]
        missing = self._missing(nodes, primary, synchronous)
        return ClusterView(not missing, primary, tuple(nodes), missing)

    async def dcs_leader(self) -> str | None:
        """Return the etcd member that leads."""
        return await etcd.leader(self.lab, self.spec.dcs)

    async def leader_record(self) -> str | None:
        """Return who holds the leader's key in etcd. Raises ConnectionError when etcd does not answer."""
        return await etcd.get(self.lab, self.spec.dcs, f"/service/{self.spec.name}/leader")

    def health_check(self, role: Role) -> HealthCheck:
        """Return the health check of Patroni's REST API for a role."""
        return HealthCheck(settings.REST_PORT, "/primary" if role is Role.PRIMARY else "/replica")

    def log_files(self, node: str) -> Mapping[str, Path]:
        """Return a node's logs by name."""
        folder = self.lab.hosts[node].folder
        if any(node == member.name for member in self.spec.dcs):
            return {"etcd": folder / etcd.LOG}
        logs = {"patroni": folder / "log/patroni.log", "postgresql": server.log_file(folder)}
        return {**logs, "watchdog": folder / "log/watchdog.log"} if self.spec.watchdog else logs

    # processes

    def node_files(self, node: NodeSpec, host: Host) -> Mapping[str, bytes]:
        """Return what Patroni, the server and its clients read on a node's host."""
        document = settings.member_document(self.spec, node, find(self.spec.version), self.credentials, host)
        return {
            **super().node_files(node, host),
            # JSON is YAML too, and leaves no word to be read as something else: "on", "0600".
            MEMBER_FILE: json.dumps(document, indent=1).encode(),
            settings.NODE_CONF: settings.node_conf(node).encode(),
        }

    def process_names(self, node: str) -> tuple[str, ...]:
        """Return what process_ids can find on a node."""
        return (
            (etcd.PROCESS,) if any(node == member.name for member in self.spec.dcs) else (PROCESS, POSTGRES)
        )

    async def start_node(self, node: str) -> None:
        """Start what belongs on a node and does not run there; nothing on one in maintenance."""
        if maintenance.is_out(self.lab.hosts[node]):
            return
        for member in self.spec.dcs:
            if member.name == node:
                if not await self.process_ids(node, etcd.PROCESS):
                    await self.start_etcd(node)
                return
        if not await self.process_ids(node, PROCESS):
            await self.start_patroni(node)

    async def start_etcd(self, node: str) -> None:
        """Start etcd on a member's host."""
        members = self.spec.dcs
        pace = etcd.timing(len(members), self.spec.profile)
        program = etcd.etcd_program(self.spec.etcd)
        await etcd.start_member(self.lab.hosts[node], members, pace, program=program, env=etcd.SMALL_HEAP)

    async def start_patroni(self, node: str) -> None:
        """Start Patroni on a node, as a fork of its host's init, which has imported it already."""
        host = self.lab.hosts[node]
        if self.spec.watchdog and not await self.process_ids(node, WATCHDOG):
            await host.spawn(
                Program(
                    WATCHDOG,
                    ["outlast.systems.patroni.watchdog:main", str(settings.watchdog_pipe(host))],
                    "log/watchdog.log",
                    module=True,
                )
            )
            await wait_for(
                lambda: _exists(settings.watchdog_pipe(host)), LOOK_TIMEOUT_S, f"{node}'s watchdog"
            )
        await host.spawn(
            Program(
                PROCESS,
                ["patroni.__main__:main", str(host.folder / MEMBER_FILE)],
                "log/patroni.log",
                uid=POSTGRES_UID,
                module=True,
            )
        )

    async def stop_node(self, node: str) -> None:
        """Stop Patroni on a node in order; it stops its server, and first gives up being the synchronous standby."""
        if not self.lab.hosts[node].is_on:
            return
        await self.end_processes(node, PROCESS, self.process_names(node), STOP_TIMEOUT_S)

    # asking the manager

    async def rest(
        self, node: str, method: str, path: str, body: object = None, *, timeout_s: float = LOOK_TIMEOUT_S
    ) -> http.Answer:
        """Ask Patroni on a node. Raises OSError when it does not answer."""
        address = next(one.address for one in self.spec.nodes if one.name == node)
        user = (settings.REST_USER, self.credentials.password(settings.REST_USER))
        return await http.request(
            self.lab, (address, settings.REST_PORT), method, path, timeout_s=timeout_s, body=body, user=user
        )

    async def manager(self, node: str) -> http.Answer | None:
        """Return what Patroni on a node says of itself; None when it does not answer."""
        try:
            return await self.rest(node, "GET", "/patroni")
        except OSError:
            return None

    # parts

    async def _look(self, node: NodeSpec) -> Look:
        host = self.lab.hosts.get(node.name)
        # It may have no host or port: when adding or removing it was cut short.
        if host is None or not host.is_on or node.name not in self.lab.published:
            return Look(None, (), None)
        (shown, standbys), manager = await asyncio.gather(
            self.look_inside(node.name), self.manager(node.name)
        )
        return Look(shown, standbys, manager)

    async def _sync_record(self) -> str:
        """Return the synchronous standbys as Patroni's store names them, "" while there are none."""
        try:
            record = await etcd.get(self.lab, self.spec.dcs, f"/service/{self.spec.name}/sync")
            return str(json.loads(record or "{}").get("sync_standby") or "")
        except (ConnectionError, ValueError):
            return ""

    async def _leader_or_none(self) -> str | None:
        try:
            return await self.leader_record()
        except ConnectionError:
            return None

    def _believed_primary(self, looks: Mapping[str, Look], leader: str | None) -> str | None:
        servers = {name: look.server for name, look in looks.items()}
        if leader is not None and (server := servers.get(leader)) is not None and not server.in_recovery:
            return leader
        return self.newest_primary(servers)

    @staticmethod
    def told_of_standbys(looks: Mapping[str, Look], primary: str) -> dict[str, views.StandbyView]:
        """Return what the primary says of its standbys and, of those of a cascade, what the standby before them says.

        A cascade's lag in bytes is the one behind the primary, and nobody waits for its commits.
        """
        written = looks[primary].server
        told: dict[str, views.StandbyView] = {}
        for name, look in looks.items():
            if name == primary or look.server is None or not look.server.in_recovery:
                continue
            for standby in look.standbys:
                shown = looks[standby.name].server if standby.name in looks else None
                behind = max(0, written.lsn - shown.lsn) if written and shown else standby.lag_bytes
                told[standby.name] = replace(standby, lag_bytes=behind, sync="async")
        return told | {standby.name: standby for standby in looks[primary].standbys}

    def _node_view(self, node: NodeSpec, look: Look, said: views.StandbyView | None) -> NodeView:
        state = look.manager.field("state") if look.manager is not None else None
        view = self.node_view(node, look.server, said, str(state or "unreachable"), look.manager is not None)
        from_archive = node.tags.get("nostream") and look.server is not None and look.server.in_recovery
        return replace(view, healthy=True) if from_archive and state in settings.FOLLOWING else view

    def _missing(self, nodes: list[NodeView], primary: str | None, synchronous: str) -> str:
        """Say what keeps the cluster from being whole; "" when nothing does."""
        archived = {node.name for node in self.spec.nodes if node.tags.get("nostream")}
        streamed = [node for node in nodes if node.name not in archived or not node.healthy]
        if missing := self.missing(streamed, primary):
            return missing
        if self.spec.sync != "off" and len(self.spec.nodes) > 1 and not synchronous:
            # The store's word is the one that decides who may be promoted.
            return "Patroni has not recorded its synchronous standby yet"
        return ""


async def _exists(path: Path) -> str:
    return "" if path.exists() else f"there is no {path.name}"
