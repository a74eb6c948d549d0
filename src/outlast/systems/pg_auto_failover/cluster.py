"""A running pg_auto_failover cluster: what it shows, and what can be asked of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import psycopg

from outlast.config.cluster import ClusterSpec, NodeSpec
from outlast.errors import ClusterError
from outlast.hosts.base import Lab
from outlast.systems.base import ClusterView, NodeView, OutageModel, Role
from outlast.systems.credentials import Credentials
from outlast.systems.pg_auto_failover import keeper, operations, settings
from outlast.systems.pg_auto_failover.monitor import WRITES, Monitor, MonitorRow
from outlast.systems.postgres import views
from outlast.systems.postgres.server_group import POSTGRES, ServerGroup
from outlast.systems.postgres.settings import POSTGRES_PORT
from outlast.systems.wait import wait_for

MOVE_TIMEOUT_S: Final = 90.0

Looks = Mapping[str, tuple[views.ServerView | None, tuple[views.StandbyView, ...]]]


class PgAutoFailoverCluster(ServerGroup):
    """PostgreSQL nodes, a keeper beside each, and the monitor that decides for them."""

    def __init__(self, lab: Lab, spec: ClusterSpec, credentials: Credentials) -> None:
        super().__init__(lab, spec, credentials)
        self.model: OutageModel = settings.outage_model(spec)
        self.monitor = Monitor(lab, spec, credentials)

    # looking

    async def view(self) -> ClusterView:
        """Return what every node and the monitor show now, all asked at once."""
        looks, rows = await asyncio.gather(self._looks(), self.rows())
        primary = newest_primary(looks)
        said = {one.address: one for one in looks[primary][1]} if primary else {}
        known = {row.name: row for row in rows or ()}
        nodes = []
        for node in self.spec.nodes:
            row = known.get(node.name)
            unknown = "unknown" if rows is None else "not registered"
            shown, streams = looks[node.name][0], said.get(node.address)
            seen = self.node_view(node, shown, streams, unknown, True)
            nodes.append(
                replace(
                    seen,
                    state=row.state if row else unknown,
                    assigned_state=row.assigned if row else None,
                    priority=row.priority if row else settings.priority(node),
                )
            )
        host = settings.monitor(self.spec)
        word = "unreachable" if rows is None else "running"
        port = self.published(host.name)
        nodes.append(
            NodeView(host.name, Role.MONITOR, host.address, POSTGRES_PORT, port, word, rows is not None)
        )
        missing = self._missing(nodes, primary)
        return ClusterView(not missing, primary, tuple(nodes), missing)

    async def primary(self) -> str | None:
        """Return the node that accepts writes; of several, the one on the newest timeline."""
        return newest_primary(await self._looks())

    @property
    def monitor_node(self) -> str:
        """The monitor's name."""
        return self.monitor.name

    async def leader_record(self) -> str | None:
        """Return the node that the monitor wants to take writes. Raises OSError when it does not answer."""
        rows = await self.rows()
        if rows is None:
            raise ConnectionError(f"{self.monitor.name} does not answer")
        return next((row.name for row in rows if row.assigned in WRITES), None)

    async def rows(self) -> tuple[MonitorRow, ...] | None:
        """Return what the monitor says of each node, None when it does not answer."""
        try:
            async with asyncio.timeout(2.5):
                return await self.monitor.rows()
        except (psycopg.Error, OSError, TimeoutError):
            return None

    def log_files(self, node: str) -> Mapping[str, Path]:
        """Return a node's logs by name."""
        folder = self.lab.hosts[node].folder
        return {"pg_autoctl": folder / keeper.LOG, "postgresql": folder / "log/postgresql.log"}

    # processes

    def process_names(self, node: str) -> tuple[str, ...]:
        """Return what process_ids can find on a node, the monitor's host too."""
        return (keeper.PROCESS, POSTGRES)

    async def process_ids(self, node: str, process: str) -> list[int]:
        """Return the pids of pg_autoctl's processes, or of PostgreSQL's."""
        return await super().process_ids(node, process if process == POSTGRES else keeper.PROCESS)

    async def start_node(self, node: str) -> None:
        """Run pg_autoctl on a node where it does not run, as a machine's init would; it starts the server."""
        if not await self.process_ids(node, keeper.PROCESS):
            host = self.lab.hosts[node]
            await keeper.start(self.spec, host, keeper.run_words(host))

    # asking the monitor

    async def switchover(self, target: str | None) -> str:
        """Have the monitor move the primary and return the new one. Raises ClusterError when it refuses."""
        old = await self.primary()
        if old is None:
            raise ClusterError(
                "there is no primary to switch over from", hint="outlast status says what there is"
            )
        return await self._move(old, target)

    async def failover(self, target: str | None) -> str:
        """Have the monitor promote target, by default its own choice, with or without a primary."""
        return await self._move(await self.primary(), target)

    async def _move(self, old: str | None, target: str | None) -> str:
        if target is not None and target == old:
            raise ClusterError(f"{target} is the primary already")
        if target is None:
            await self.monitor.ask("perform_failover", settings.FORMATION, settings.GROUP)
        else:
            await self.monitor.ask("perform_promotion", settings.FORMATION, target)
        leader: str | None = None

        async def unmet() -> str:
            nonlocal leader
            rows = {row.name: row for row in await self.rows() or ()}
            leader = await self.primary()
            if leader is None or leader == old:
                return f"the primary is {leader}"
            row = rows.get(leader)
            return "" if row is not None and row.state in WRITES else f"{leader} is {row and row.state}"

        await wait_for(unmet, MOVE_TIMEOUT_S, "the new primary")
        assert leader is not None
        return leader

    async def obstacles(self) -> Mapping[str, str]:
        """Return why the monitor would not promote a standby.

        Source: pg_auto_failover's group_state_machine.c, BuildCandidateList.
        """
        looks, rows = await asyncio.gather(self._looks(), self.rows())
        known = {row.name: row for row in rows or ()}
        found = {}
        for node in self.spec.nodes:
            shown, row = looks[node.name][0], known.get(node.name)
            if shown is not None and not shown.in_recovery:
                continue
            host = self.lab.hosts.get(node.name)
            if host is None or not host.is_on:
                found[node.name] = "its host is off"
            elif rows is None:
                found[node.name] = f"the monitor {self.monitor.name} does not answer: nobody is promoted"
            elif row is None:
                found[node.name] = "the monitor does not know it"
            elif shown is None:
                found[node.name] = "its PostgreSQL does not answer"
            elif row.priority == 0:
                found[node.name] = "its candidate priority is 0"
            elif not await self.process_ids(node.name, keeper.PROCESS):
                found[node.name] = "its pg_autoctl does not run"
            elif row.state != "secondary":
                found[node.name] = f"it is {row.state}"
        return found

    async def restart(self, node: str) -> None:
        """Have a node's keeper restart its server. Raises ClusterError when it does not come back."""
        before = await self.started_at(node)
        host = self.lab.hosts[node]
        data = str(host.folder / "data")
        await keeper.command(
            self.spec,
            host,
            "do",
            "service",
            "restart",
            "postgres",
            "--pgdata",
            data,
            timeout_s=MOVE_TIMEOUT_S,
        )

        async def unmet() -> str:
            now = await self.started_at(node)
            return "" if now not in (None, before) else f"it has run since {now}"

        await wait_for(unmet, MOVE_TIMEOUT_S, f"PostgreSQL on {node} to start anew")

    async def started_at(self, node: str) -> str | None:
        """Return when a node's server started; None when it does not answer."""
        try:
            connection = await self.connect(node)
            async with connection:
                cursor = await connection.execute("SELECT pg_postmaster_start_time()::text")
                row = await cursor.fetchone()
        except (psycopg.Error, OSError, TimeoutError):
            return None
        return None if row is None else str(row[0])

    # operating

    async def set_parameters(self, parameters: Mapping[str, str]) -> None:
        """Give every node these parameters, beside the data that base backups and rewinds replace."""
        await operations.set_parameters(self, parameters)

    async def reseed(self, node: str) -> None:
        """Drop a standby, remove its data and register it again. Raises ClusterError."""
        await operations.reseed(self, node)

    async def add_node(self, node: NodeSpec) -> None:
        """Make a host for node and return once it streams. Raises ClusterError, HostError."""
        await operations.add_node(self, node)

    async def remove_node(self, node: str) -> None:
        """Stop a standby, have the monitor forget it, and remove its host. Raises ClusterError."""
        await operations.remove_node(self, node)

    async def set_maintenance(self, node: str, on: bool) -> None:
        """Have the monitor take a standby out, or let it join again. Raises ClusterError."""
        await operations.set_maintenance(self, node, on)

    async def in_maintenance(self) -> frozenset[str]:
        """Return the nodes that the monitor knows to be out."""
        return frozenset(row.name for row in await self.rows() or () if row.assigned in operations.OUT)

    # parts

    async def _looks(self) -> Looks:
        names = [node.name for node in self.spec.nodes]
        found = await asyncio.gather(*(self.look_inside(name) for name in names))
        return dict(zip(names, found, strict=True))

    def _missing(self, nodes: Sequence[NodeView], primary: str | None) -> str:
        """Say what keeps the cluster from being whole; "" when nothing does."""
        if primary is None:
            return "no node accepts writes"
        primaries = [node.name for node in nodes if node.role is Role.PRIMARY]
        if len(primaries) > 1:
            return f"several nodes accept writes: {', '.join(primaries)}"
        out = {node.name for node in nodes if node.assigned_state in operations.OUT}
        voters = [node for node in settings.voters(self.spec) if node.name not in out]
        followers = len(self.spec.nodes) - len(out) - 1
        alone = "single" if len(self.spec.nodes) == 1 else "primary" if followers else "wait_primary"
        for node in nodes:
            if node.name in out:
                continue
            if not node.healthy:
                return f"{node.name} is not healthy: {node.state}"
            if node.role is Role.MONITOR:
                continue
            if node.state != node.assigned_state:
                return f"{node.name} goes from {node.state} to {node.assigned_state}"
            wanted = alone if node.role is Role.PRIMARY else "secondary"
            if node.state != wanted:
                return f"{node.name} is {node.state}, not {wanted}"
        if len(voters) > 1 and not any(node.sync in ("sync", "quorum") for node in nodes):
            return "no standby is synchronous yet"
        return ""


def newest_primary(looks: Looks) -> str | None:
    """Return the node that is out of recovery; of several, the one on the newest timeline."""
    writable = {
        name: shown.timeline
        for name, (shown, _standbys) in looks.items()
        if shown is not None and not shown.in_recovery
    }
    return max(writable, key=lambda name: writable[name], default=None)
