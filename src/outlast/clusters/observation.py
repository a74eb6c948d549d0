"""Watches a cluster during a run: what each node and the consensus store show, over time.

Over the tool's own way into the lab, which no fault of the lab's wires cuts: what is seen is what a node says
of itself at that moment, whoever else can reach it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import psycopg

from outlast.clock import now_ns, seconds_between
from outlast.history.history import NodeObservation
from outlast.systems.base import (
    Cluster,
    HasConsensus,
    HasLeaderRecord,
    HasMembers,
    HasServers,
    Role,
)
from outlast.systems.postgres.views import Connection, StandbyView, server_view, standby_views, within
from outlast.units import NS_PER_S

SAMPLE_S: Final = 0.1
RECONNECT_S: Final = 0.2
LAGS_EVERY_NS: Final = NS_PER_S // 2
LOOK_SHARE: Final = 4.0
"""A pause is at least this many times as long as the look before it."""
MEMBERS_EVERY_S: Final = 0.5
LOOK_TIMEOUT_S: Final = 1.0
OBSERVATIONS_MAX: Final = 1_000_000

# Of the files, not of our own session: it sets synchronous_commit for itself.
_COMMIT_SETTING: Final = (
    "SELECT setting FROM pg_file_settings WHERE name = 'synchronous_commit' AND applied "
    "ORDER BY seqno DESC LIMIT 1"
)
_STANDBY_NAMES: Final = "SELECT current_setting('synchronous_standby_names')"
_FSYNC: Final = "SELECT current_setting('fsync')"


class Observer:
    """Collects observations while it runs. keep_s: how often a state that does not change is kept."""

    def __init__(self, cluster: Cluster, keep_s: float = 0.5) -> None:
        self._cluster = cluster
        self._keep_ns = int(keep_s * NS_PER_S)
        self._longest: dict[str, float] = {}
        self.look_s = 0.0
        """The longest that a server that answered took to say what it is."""
        self.observations: list[NodeObservation] = []
        self._last: dict[tuple[str, str], NodeObservation] = {}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Observe for the length of a with block."""
        tasks = []
        if isinstance(self._cluster, HasServers):
            tasks += [
                asyncio.create_task(self._watch_node(self._cluster, node.name))
                for node in self._cluster.spec.nodes
            ]
        elif isinstance(self._cluster, HasMembers):
            tasks += [
                asyncio.create_task(self._watch_member(self._cluster, node.name))
                for node in self._cluster.spec.nodes
            ]
        if isinstance(self._cluster, HasLeaderRecord):
            tasks.append(asyncio.create_task(self._watch_store(self._cluster)))
        if isinstance(self._cluster, HasConsensus) and len(self._cluster.spec.dcs) > 1:
            tasks.append(asyncio.create_task(self._watch_members(self._cluster)))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def look_closely(self) -> None:
        """Keep every sample from now on: nodes come back, and when is to be told exactly."""
        self._keep_ns = 0

    def answering(self) -> int:
        """Return how many nodes answered when they were last asked."""
        return sum(1 for (source, _), seen in self._last.items() if source == "node" and seen.role)

    def _note(self, seen: NodeObservation) -> None:
        key = (seen.source, seen.node)
        last = self._last.get(key)
        changed = last is None or (last.role, last.timeline, last.state, last.durability) != (
            seen.role,
            seen.timeline,
            seen.state,
            seen.durability,
        )
        if changed or (last is not None and seen.at_ns - last.at_ns >= self._keep_ns):
            if len(self.observations) < OBSERVATIONS_MAX:
                self.observations.append(seen)
            self._last[key] = seen

    async def _watch_node(self, cluster: HasServers, node: str) -> None:
        while True:
            try:
                connection = await cluster.connect(node, timeout_s=LOOK_TIMEOUT_S)
            except (psycopg.Error, OSError, TimeoutError):
                self._note(NodeObservation(now_ns(), node, "node", "", 0, 0, "unreachable"))
                await asyncio.sleep(RECONNECT_S)
                continue
            try:
                await self._sample(node, connection)
            except (psycopg.Error, OSError, TimeoutError):
                self._note(NodeObservation(now_ns(), node, "node", "", 0, 0, "unreachable"))
            finally:
                await connection.close()

    async def _sample(self, node: str, connection: Connection) -> None:
        commit = await _text(connection, _COMMIT_SETTING)
        synced = await _text(connection, _FSYNC) != "off"
        lags_ns = 0
        while True:
            asked_ns = now_ns()
            seen = await within(connection, server_view(connection), LOOK_TIMEOUT_S)
            self.look_s = max(self.look_s, seconds_between(asked_ns, now_ns()))
            names = (
                ""
                if seen.in_recovery
                else await within(connection, _text(connection, _STANDBY_NAMES), LOOK_TIMEOUT_S)
            )
            role = "standby" if seen.in_recovery else "primary"
            waits = "" if seen.in_recovery else durability(commit, names)
            self._note(
                NodeObservation(
                    *(now_ns(), node, "node", role, seen.timeline, seen.lsn, "running", waits), synced=synced
                )
            )
            if now_ns() >= lags_ns:
                lags_ns = now_ns() + LAGS_EVERY_NS
                for standby in await within(connection, standby_views(connection), LOOK_TIMEOUT_S):
                    self._note_lag(standby)
            await asyncio.sleep(SAMPLE_S)

    async def _watch_member(self, cluster: HasMembers, node: str) -> None:
        """Note what a member shows; a majority has stored what its leader acknowledges."""
        while True:
            view = await cluster.node_view(node)
            leads = view.role is Role.PRIMARY
            if view.healthy:
                seen = NodeObservation(
                    now_ns(),
                    node,
                    "node",
                    "primary" if leads else "standby",
                    view.timeline or 0,
                    view.lsn or 0,
                    view.state,
                    "sync" if leads else "",
                    synced=self._cluster.spec.fsync,
                )
            else:
                seen = NodeObservation(now_ns(), node, "node", "", 0, 0, view.state)
            self._note(seen)
            await asyncio.sleep(SAMPLE_S)

    def _note_lag(self, standby: StandbyView) -> None:
        """Note how far behind a standby is; of what is not kept, the longest lag goes into the next that is."""
        lag_s = max(standby.replay_lag_s or 0.0, self._longest.get(standby.name, 0.0))
        kept = len(self.observations)
        self._note(
            NodeObservation(
                now_ns(),
                standby.name,
                "replication",
                "",
                0,
                0,
                standby.state,
                "",
                round(lag_s, 6),
                standby.lag_bytes,
            )
        )
        self._longest[standby.name] = 0.0 if len(self.observations) > kept else lag_s

    async def _watch_store(self, store: HasLeaderRecord) -> None:
        """Note who is to lead: role ``primary`` for that node, "" for one that is to lead no longer.

        A look that takes long is taken less often, so that looking never loads the machine.
        """
        last = ""
        while True:
            start = now_ns()
            try:
                holder = await store.leader_record() or ""
            except (OSError, TimeoutError):
                self._note(NodeObservation(now_ns(), "", "dcs", "", 0, 0, "unreachable"))
            else:
                if last and holder != last:
                    self._note(NodeObservation(now_ns(), last, "dcs", "", 0, 0, "lost"))
                if holder:
                    self._note(NodeObservation(now_ns(), holder, "dcs", "primary", 0, 0, "held"))
                last = holder
            await asyncio.sleep(max(SAMPLE_S, LOOK_SHARE * seconds_between(start, now_ns())))

    async def _watch_members(self, store: HasConsensus) -> None:
        """Note which member leads the consensus store, role ``leader``; "" while none does."""
        while True:
            start = now_ns()
            with contextlib.suppress(OSError, TimeoutError):
                self._note_leader(await store.dcs_leader() or "")
            await asyncio.sleep(max(MEMBERS_EVERY_S, LOOK_SHARE * seconds_between(start, now_ns())))

    def _note_leader(self, leader: str) -> None:
        """Keep a leader of the store when it is another than before."""
        before = self._last.get(("consensus", ""))
        if before is None or before.node != leader:
            seen = NodeObservation(now_ns(), leader, "consensus", "leader" if leader else "", 0, 0)
            self.observations.append(seen)
            self._last["consensus", ""] = seen


def durability(synchronous_commit: str, synchronous_standby_names: str) -> str:
    """Return what a primary with these settings waits for, as ``NodeObservation`` says it.

    PostgreSQL takes every spelling of a boolean for synchronous_commit; "" is its default, on.
    """
    if synchronous_commit.lower() in ("off", "false", "no", "0"):
        return "off"
    if not synchronous_standby_names:
        return "async"
    return "local" if synchronous_commit.lower() == "local" else "sync"


async def _text(connection: Connection, query: str) -> str:
    row = await (await connection.execute(query.encode())).fetchone()
    return "" if row is None else str(row[0])
