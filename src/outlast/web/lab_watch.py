"""Watches one lab for the page, as long as somebody looks: roles three times a second, figures every second.

A connection a node is kept; what costs more (the manager's word, the consensus store's members) is asked every few
seconds and whenever a role has changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Final

import psycopg

from outlast.clock import now_ns, seconds_between, wall_ms
from outlast.clusters import lifecycle
from outlast.errors import OutlastError
from outlast.faults import journal
from outlast.history.history import JSON
from outlast.history.live import read_live
from outlast.monitoring.exporter.sample import QUERY, NodeSample, sample_of
from outlast.net.base import Rule
from outlast.systems.base import Cluster, HasLeaderRecord, HasServers, Role
from outlast.systems.postgres.views import Connection, fetch_within, server_view, within
from outlast.web.lab_snapshot import (
    LabSnapshot,
    LinkSnapshot,
    LogEntry,
    NodeSnapshot,
    OpenFault,
    figures,
    log_entries,
)

LOOK_S: Final = 0.33
FIGURES_EVERY: Final = 3
"""Of the looks at a node, one in so many brings its figures too."""

LOCK_S: Final = 0.5
SLOW_S: Final = 10.0
SOON_S: Final = 0.3
LOOK_TIMEOUT_S: Final = 1.0
FIGURES_KEPT: Final = 300
LOG_ENTRIES_MAX: Final = 200
LINKS_MAX: Final = 400

Send = Callable[[str, JSON], None]
"""Is given the kind of a message and its document."""


class LabWatch:
    """One lab. send: is called with ``scene``, ``figures`` and ``event`` messages, in the order of time."""

    def __init__(self, name: str, send: Send) -> None:
        self.name = name
        self._send = send
        self.scene = LabSnapshot(name, "", "", "")
        self.figures: deque[JSON] = deque(maxlen=FIGURES_KEPT)
        self.events: deque[JSON] = deque(maxlen=LOG_ENTRIES_MAX)
        self._samples: dict[str, tuple[int, NodeSample]] = {}
        self._latest: dict[str, JSON] = {}
        self._hurry = asyncio.Event()

    async def run(self) -> None:
        """Watch until cancelled or the lab has gone. A lab that is replaced or resized is looked at anew."""
        while True:
            try:
                cluster = await asyncio.to_thread(lifecycle.attach, self.name)
                self._begin(cluster)
                await self._watch(cluster)
            except OutlastError as error:
                self._say(LogEntry("bad", error.message))
                await asyncio.sleep(SLOW_S)

    def _begin(self, cluster: Cluster) -> None:
        spec = cluster.spec
        nodes = [NodeSnapshot(one.name, "", one.address) for one in spec.nodes]
        nodes += [NodeSnapshot(one.name, "dcs", one.address) for one in spec.dcs]
        self.scene = LabSnapshot(self.name, spec.system, spec.profile, spec.sync, tuple(nodes))

    async def _watch(self, cluster: Cluster) -> None:
        """Run the looks side by side until the cluster's shape has changed, or one of them finds it gone."""
        looks = [
            self._look_slowly(cluster),
            self._look_at_faults(cluster),
            self._look_at_run(cluster),
            self._tick(),
        ]
        if isinstance(cluster, HasServers):
            looks += [self._look_at_node(cluster, one.name) for one in cluster.spec.nodes]
        if isinstance(cluster, HasLeaderRecord):
            looks.append(self._look_at_lock(cluster))
        tasks = [asyncio.create_task(look) for look in looks]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # what was seen

    def _show(self, now: LabSnapshot) -> None:
        """Take a new scene: say what has happened, and send it when it differs."""
        before, self.scene = self.scene, now
        if now == before:
            return
        for one in log_entries(before, now):
            self._say(one)
        if now.primary != before.primary or [one.role for one in now.nodes] != [
            one.role for one in before.nodes
        ]:
            self._hurry.set()
        self._send("scene", now.document())

    def _say(self, one: LogEntry) -> None:
        event: JSON = {"at_ms": wall_ms(), **asdict(one)}
        self.events.append(event)
        self._send("event", event)

    def _node(self, name: str) -> NodeSnapshot:
        return next(one for one in self.scene.nodes if one.name == name)

    # looks

    async def _look_at_node(self, cluster: Cluster, name: str) -> None:
        assert isinstance(cluster, HasServers)
        mine = next(one for one in cluster.spec.nodes if one.name == name)
        as_standby = str(Role.READ_ONLY if mine.role == "read-only" else Role.STANDBY)
        while True:
            connection: Connection | None = None
            try:
                async with asyncio.timeout(2 * LOOK_TIMEOUT_S):
                    connection = await cluster.connect(
                        name, database=cluster.spec.database, timeout_s=LOOK_TIMEOUT_S
                    )
                await self._follow(connection, name, as_standby)
            except (psycopg.Error, OSError, TimeoutError, OutlastError):
                self._samples.pop(name, None)
                self._latest.pop(name, None)
                self._lose(name)
            finally:
                if connection is not None:
                    connection.pgconn.finish()  # without a word: nobody may be there to hear it
            await asyncio.sleep(LOOK_S)

    def _lose(self, name: str) -> None:
        """A node does not answer; if it led, nobody knows how far behind the others are."""
        led = name == self.scene.primary
        now = self.scene.with_node(replace(self._node(name), role="silent", lag_bytes=None))
        if led:
            now = replace(now, nodes=tuple(replace(one, lag_bytes=None) for one in now.nodes))
        self._show(now)

    async def _follow(self, connection: Connection, name: str, as_standby: str) -> None:
        looks = 0
        while True:
            if looks % FIGURES_EVERY == 0:
                (row,) = await fetch_within(connection, QUERY, LOOK_TIMEOUT_S)
                sample = sample_of(row)
                self._take(name, sample)
                in_recovery, timeline = sample.in_recovery, sample.timeline
            else:
                seen = await within(connection, server_view(connection), LOOK_TIMEOUT_S)
                in_recovery, timeline = seen.in_recovery, seen.timeline
            role = as_standby if in_recovery else str(Role.PRIMARY)
            self._show(self.scene.with_node(replace(self._node(name), role=role, timeline=timeline)))
            looks += 1
            await asyncio.sleep(LOOK_S)

    def _take(self, name: str, sample: NodeSample) -> None:
        """Keep a node's sample: its rates since the one before and, from the primary, its standbys' lags."""
        at_ns = now_ns()
        before = self._samples.get(name)
        self._samples[name] = (at_ns, sample)
        if before is not None:
            self._latest[name] = asdict(figures(before[1], sample, seconds_between(before[0], at_ns)))
        if not sample.in_recovery and name == self.scene.primary:
            said = {one.name: one for one in sample.standbys}
            nodes = tuple(
                replace(
                    one,
                    lag_bytes=said[one.name].lag_bytes,
                    sync=said[one.name].sync,
                    state=said[one.name].state,
                )
                if one.name in said
                else replace(one, lag_bytes=None, sync="")
                for one in self.scene.nodes
            )
            self._show(replace(self.scene, nodes=nodes))

    async def _look_at_lock(self, cluster: HasLeaderRecord) -> None:
        while True:
            start = now_ns()
            with contextlib.suppress(OSError, TimeoutError):
                lock = await cluster.leader_record()
                self._show(replace(self.scene, lock=lock))
            await asyncio.sleep(max(LOCK_S, 20 * seconds_between(start, now_ns())))

    async def _look_at_faults(self, cluster: Cluster) -> None:
        folder = cluster.lab.folder / journal.FOLDER
        before: tuple[str, ...] = ()
        while True:
            names = tuple(sorted(path.name for path in folder.glob("*.json"))) if folder.is_dir() else ()
            if names != before:
                with contextlib.suppress(OutlastError, OSError):
                    found = [(entry.path.name, entry.injection) for entry in journal.entries(cluster.lab)]
                    faults = tuple(OpenFault(one.fault, one.targets, key) for key, one in found)
                    links = await self._links(cluster) if names else ()
                    self._show(replace(self.scene, faults=faults, links=links))
                    before = names
            elif names:
                with contextlib.suppress(OutlastError, OSError):
                    self._show(replace(self.scene, links=await self._links(cluster)))
                await asyncio.sleep(LOOK_S)
            await asyncio.sleep(LOOK_S)

    @staticmethod
    async def _links(cluster: Cluster) -> tuple[LinkSnapshot, ...]:
        with contextlib.suppress(NotImplementedError):
            rules = await cluster.lab.net.active()
            return tuple(link for rule in rules for link in link_states(rule))[:LINKS_MAX]
        return ()

    async def _look_at_run(self, cluster: Cluster) -> None:
        while True:
            live = read_live(cluster.lab.folder)
            if live is not None and not live.is_running and self.scene.run is None:
                live = None  # a run that ended before anybody looked
            self._show(replace(self.scene, run=live))
            await asyncio.sleep(2 * LOOK_S)

    async def _look_slowly(self, cluster: Cluster) -> None:
        """Ask for the whole view now and then; ends when the lab's shape is no longer the one that is watched."""
        shape = {one.name for one in cluster.spec.members()}
        while True:
            self._hurry.clear()
            view = await cluster.view()
            said = {one.name: one for one in view.nodes}
            nodes = []
            for one in self.scene.nodes:
                seen = said.get(one.name)
                if seen is not None:
                    one = replace(one, state=seen.state, healthy=seen.healthy, address=seen.address)
                nodes.append(one)
            self._show(replace(self.scene, nodes=tuple(nodes), missing="" if view.ready else view.missing))
            again = await asyncio.to_thread(lifecycle.attach, self.name)
            if {one.name for one in again.spec.members()} != shape:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), SLOW_S)
            await asyncio.sleep(SOON_S)

    async def _tick(self) -> None:
        """Send the figures of every second."""
        while True:
            await asyncio.sleep(1.0)
            run = self.scene.run
            point: JSON = {
                "at_ms": wall_ms(),
                "nodes": dict(self._latest),
                "lag": {one.name: one.lag_bytes for one in self.scene.nodes if one.lag_bytes is not None},
                "run": None if run is None or not run.is_running else json.loads(json.dumps(asdict(run))),
            }
            self.figures.append(point)
            self._send("figures", point)


def link_states(rule: Rule) -> list[LinkSnapshot]:
    """Return what a rule does to each link it is about, in words."""
    what = rule.conditions
    if what.cuts:
        kind, words = "cut", "cut" + (f" for port {', '.join(map(str, rule.ports))}" if rule.ports else "")
    else:
        parts = [f"+{what.delay_ms:g} ms"] if what.holds else []
        parts += [f"{what.rate_kbit} kbit/s"] if what.rate_kbit else []
        kind = "slow" if parts else "lossy"
        parts += [f"{what.loss_percent:g} % lost"] if what.loss_percent else []
        parts += [f"{what.duplicate_percent:g} % doubled"] if what.duplicate_percent else []
        parts += [f"{what.corrupt_percent:g} % corrupted"] if what.corrupt_percent else []
        words = ", ".join(parts) or "touched"
    return [
        LinkSnapshot(source, destination, kind, words)
        for source in rule.sources
        for destination in rule.destinations
        if source != destination
    ]
