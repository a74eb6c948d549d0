"""The servers of a pg_auto_failover cluster: what they and the monitor show, and how their processes are run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import psycopg

from outlast.config.cluster import ClusterSpec, NodeSpec
from outlast.hosts.base import Host, Lab
from outlast.systems.base import ClusterView, NodeView, OutageModel, Role
from outlast.systems.credentials import Credentials
from outlast.systems.pg_auto_failover import keeper, settings
from outlast.systems.pg_auto_failover.monitor import OUT, WRITES, Monitor, MonitorRow
from outlast.systems.postgres import server
from outlast.systems.postgres.operations import OperableServers
from outlast.systems.postgres.server_group import POSTGRES, leadership_trouble
from outlast.systems.postgres.settings import POSTGRES_PORT

STOP_TIMEOUT_S: Final = 60.0


class PgAutoFailoverServers(OperableServers):
    """PostgreSQL nodes, a keeper beside each, and the monitor that decides for them."""

    def __init__(self, lab: Lab, spec: ClusterSpec, credentials: Credentials) -> None:
        super().__init__(lab, spec, credentials)
        self.model: OutageModel = settings.outage_model(spec)
        self.monitor = Monitor(lab, spec, credentials)

    # looking

    async def view(self) -> ClusterView:
        """Return what every node and the monitor show now, all asked at once."""
        looks, rows = await asyncio.gather(self.look_at_all(), self.rows())
        primary = self.newest_primary({name: shown for name, (shown, _) in looks.items()})
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

    async def in_maintenance(self) -> frozenset[str]:
        """Return the nodes that the monitor knows to be out."""
        return frozenset(row.name for row in await self.rows() or () if row.assigned in OUT)

    def log_files(self, node: str) -> Mapping[str, Path]:
        """Return a node's logs by name."""
        folder = self.lab.hosts[node].folder
        return {"pg_autoctl": folder / keeper.LOG, "postgresql": server.log_file(folder)}

    # processes

    def node_files(self, node: NodeSpec, host: Host) -> Mapping[str, bytes]:
        """Return what the server and pg_autoctl read on a node's host."""
        conf = settings.node_conf(node, self.spec.postgresql.parameters)
        return {**super().node_files(node, host), settings.NODE_CONF: conf.encode()}

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

    async def stop_node(self, node: str) -> None:
        """Stop pg_autoctl on a node in order, and with it its server."""
        if self.lab.hosts[node].is_on:
            await self.end_processes(node, keeper.PROCESS, self.process_names(node), STOP_TIMEOUT_S)

    # parts

    def _missing(self, nodes: Sequence[NodeView], primary: str | None) -> str:
        """Say what keeps the cluster from being whole; "" when nothing does."""
        if trouble := leadership_trouble(nodes, primary):
            return trouble
        out = {node.name for node in nodes if node.assigned_state in OUT}
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
