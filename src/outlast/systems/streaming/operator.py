"""The operator of a drill: looks at the cluster at a fixed interval, and acts when it has looked bad for a while.

Plain streaming replication has nobody in charge: when its primary dies, a person must see it and act. In a drill this
program is that person. It sees and acts over each host's console, as a person with a management network would, so no
fault of the lab's wires blinds it; that it takes its time is what ``OperatorPace`` says.

It acts on two signs, each in several looks in a row: the primary's server takes no writes, or servers of standbys are
up and none of them streams. It keeps the list of standbys that commits wait for to those that stream, and brings a
stopped server back as a standby once it reaches the primary.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, Final

from outlast.errors import OutlastError
from outlast.systems.base import ClusterView, Role
from outlast.systems.streaming import failover, settings
from outlast.systems.streaming.leadership import Record
from outlast.systems.streaming.replication import ReplicationCluster

TOLD_S: Final = 5.0


class Operator:
    """One person's watch. say: is told of every act."""

    def __init__(self, cluster: ReplicationCluster, say: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._say = say
        self._pace = settings.PACES[cluster.spec.profile]
        self._bad = 0
        self._silent: dict[str, int] = {}

    async def watch(self) -> None:
        """Look and act until cancelled. An act that fails is config and tried again at the next look."""
        while True:
            await asyncio.sleep(self._pace.look_s)
            try:
                await self._look()
            except (OutlastError, OSError, TimeoutError) as error:
                self._say(f"the operator: {error}")
                self._cluster.say(f"not done: {error}")

    async def _look(self) -> None:
        cluster = self._cluster
        view, record = await cluster.view(), cluster.leadership.read()
        sign = trouble(view, record.primary)
        self._bad = self._bad + 1 if sign else 0
        if self._bad >= self._pace.bad_looks:
            self._say(f"the operator sees that {sign} and has a standby promoted")
            cluster.say(f"seen in {self._bad} looks: {sign}")
            await self._act(failover.failover(cluster, None, comes_back=False, seen=record))
            self._bad = 0
            self._silent.clear()
            self._say(f"the operator has promoted {cluster.leadership.read().primary}")
        elif not sign:
            await self._keep_list(view, record)
            await self._bring_back(view, record)

    async def _act(self, act: Coroutine[Any, Any, object]) -> None:
        """Carry an act to its end, also when the watch ends meanwhile: half a move helps nobody."""
        task = asyncio.ensure_future(act)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            raise

    async def _keep_list(self, view: ClusterView, record: Record) -> None:
        """Have commits wait for those standbys that stream.

        With ``on`` commits wait for nobody when no standby is left; with ``strict`` and ``quorum`` they wait.
        """
        cluster = self._cluster
        if cluster.spec.sync == "off":
            return
        wanted = []
        for name in settings.eligible(cluster.spec, record.primary):
            streams = view.node(name).state == "streaming"
            self._silent[name] = 0 if streams else self._silent.get(name, 0) + 1
            waited_for = name in record.waits_for
            if streams or (waited_for and self._silent[name] < self._pace.bad_looks):
                wanted.append(name)
        if not wanted and cluster.spec.sync != "on":
            return
        if tuple(wanted) == record.waits_for:
            return
        async with cluster.leadership.held():
            if cluster.leadership.read() != record:
                return
            await cluster.set_waits_for(wanted)
        self._say(f"the operator: commits on {record.primary} wait for {', '.join(wanted) or 'nobody'}")

    async def _bring_back(self, view: ClusterView, record: Record) -> None:
        """Start, as a standby, what does not run though its host is on and reaches the primary."""
        cluster = self._cluster
        for node in view.nodes:
            if node.name == record.primary or node.lsn is not None or not cluster.lab.hosts[node.name].is_on:
                continue
            with contextlib.suppress(OutlastError, TimeoutError):
                await cluster.server_config(node.name).server.ask(
                    cluster.address(record.primary), "SELECT 1", TOLD_S
                )
                await self._act(cluster.start_node(node.name))


def trouble(view: ClusterView, primary: str) -> str:
    """Say by what sign the primary is lost; "" while there is none."""
    standbys = [node for node in view.nodes if node.role is not Role.PRIMARY]
    if view.primary != primary:
        return f"{primary} takes no writes"
    up = [node for node in standbys if node.lsn is not None]
    if up and not any(node.state == "streaming" for node in up):
        return f"no standby streams from {primary}"
    return ""
