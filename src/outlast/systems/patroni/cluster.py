"""A running Patroni cluster: what it shows, and what can be asked of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from outlast.config.cluster import ClusterSpec, NodeSpec
from outlast.errors import ClusterError
from outlast.hosts.base import Lab, Program
from outlast.systems import http, maintenance
from outlast.systems.base import ClusterView, HealthCheck, NodeView, OutageModel, Role
from outlast.systems.credentials import Credentials
from outlast.systems.etcd import member as etcd
from outlast.systems.patroni import operations, settings
from outlast.systems.postgres import server, views
from outlast.systems.postgres.seed import POSTGRES_UID
from outlast.systems.postgres.server_group import LOOK_TIMEOUT_S, POSTGRES, ServerGroup
from outlast.systems.wait import wait_for

PROCESS: Final = "patroni"
WATCHDOG: Final = "watchdog"
MEMBER_FILE: Final = "patroni.yml"
"""A member's own settings, as JSON."""

MOVE_TIMEOUT_S: Final = 90.0
SYNC_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class _Look:
    """What one node showed: its server's own view, its standbys, and its manager's word; None: no answer."""

    server: views.ServerView | None
    standbys: tuple[views.StandbyView, ...]
    manager: http.Answer | None


class PatroniCluster(ServerGroup):
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
        said = {standby.name: standby for standby in by_name[primary].standbys} if primary else {}
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

    async def primary(self) -> str | None:
        """Return the node that accepts writes; of several, the one on the newest timeline."""
        looks = await asyncio.gather(*(self._look(node) for node in self.spec.nodes))
        return self._believed_primary(
            {node.name: look for node, look in zip(self.spec.nodes, looks, strict=True)}, None
        )

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
        logs = {"patroni": folder / "log/patroni.log", "postgresql": folder / server.LOG}
        return {**logs, "watchdog": folder / "log/watchdog.log"} if self.spec.watchdog else logs

    # processes

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
                ["patroni.__main__:main", str(host.folder / "patroni.yml")],
                "log/patroni.log",
                uid=POSTGRES_UID,
                module=True,
            )
        )

    # asking the manager

    async def rest(
        self, node: str, method: str, path: str, body: object = None, *, timeout_s: float = LOOK_TIMEOUT_S
    ) -> http.Answer:
        """Ask Patroni on a node. Raises OSError when it does not answer."""
        address = next(one.address for one in self.spec.nodes if one.name == node)
        user = (settings.REST_USER, self.credentials.password(settings.REST_USER))
        return await http.request(
            self.lab, address, settings.REST_PORT, method, path, timeout_s=timeout_s, body=body, user=user
        )

    async def switchover(self, target: str | None) -> str:
        """Have Patroni move the primary and return the new one. Raises ClusterError when it refuses."""
        leader = await self.leader_record()
        if leader is None:
            raise ClusterError(
                "there is no leader to switch over from", hint="outlast status says what there is"
            )
        if target == leader:
            raise ClusterError(f"{target} is the primary already")
        with contextlib.suppress(ClusterError):  # then Patroni says itself what it lacks
            await wait_for(
                self._sync_unknown, SYNC_TIMEOUT_S, "Patroni to write down its synchronous standby"
            )
        await self._ask_to_move(leader, "/switchover", {"leader": leader, "candidate": target})
        return await self._new_leader(leader)

    async def failover(self, target: str | None) -> str:
        """Have Patroni promote target, by default the standby that has replayed most."""
        view = await self.view()
        if target is None:
            standbys = [node for node in view.nodes if node.role is Role.STANDBY and node.healthy]
            if not standbys:
                raise ClusterError("there is no healthy standby to promote", hint="outlast status")
            target = max(standbys, key=lambda node: (node.sync in ("sync", "quorum"), node.lsn or 0)).name
        leader = await self.leader_record()
        await self._ask_to_move(leader or target, "/failover", {"candidate": target})
        return await self._new_leader(leader)

    async def obstacles(self) -> Mapping[str, str]:
        """Return why Patroni would not promote a standby: what its member and its tags say, and the pause.

        Source: Patroni's Ha.is_failover_possible and Patroni.nofailover.
        """
        looks = await asyncio.gather(*(self._look(node) for node in self.spec.nodes))
        found = {}
        for node, look in zip(self.spec.nodes, looks, strict=True):
            if look.server is not None and not look.server.in_recovery:
                continue
            tags = look.manager.field("tags") if look.manager is not None else None
            if not self.lab.hosts[node.name].is_on:
                found[node.name] = "its host is off"
            elif look.manager is None:
                found[node.name] = "its Patroni does not answer"
            elif look.manager.field("pause"):
                found[node.name] = "Patroni is paused: it does nothing by itself"
            elif look.server is None:
                found[node.name] = "its PostgreSQL does not answer"
            elif isinstance(tags, Mapping) and not settings.may_lead(tags):
                found[node.name] = "it is tagged nofailover, or has the priority 0"
        return found

    async def is_candidate(self, node: str) -> bool:
        """Return whether a node's own file lets it be promoted. Raises ClusterError."""
        return settings.may_lead(await self._tags(node))

    async def set_candidate(self, node: str, on: bool) -> None:
        """Change the node's ``nofailover`` tag, have its Patroni read it, and wait until etcd shows it."""
        host = self.lab.hosts[node]
        try:
            document = json.loads(await host.get(MEMBER_FILE))
            tags = {key: value for key, value in document.get("tags", {}).items() if key != "nofailover"}
            if settings.may_lead(tags) is not on:  # said outright, it outranks a priority
                tags["nofailover"] = not on
            document["tags"] = tags
            await host.put(MEMBER_FILE, json.dumps(document, indent=1).encode())
            answer = await self.rest(node, "POST", "/reload")
        except (OSError, ValueError) as error:
            raise ClusterError(f"{node} could not be told whether it may lead: {error}") from error
        if answer.status not in (200, 202):
            raise ClusterError(f"Patroni on {node} refused to reload: {answer.status} {answer.body}")

        async def unmet() -> str:
            tags = await self._tags(node)
            return "" if settings.may_lead(tags) is on else f"its tags are {dict(tags)}"

        await wait_for(unmet, MOVE_TIMEOUT_S, f"{node} to {'be' if on else 'be no'} candidate")

    async def _tags(self, node: str) -> Mapping[str, object]:
        """Return a member's tags as etcd holds them: what the leader goes by when it looks for candidates."""
        path = f"/service/{self.spec.name}/members/{node}"
        try:
            record = json.loads(await etcd.get(self.lab, self.spec.dcs, path) or "{}")
        except (ConnectionError, ValueError) as error:
            raise ClusterError(f"etcd does not say who {node} is: {error}") from error
        tags = record.get("tags")
        return tags if isinstance(tags, dict) else {}

    async def restart(self, node: str) -> None:
        """Have Patroni restart a node's server. Raises ClusterError when it refuses."""
        answer = await self.rest(node, "POST", "/restart", {}, timeout_s=MOVE_TIMEOUT_S)
        if answer.status != 200:
            raise ClusterError(f"Patroni did not restart {node}: {answer.status} {answer.body}")

    async def started_at(self, node: str) -> str | None:
        """Return when a node's server started; None when its manager or it does not answer."""
        answer = await self.manager(node)
        return None if answer is None else str(answer.field("postmaster_start_time"))

    # operating

    async def set_parameters(self, parameters: Mapping[str, str]) -> None:
        """Put PostgreSQL parameters into Patroni's configuration; returns once every node has read it."""
        await operations.set_parameters(self, parameters)

    async def reseed(self, node: str) -> None:
        """Replace all data of a standby. Raises ClusterError, first of all for the primary."""
        await operations.reseed(self, node)

    async def add_node(self, node: NodeSpec) -> None:
        """Make a host for a node of the spec and return once it streams."""
        await operations.add_node(self, node)

    async def remove_node(self, node: str) -> None:
        """Take a standby out of Patroni, etcd, every server and the lab."""
        await operations.remove_node(self, node)

    async def set_maintenance(self, node: str, on: bool) -> None:
        """Stop a standby and keep it out, or let it join again."""
        await operations.set_maintenance(self, node, on)

    async def _ask_to_move(self, asked: str, path: str, body: Mapping[str, str | None]) -> None:
        wanted = {key: value for key, value in body.items() if value is not None}
        try:
            answer = await self.rest(asked, "POST", path, wanted, timeout_s=MOVE_TIMEOUT_S)
        except OSError as error:
            raise ClusterError(f"Patroni on {asked} did not answer: {error}") from error
        if answer.status != 200:
            raise ClusterError(f"Patroni refused the {path[1:]}: {answer.status} {answer.body}")

    async def _sync_unknown(self) -> str:
        """Return "" once the synchronous standby stands in etcd, seconds after it has become one.

        Patroni moves the primary to no other. https://patroni.readthedocs.io/en/latest/replication_modes.html
        """
        if self.spec.sync == "off" or await self._sync_record():
            return ""
        return "none is recorded"

    async def _new_leader(self, old: str | None) -> str:
        """Wait until another node than old leads and takes writes; return it."""
        leader: str | None = None

        async def unmet() -> str:
            nonlocal leader
            leader = await self._leader_or_none()
            return "" if leader not in (None, old) and await self.primary() == leader else f"{leader} leads"

        await wait_for(unmet, MOVE_TIMEOUT_S, "the new primary")
        assert leader is not None
        return leader

    # parts

    async def _look(self, node: NodeSpec) -> _Look:
        host = self.lab.hosts.get(node.name)
        # It may have no host or port: when adding or removing it was cut short.
        if host is None or not host.is_on or node.name not in self.lab.published:
            return _Look(None, (), None)
        (shown, standbys), manager = await asyncio.gather(
            self.look_inside(node.name), self.manager(node.name)
        )
        return _Look(shown, standbys, manager)

    async def manager(self, node: str) -> http.Answer | None:
        """Return what Patroni on a node says of itself; None when it does not answer."""
        try:
            return await self.rest(node, "GET", "/patroni")
        except OSError:
            return None

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

    def _believed_primary(self, looks: Mapping[str, _Look], leader: str | None) -> str | None:
        servers = {name: look.server for name, look in looks.items()}
        if leader is not None and (server := servers.get(leader)) is not None and not server.in_recovery:
            return leader
        return self.newest_primary(servers)

    def _node_view(self, node: NodeSpec, look: _Look, said: views.StandbyView | None) -> NodeView:
        state = look.manager.field("state") if look.manager is not None else None
        return self.node_view(node, look.server, said, str(state or "unreachable"), look.manager is not None)

    def _missing(self, nodes: list[NodeView], primary: str | None, synchronous: str) -> str:
        """Say what keeps the cluster from being whole; "" when nothing does."""
        if missing := self.missing(nodes, primary):
            return missing
        if self.spec.sync != "off" and len(self.spec.nodes) > 1 and not synchronous:
            # The store's word is the one that decides who may be promoted.
            return "Patroni has not recorded its synchronous standby yet"
        return ""


async def _exists(path: Path) -> str:
    return "" if path.exists() else f"there is no {path.name}"
