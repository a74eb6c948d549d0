"""A running pg_auto_failover cluster: how its primary is moved, and what an operator does to its nodes.

The monitor does what it has a word for. It has none for a copy made anew: the node is dropped and registered again.
Source: pg_auto_failover documentation, "Operating pg_auto_failover".
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Mapping
from functools import partial
from typing import Final

import psycopg

from outlast.clock import now_ns, seconds_between
from outlast.config.cluster import NodeSpec, without_node
from outlast.errors import ClusterError
from outlast.hosts.base import Host
from outlast.systems.pg_auto_failover import keeper, settings
from outlast.systems.pg_auto_failover.monitor import WRITES
from outlast.systems.pg_auto_failover.servers import STOP_TIMEOUT_S, PgAutoFailoverServers
from outlast.systems.postgres.server import PostgresServer
from outlast.systems.postgres.views import Connection, slot_names
from outlast.systems.wait import wait_for, wait_for_with_logs

MOVE_TIMEOUT_S: Final = 90.0
COPY_TIMEOUT_S: Final = 900.0
MAINTENANCE_TIMEOUT_S: Final = 60.0
SLOT_TIMEOUT_S: Final = 10.0
SETTINGS_TIMEOUT_S: Final = 60.0
NUDGE_S: Final = 1.0


class PgAutoFailoverCluster(PgAutoFailoverServers):
    """Servers under pg_auto_failover, with what can be asked of the monitor and of their keepers."""

    # leadership

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

    async def obstacles(self) -> Mapping[str, str]:
        """Return why the monitor would not promote a standby.

        Source: pg_auto_failover's group_state_machine.c, BuildCandidateList.
        """
        looks, rows = await asyncio.gather(self.look_at_all(), self.rows())
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

    # nodes and settings

    async def set_parameters(self, parameters: Mapping[str, str]) -> None:
        """Write parameters to every node's own file and have the servers read it."""
        for node in self.spec.nodes:
            host = self.lab.hosts[node.name]
            known = {**self.spec.postgresql.parameters, **parameters}
            await host.put(settings.NODE_CONF, settings.node_conf(node, known).encode())
            with contextlib.suppress(
                psycopg.Error, OSError, TimeoutError
            ):  # it reads the file when it starts
                async with await self.connect(node.name) as connection:
                    await connection.execute("SELECT pg_reload_conf()")

    async def set_sync(self) -> None:
        """Set number-sync-standbys; the monitor refuses while the primary applies other settings."""
        if len(self.spec.nodes) < 3:
            return  # with fewer than two standbys it is 0 and can be nothing else
        wanted = settings.number_sync_standbys(self.spec)

        async def refused() -> str:
            try:
                await self.monitor.ask("set_formation_number_sync_standbys", settings.FORMATION, wanted)
            except ClusterError as error:
                return error.message
            return ""

        await wait_for(refused, SETTINGS_TIMEOUT_S, f"number-sync-standbys {wanted}")

    async def reseed(self, node: str) -> None:
        """Drop a standby, remove its data, and register it again: pg_autoctl then makes a base backup."""
        host = await self.require_reseedable(node)
        await self._drop(node)
        for place in ("data", "backup", "home"):
            await asyncio.to_thread(shutil.rmtree, host.folder / place, True)
        await self._join(self.node(node))

    async def add_node(self, node: NodeSpec) -> None:
        """Make a host for a node and have pg_autoctl copy the primary to it. Raises ClusterError, HostError."""
        await self.join_host(node)
        await self._join(node)

    async def remove_node(self, node: str) -> None:
        """Stop a node in order, have the monitor and the primary forget it, and remove its host."""
        spec = self.spec
        if node in self.lab.hosts:
            await self.require_standby(node, "removed", must_be_on=False)
            if spec.sync in ("strict", "quorum") and len(spec.nodes) <= 3:
                raise ClusterError(
                    f"{node} cannot go: sync={spec.sync} needs two standbys", hint="outlast add-node first"
                )
            node_id = await self._drop(node)
            await self.lab.remove_host(node)
            if node_id is not None:
                await self._forget_slot(f"pgautofailover_standby_{node_id}")
        primary = await self.primary()
        left = [one.name for one in spec.nodes if one.name != node]
        self.spec = without_node(spec, node, primary or left[0])

    async def set_maintenance(self, node: str, on: bool) -> None:
        """Have the monitor take a standby out and stop its server, or have it join again."""
        if on:
            await self.require_standby(node, "taken out")
        row = next((row for row in await self.rows() or () if row.name == node), None)
        if row is None:
            raise ClusterError(
                f"the monitor {self.monitor.name} does not answer, or does not know {node}",
                hint="outlast doctor --lab",
            )
        await self.monitor.ask("start_maintenance" if on else "stop_maintenance", row.node_id)

        async def not_out() -> str:
            rows = {row.name: row.state for row in await self.rows() or ()}
            return "" if rows.get(node) == "maintenance" else f"the monitor says {rows.get(node)}"

        if on:
            await wait_for_with_logs(not_out, MAINTENANCE_TIMEOUT_S, f"{node} to go out", self, [node])
            # Its keeper lets go of the server, and leaves what is to be done with it to whoever asked.
            _program, install = keeper.find(self.spec.version)
            await PostgresServer(self.lab.hosts[node], install).stop(STOP_TIMEOUT_S)
        else:
            await self.wait_until_streaming(node)

    async def require_standby(self, node: str, act: str, *, must_be_on: bool = True) -> Host:
        """Return a standby's host. Raises ClusterError for the primary, without one, and without the monitor."""
        view = await self.view()
        if await self.rows() is None:
            raise ClusterError(
                f"the monitor {self.monitor.name} does not answer, so {node} cannot be {act}",
                hint="outlast heal",
            )
        return self.standby_host(node, act, view.primary, *view.primaries, must_be_on=must_be_on)

    async def wait_until_streaming(self, node: str) -> None:
        """Wait until a node streams. Its base backup waits for a checkpoint, which is slow unless it is asked for."""
        nudged = now_ns()

        async def unmet() -> str:
            nonlocal nudged
            view = await self.view()
            shown = view.node(node)
            if shown.state == "secondary" and shown.healthy:
                return ""
            if view.primary is not None and seconds_between(nudged, now_ns()) > NUDGE_S:
                with contextlib.suppress(psycopg.Error, OSError, TimeoutError):
                    async with await self.connect(view.primary, timeout_s=STOP_TIMEOUT_S) as connection:
                        await connection.execute("CHECKPOINT")
                nudged = now_ns()
            return f"it is {shown.state}"

        await wait_for_with_logs(unmet, COPY_TIMEOUT_S, f"{node} to stream", self, [node])

    # parts

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

    async def _join(self, node: NodeSpec) -> None:
        """Register a node without data and wait until it streams."""
        host = self.lab.hosts[node.name]
        await keeper.start(self.spec, host, keeper.node_words(self.spec, node, host))
        await self.wait_until_streaming(node.name)
        await keeper.set_time_outs(self.spec, host)
        await self.set_sync()  # the monitor raises it by itself when a second standby joins

    async def _drop(self, node: str) -> int | None:
        """Stop pg_autoctl on a node and have the monitor forget the node; returns the id it had there."""
        row = next((row for row in await self.rows() or () if row.name == node), None)
        await self.stop_node(node)
        if row is None:
            return None
        await self.monitor.ask("remove_node", row.node_id, True)
        return row.node_id

    async def _forget_slot(self, slot: str) -> None:
        """Have the slot of a node that has left go: keepers drop it by themselves, and we do where they do not.

        A node that does not answer has its keeper drop it once it is back.
        """
        for node in self.spec.nodes:
            host = self.lab.hosts.get(node.name)
            if host is None or not host.is_on:
                continue
            with contextlib.suppress(psycopg.OperationalError, OSError, TimeoutError, ClusterError):
                connection = await self.connect(node.name)
                async with connection:
                    await wait_for(partial(_holds, connection, slot), SLOT_TIMEOUT_S, "the slot to go")
            with contextlib.suppress(psycopg.Error, OSError, TimeoutError):
                async with await self.connect(node.name) as connection:
                    if await _holds(connection, slot):
                        await connection.execute("SELECT pg_drop_replication_slot(%s)", (slot,))


async def _holds(connection: Connection, slot: str) -> str:
    return f"{slot} is there" if slot in await slot_names(connection) else ""
