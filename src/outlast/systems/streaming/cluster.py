"""A running cluster of plain streaming replication: what it shows, and what an operator can do to it.

Every act that moves or starts a server holds the leadership's lock and keeps to its record (leadership.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import psycopg

from outlast.clock import timestamp
from outlast.config.cluster import ClusterSpec, NodeSpec
from outlast.hosts.base import Lab
from outlast.systems import maintenance
from outlast.systems.base import ClusterView, OutageModel, Progress, Role
from outlast.systems.credentials import Credentials
from outlast.systems.postgres import server, standby_server
from outlast.systems.postgres.install import find
from outlast.systems.postgres.server import PostgresServer
from outlast.systems.postgres.server_group import POSTGRES, ServerGroup
from outlast.systems.postgres.settings import hba_lines
from outlast.systems.postgres.standby_server import ServerConfig
from outlast.systems.streaming import failover, operations, settings
from outlast.systems.streaming.leadership import Leadership
from outlast.systems.streaming.operator import Operator

LOG: Final = "operator.log"
START_TIMEOUT_S: Final = 60.0
_STARTED: Final = "SELECT pg_postmaster_start_time()::text"


class FollowingCluster(ServerGroup):
    """PostgreSQL nodes that stream from the one that a record names; who moves it is a subclass's business.

    folder: where the record is kept.
    """

    model: OutageModel

    def __init__(self, lab: Lab, spec: ClusterSpec, credentials: Credentials, folder: Path) -> None:
        super().__init__(lab, spec, credentials)
        self.leadership = Leadership(folder)

    # looking

    async def view(self) -> ClusterView:
        """Return what every node shows now, all asked at once."""
        looks = await asyncio.gather(*(self.look_inside(node.name) for node in self.spec.nodes))
        shown = {node.name: look for node, look in zip(self.spec.nodes, looks, strict=True)}
        primary = self.newest_primary({name: look[0] for name, look in shown.items()})
        said = {standby.name: standby for standby in shown[primary][1]} if primary else {}
        nodes = [
            self.node_view(
                node,
                shown[node.name][0],
                said.get(node.name),
                "unreachable" if shown[node.name][0] is None else "running",
                True,
            )
            for node in self.spec.nodes
        ]
        missing = self.missing(nodes, primary)
        return ClusterView(not missing, primary, tuple(nodes), missing)

    async def primary(self) -> str | None:
        """Return the node that accepts writes; of several, the one on the newest timeline."""
        names = [node.name for node in self.spec.nodes]
        looks = await asyncio.gather(*(self.look_inside(name) for name in names))
        return self.newest_primary({name: look[0] for name, look in zip(names, looks, strict=True)})

    def log_files(self, node: str) -> Mapping[str, Path]:
        """Return a node's logs by name, and what the operator did."""
        return {"postgresql": self.lab.hosts[node].folder / server.LOG, "operator": self.lab.folder / LOG}

    def say(self, words: str) -> None:
        """Write into the operator's log what was done."""
        with (self.lab.folder / LOG).open("a") as file:
            file.write(f"{timestamp()} {words}\n")

    # processes

    def process_names(self, node: str) -> tuple[str, ...]:
        """Return what process_ids can find on a node: there is no manager, only the server."""
        return (POSTGRES,)

    async def restart(self, node: str) -> None:
        """Restart a node's server in order, in the role it has. Raises ClusterError when that fails."""
        async with self.leadership.held():
            one = self.server_config(node).server
            await one.stop(standby_server.STOP_TIMEOUT_S)
            await one.start(START_TIMEOUT_S)

    async def started_at(self, node: str) -> str | None:
        """Return when a node's server started; None when it does not answer."""
        try:
            connection = await self.connect(node)
            async with connection:
                row = await (await connection.execute(_STARTED)).fetchone()
        except (psycopg.Error, OSError, TimeoutError):
            return None
        return None if row is None else str(row[0])

    async def start_node(self, node: str) -> None:
        """Start a node's server in the role that the record gives it: only the recorded primary may lead."""
        async with self.leadership.held():
            await self.resume(node)

    async def resume(self, node: str) -> None:
        """Do what start_node does; the lock is held. Nothing on a node in maintenance."""
        if maintenance.is_out(self.lab.hosts[node]):
            return
        record = self.leadership.read()
        config = self.server_config(node)
        runs = bool(await config.server.pids())
        if node == record.primary:
            if not runs:
                self.say(f"{node} is started; it leads (term {record.term})")
                await standby_server.configure(self.server_config(node, record.waits_for), None)
                await config.server.start(START_TIMEOUT_S)
            if config.server.is_standby:  # whoever named it did not live to promote it
                await config.server.promote(START_TIMEOUT_S)
            return
        if runs and config.server.is_standby and await self._streams(node, record.primary):
            return
        if (await self.look_inside(record.primary))[0] is not None:
            self.say(f"{node} is started as a standby of {record.primary}")
            await standby_server.rejoin(config, self.address(record.primary), self.say)
        elif not runs:
            # Nobody to follow yet. As a standby it cannot take writes, whatever it was before.
            self.say(
                f"{node} is started as a standby; {record.primary}, which it is to follow, does not answer"
            )
            await standby_server.configure(config, self.address(record.primary))
            await config.server.start(START_TIMEOUT_S)

    async def _streams(self, node: str, primary: str) -> bool:
        return any(one.name == node for one in (await self.look_inside(primary))[1])

    async def obstacles(self) -> Mapping[str, str]:
        """Return why the operator would not promote a standby."""
        view = await self.view()
        found = {}
        for node in view.nodes:
            if node.role is Role.PRIMARY:
                continue
            if not self.lab.hosts[node.name].is_on:
                found[node.name] = "its host is off"
            elif node.lsn is None:
                found[node.name] = "its PostgreSQL does not answer"
            elif node.role is Role.READ_ONLY:
                found[node.name] = "it only serves reads, unless it is named"
        return found

    async def set_parameters(self, parameters: Mapping[str, str]) -> None:
        """Give every running server these parameters and have it read them."""
        await operations.set_parameters(self, parameters)

    async def reseed(self, node: str) -> None:
        """Throw a standby's data away and copy the primary's anew."""
        await operations.reseed(self, node)

    async def add_node(self, node: NodeSpec) -> None:
        """Make a host for a node that follows the primary."""
        await operations.add_node(self, node)

    async def remove_node(self, node: str) -> None:
        """Let a standby go, with its host."""
        await operations.remove_node(self, node)

    async def set_maintenance(self, node: str, on: bool) -> None:
        """Take a standby out, or let it follow again."""
        await operations.set_maintenance(self, node, on)

    # parts

    def node(self, name: str) -> NodeSpec:
        """Return the spec of a node."""
        return next(one for one in self.spec.nodes if one.name == name)

    def address(self, name: str) -> str:
        """Return the address of a node."""
        return self.node(name).address

    def server_config(self, name: str, waits_for: Iterable[str] | None = None) -> ServerConfig:
        """Return a node's server with its settings; waits_for: whom its commits wait for, all eligible by default."""
        waits_for = settings.eligible(self.spec, name) if waits_for is None else waits_for
        return ServerConfig(
            PostgresServer(self.lab.hosts[name], find(self.spec.version)),
            settings.parameters(self.spec, self.node(name), waits_for),
            hba_lines(self.spec),
        )


class StreamingCluster(FollowingCluster):
    """Such nodes with nobody in charge but an operator."""

    def __init__(self, lab: Lab, spec: ClusterSpec, credentials: Credentials) -> None:
        super().__init__(lab, spec, credentials, lab.folder)
        self.model = settings.outage_model(spec)

    async def switchover(self, target: str | None) -> str:
        """Stop the primary in order, have target take over with all it wrote, and return the new primary."""
        return await failover.switchover(self, target)

    async def failover(self, target: str | None) -> str:
        """Fence the primary, have target (None: the standby that holds most) take over; returns it."""
        return await failover.failover(self, target, comes_back=True)

    async def operate(self, say: Progress) -> None:
        """Be the operator until cancelled: look at the cluster, and act when its primary is lost."""
        await Operator(self, say).watch()
