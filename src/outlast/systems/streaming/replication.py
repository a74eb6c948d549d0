"""Servers that stream from a recorded primary: what they show, and what an operator does to them.

Plain streaming replication and Pgpool-II share it; who moves the primary differs. Every act that moves or starts a
server holds the leadership's lock and keeps to its record (leadership.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import psycopg

from outlast.clock import timestamp
from outlast.config.cluster import ClusterSpec, NodeSpec, without_node
from outlast.errors import ClusterError
from outlast.hosts.base import Host, Lab
from outlast.systems import maintenance
from outlast.systems.base import ClusterView, OutageModel, Role
from outlast.systems.credentials import Credentials
from outlast.systems.postgres import server, standby_server
from outlast.systems.postgres.install import find
from outlast.systems.postgres.operations import OperableServers
from outlast.systems.postgres.server import PostgresServer
from outlast.systems.postgres.server_group import POSTGRES
from outlast.systems.postgres.settings import hba_lines
from outlast.systems.postgres.standby_server import ServerConfig
from outlast.systems.streaming import settings
from outlast.systems.streaming.leadership import Leadership, Record
from outlast.systems.streaming.promotion import synchronous_standby_names
from outlast.systems.wait import wait_for

LOG: Final = "operator.log"
START_TIMEOUT_S: Final = 60.0
SHOW_TIMEOUT_S: Final = 10.0
STREAM_TIMEOUT_S: Final = 60.0
_DROP_SLOT: Final = (
    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s AND NOT active"
)


class ReplicationCluster(OperableServers):
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
        shown = await self.look_at_all()
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

    def log_files(self, node: str) -> Mapping[str, Path]:
        """Return a node's logs by name, and what the operator did."""
        return {"postgresql": server.log_file(self.lab.hosts[node].folder), "operator": self.lab.folder / LOG}

    def say(self, words: str) -> None:
        """Write into the operator's log what was done."""
        with (self.lab.folder / LOG).open("a") as file:
            file.write(f"{timestamp()} {words}\n")

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

    async def start_node(self, node: str) -> None:
        """Start a node's server in the role that the record gives it: only the recorded primary may lead."""
        async with self.leadership.held():
            await self.resume(node)

    async def stop_node(self, node: str) -> None:
        """Stop a node's server in order; nothing where it does not run or its host is off. Raises ClusterError."""
        one = self.server_config(node).server
        if self.lab.hosts[node].is_on and await one.pids():
            await one.stop(standby_server.STOP_TIMEOUT_S)

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
        return any(standby.name == node for standby in (await self.look_inside(primary))[1])

    # nodes and settings

    async def set_waits_for(self, wanted: Sequence[str]) -> None:
        """Have commits on the primary wait for one of wanted; the leadership's lock is held.

        The record always names at least those that the primary waits for: a name is added to it first, and taken off it
        last. Raises ClusterError when the primary does not take the setting.
        """
        record = self.leadership.read()
        if self.spec.sync == "off" or tuple(wanted) == record.waits_for:
            return
        both = tuple(dict.fromkeys((*record.waits_for, *wanted)))
        self.leadership.write(Record(record.primary, record.term, both))
        config = self.server_config(record.primary, wanted)
        await standby_server.configure(config, None)
        await config.server.reload()
        setting = synchronous_standby_names(self.spec.sync, wanted)

        async def unmet() -> str:
            try:
                connection = await self.connect(record.primary)
                async with connection:
                    row = await (await connection.execute("SHOW synchronous_standby_names")).fetchone()
            except (psycopg.Error, OSError, TimeoutError) as error:
                return str(error)
            return "" if row is not None and row[0] == setting else f"it says {row}"

        await wait_for(unmet, SHOW_TIMEOUT_S, f"{record.primary} to take its list of standbys")
        self.leadership.write(Record(record.primary, record.term, tuple(wanted)))
        self.say(f"commits on {record.primary} wait for {setting or 'nobody'}")

    async def set_parameters(self, parameters: Mapping[str, str]) -> None:
        """Write every running server's files anew with these parameters and have it read them."""
        kept = {**self.spec.postgresql.parameters, **parameters}
        self.spec = replace(self.spec, postgresql=replace(self.spec.postgresql, parameters=kept))
        async with self.leadership.held():
            record = self.leadership.read()
            for node in self.spec.nodes:
                leads = node.name == record.primary
                config = self.server_config(node.name, record.waits_for if leads else None)
                if not self.lab.hosts[node.name].is_on or not await config.server.pids():
                    continue  # it gets its files before it starts
                await standby_server.configure(config, None if leads else self.address(record.primary))
                await config.server.reload()

    async def reseed(self, node: str) -> None:
        """Throw a standby's data away and copy the primary's anew."""
        await self.require_reseedable(node)
        primary = self.leadership.read().primary
        await standby_server.reseed(self.server_config(node), self.address(primary), self.say)
        await self.wait_until_streaming(node)

    async def add_node(self, node: NodeSpec) -> None:
        """Make a host for a node, copy the primary to it, and have it follow; commits may wait for it from then on."""
        await self.join_host(node)
        primary = self.leadership.read().primary
        await standby_server.reseed(self.server_config(node.name), self.address(primary), self.say)
        await self.wait_until_streaming(node.name)
        async with self.leadership.held():
            record = self.leadership.read()
            if node.name in settings.eligible(self.spec, record.primary):
                await self.set_waits_for(tuple(dict.fromkeys((*record.waits_for, node.name))))

    async def remove_node(self, node: str) -> None:
        """Have nobody wait for a standby, stop it, drop its slot, and remove its host."""
        spec = self.spec
        if node in self.lab.hosts:
            await self.require_standby(node, "removed", must_be_on=False)
            async with self.leadership.held():
                record = self.leadership.read()
                left = [name for name in record.waits_for if name != node]
                if record.waits_for and not left and spec.sync != "on":
                    raise ClusterError(
                        f"{node} is the last standby, and sync={spec.sync} refuses writes without one",
                        hint="outlast add-node first",
                    )
                await self.set_waits_for(left)
            await self.stop_node(node)
            await self.lab.remove_host(node)
        primary = self.leadership.read().primary
        connection = await self.connect(primary)
        async with connection:
            await connection.execute(_DROP_SLOT, (standby_server.slot_name(node),))
        self.spec = without_node(spec, node, primary)

    async def require_standby(self, node: str, act: str, *, must_be_on: bool = True) -> Host:
        """Return a standby's host. Raises ClusterError for the primary, and while there is none."""
        recorded = self.leadership.read().primary
        return self.standby_host(node, act, await self.primary(), recorded, must_be_on=must_be_on)

    async def wait_until_streaming(self, node: str) -> None:
        """Wait until the primary calls a node a streaming standby. Raises ClusterError."""

        async def unmet() -> str:
            shown = await self.look_inside(self.leadership.read().primary)
            state = next((standby.state for standby in shown[1] if standby.name == node), "not known")
            return "" if state == "streaming" else f"it is {state}"

        await wait_for(unmet, STREAM_TIMEOUT_S, f"{node} to stream")

    # parts

    def server_config(self, name: str, waits_for: Iterable[str] | None = None) -> ServerConfig:
        """Return a node's server with its settings; waits_for: whom its commits wait for, all eligible by default."""
        waits_for = settings.eligible(self.spec, name) if waits_for is None else waits_for
        return ServerConfig(
            PostgresServer(self.lab.hosts[name], find(self.spec.version)),
            settings.parameters(self.spec, self.node(name), waits_for),
            hba_lines(self.spec),
        )
