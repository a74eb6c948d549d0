"""What every cluster of PostgreSQL servers shows, whoever manages them: a manager's own cluster builds on it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping, Sequence
from typing import Final

import psycopg

from outlast.config.cluster import ClusterSpec, NodeSpec
from outlast.errors import ClusterError, HostError
from outlast.hosts.base import Host, Lab
from outlast.systems import maintenance
from outlast.systems.base import NodeView, Role
from outlast.systems.credentials import Credentials
from outlast.systems.postgres import server, views
from outlast.systems.postgres.seed import SUPERUSER
from outlast.systems.postgres.settings import POSTGRES_PORT
from outlast.systems.wait import wait_for

POSTGRES: Final = "postgres"
"""What process_ids calls PostgreSQL."""

LOOK_TIMEOUT_S: Final = 2.0
_STARTED: Final = "SELECT pg_postmaster_start_time()::text"

Look = tuple[views.ServerView | None, tuple[views.StandbyView, ...]]
"""What a node's server says of itself and of the standbys that stream from it; None: it does not answer."""


class ServerGroup:
    """The nodes of a lab that run PostgreSQL, reached through their published ports."""

    def __init__(self, lab: Lab, spec: ClusterSpec, credentials: Credentials) -> None:
        self.lab = lab
        self.spec = spec
        self.credentials = credentials

    def node(self, name: str) -> NodeSpec:
        """Return the spec of a node. Raises ClusterError for a name that no node has."""
        for node in self.spec.nodes:
            if node.name == name:
                return node
        raise ClusterError(f"{name} is no node of {self.spec.name}")

    def address(self, name: str) -> str:
        """Return the address of a node. Raises ClusterError for a name that no node has."""
        return self.node(name).address

    def published(self, member: str) -> int | None:
        """Return the port of 127.0.0.1 that leads to a member, None when there is none."""
        port = self.lab.published.get(member)
        return port.port if port else None

    async def connect(
        self,
        node: str,
        *,
        database: str = "postgres",
        user: str = SUPERUSER,
        timeout_s: float = LOOK_TIMEOUT_S,
    ) -> views.Connection:
        """Connect to a node past all routes and faults of the lab's wires. Raises psycopg.Error."""
        port = self.published(node)
        if port is None:
            raise HostError(f"{node} has no published port")
        return await views.connect(
            port,
            database=database,
            user=user,
            password=self.credentials.password(user),
            timeout_s=timeout_s,
        )

    async def look_inside(self, node: str) -> Look:
        """Return what a node's server shows; never an error."""
        host = self.lab.hosts.get(node)
        # It may have no host or port: when adding or removing it was cut short.
        if host is None or not host.is_on or node not in self.lab.published:
            return None, ()
        try:
            async with asyncio.timeout(LOOK_TIMEOUT_S + 0.5):
                connection = await self.connect(node)
                try:
                    shown = await views.server_view(connection)
                    return shown, await views.standby_views(connection)
                finally:
                    await connection.close()
        except (psycopg.Error, OSError, TimeoutError):
            return None, ()

    async def look_at_all(self) -> dict[str, Look]:
        """Return what every node's server shows, all asked at once."""
        names = [node.name for node in self.spec.nodes]
        looks = await asyncio.gather(*(self.look_inside(name) for name in names))
        return dict(zip(names, looks, strict=True))

    async def primary(self) -> str | None:
        """Return the node that accepts writes; of several, the one on the newest timeline."""
        return self.newest_primary({name: shown for name, (shown, _) in (await self.look_at_all()).items()})

    async def started_at(self, node: str) -> str | None:
        """Return when a node's server started; None when it does not answer."""
        try:
            async with await self.connect(node) as connection:
                row = await (await connection.execute(_STARTED)).fetchone()
        except (psycopg.Error, OSError, TimeoutError):
            return None
        return None if row is None else str(row[0])

    async def server_pids(self, node: str) -> list[int]:
        """Return the pids of a node's postmaster and of all its backends."""
        host = self.lab.hosts[node]
        masters = await server.postmaster_pids(host, host.folder / "data")
        alive = [process for process in await host.processes() if process.state != "Z"]
        return masters + [process.pid for process in alive if process.parent in masters]

    async def process_ids(self, node: str, process: str) -> list[int]:
        """Return the pids of all processes of a name; of PostgreSQL's, those of the postmaster and its backends."""
        if process == POSTGRES:
            return await self.server_pids(node)
        alive = [process for process in await self.lab.hosts[node].processes() if process.state != "Z"]
        return [one.pid for one in alive if one.name == process]

    async def end_processes(self, node: str, manager: str, names: Sequence[str], timeout_s: float) -> None:
        """Stop a node's processes in order: its manager is asked, and stops its server.

        names: all of them. Where the manager is frozen or gone they are killed. Raises ClusterError.
        """
        host = self.lab.hosts[node]
        if managers := await self.process_ids(node, manager):
            await host.signal(signal.SIGTERM, pids=managers)

        async def running() -> str:
            for name in names:
                if await self.process_ids(node, name):
                    return f"{name} runs"
            return ""

        try:
            await wait_for(running, timeout_s, f"{node} to stop")
        except ClusterError:
            for name in names:
                if pids := await self.process_ids(node, name):
                    await host.signal(signal.SIGKILL, pids=pids)
            await wait_for(running, timeout_s, f"{node} to end")

    def node_view(
        self,
        node: NodeSpec,
        shown: views.ServerView | None,
        said: views.StandbyView | None,
        state: str,
        managed: bool,
    ) -> NodeView:
        """Return a node as status prints it.

        shown: its server's own word; said: the primary's word of it; state: its manager's, where the primary says
        nothing; managed: whether its manager is well.
        """
        if shown is not None and not shown.in_recovery:
            role = Role.PRIMARY
        else:
            role = Role.READ_ONLY if node.role == "read-only" else Role.STANDBY
        host = self.lab.hosts.get(node.name)
        if host is not None and maintenance.is_out(host):
            state = maintenance.STATE
        return NodeView(
            node.name,
            role,
            node.address,
            POSTGRES_PORT,
            self.published(node.name),
            said.state if said is not None else state,
            shown is not None and managed and (role is Role.PRIMARY or said is not None),
            priority=node.priority,
            timeline=shown.timeline if shown else None,
            lsn=shown.lsn if shown else None,
            write_lag_s=said.write_lag_s if said else None,
            flush_lag_s=said.flush_lag_s if said else None,
            replay_lag_s=said.replay_lag_s if said else None,
            lag_bytes=said.lag_bytes if said else None,
            sync=said.sync if said else None,
            slot_active=said.slot_active if said else None,
        )

    def newest_primary(self, shown: Mapping[str, views.ServerView | None]) -> str | None:
        """Return the node that accepts writes; of several, the one on the newest timeline."""
        writable = {name: one.timeline for name, one in shown.items() if one and not one.in_recovery}
        return max(writable, key=lambda name: writable[name], default=None)

    def standby_host(
        self, node: str, what: str, primary: str | None, *leading: str | None, must_be_on: bool = True
    ) -> Host:
        """Return the host of a node that is to be ``what`` ("reseeded") while another is the primary.

        leading: who else leads, by anyone's word. Raises ClusterError for one of them, where there is no primary,
        and, when it must_be_on, for a host that is off.
        """
        if node in (primary, *leading):
            raise ClusterError(
                f"{node} is the primary and cannot be {what}",
                hint="outlast switchover moves the primary first",
            )
        if primary is None:
            raise ClusterError(f"no node accepts writes, so {node} cannot be {what}", hint="outlast status")
        host = self.lab.hosts[node]
        if must_be_on and not host.is_on:
            raise ClusterError(f"the host of {node} is off", hint="outlast heal")
        return host

    async def in_maintenance(self) -> frozenset[str]:
        """Return the nodes that are out."""
        return frozenset(name for name, host in self.lab.hosts.items() if maintenance.is_out(host))

    def missing(self, nodes: Sequence[NodeView], primary: str | None) -> str:
        """Say what keeps the servers from being whole; "" when nothing does."""
        if trouble := leadership_trouble(nodes, primary):
            return trouble
        for node in nodes:
            if node.state == maintenance.STATE:
                continue
            if not node.healthy:
                return f"{node.name} is {node.state}"
            if node.role in (Role.STANDBY, Role.READ_ONLY) and node.state != "streaming":
                return f"{node.name} is not streaming but {node.state}"
        waited_for = any(node.sync in ("sync", "quorum") for node in nodes)
        if self.spec.sync != "off" and len(self.spec.nodes) > 1 and not waited_for:
            return "no standby is synchronous yet"
        return ""


def leadership_trouble(nodes: Sequence[NodeView], primary: str | None) -> str:
    """Say what is wrong with who accepts writes; "" when exactly one node does."""
    if primary is None:
        return "no node accepts writes"
    primaries = [node.name for node in nodes if node.role is Role.PRIMARY]
    return f"several nodes accept writes: {', '.join(primaries)}" if len(primaries) > 1 else ""
