"""What each alert is for, made to happen: causes on a running cluster, and which alerts they must and may bring.

A cause is faults in order. ``expected`` must fire; ``allowed`` are true of that cause too, and may.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from outlast.clock import now_ns
from outlast.config.cluster import NodeSpec
from outlast.errors import ClusterError
from outlast.faults import journal
from outlast.faults.base import with_defaults
from outlast.faults.registry import fault
from outlast.faults.targets import resolve
from outlast.history.history import JSON
from outlast.systems.base import Cluster, HasConsensus, HasPrimary, HasServers, Killable
from outlast.systems.wait import wait_for

POSTGRES: Final = "postgres"
ELECTIONS: Final = 3
LEADER_TIMEOUT_S: Final = 30.0
MENDS: Final = ("patroni",)
"""Systems that make a standby again of one that was promoted behind their back."""


@dataclass(frozen=True, slots=True)
class AlertStage:
    """Where causes are made. inject: a fault by name on nodes, with parameters; healed by the drill."""

    cluster: Cluster
    rng: random.Random

    async def inject(self, name: str, on: tuple[str, ...], **params: JSON) -> int:
        """Inject a fault; returns the monotonic ns at which that was done."""
        kind = fault(name)
        await journal.inject(kind, self.cluster, on, with_defaults(kind, params), self.rng)
        return now_ns()

    async def heal(self) -> None:
        """Heal everything. Raises ClusterError with what could not be."""
        _healed, failed = await journal.heal_all(self.cluster)
        if failed:
            raise ClusterError(f"not healed: {'; '.join(failed)}")

    async def one(self, target: str) -> tuple[str, ...]:
        """Return what a symbolic target means now."""
        return await resolve(target, self.cluster, self.rng)

    async def standbys(self) -> tuple[str, ...]:
        """Return all nodes but the primary."""
        primary = await self.one("primary")
        return tuple(node.name for node in self.cluster.spec.nodes if node.name not in primary)

    def manager(self, node: str) -> str | None:
        """Return the name of a node's manager process, None when it has none."""
        names = self.cluster.process_names(node) if isinstance(self.cluster, Killable) else ()
        return next((name for name in names if name != POSTGRES), None)

    def members(self) -> tuple[NodeSpec, ...]:
        """Return the members of the consensus store, which may be all there is."""
        spec = self.cluster.spec
        return spec.dcs or (() if isinstance(self.cluster, HasServers) else spec.nodes)


Cause = Callable[[AlertStage], Awaitable[int]]
"""Makes it happen; returns the monotonic ns from which an alert is due."""


@dataclass(frozen=True, slots=True)
class AlertCase:
    """One cause and what it must and may bring.

    needs: says why it can't be made here, "" when it can. spoils: whether the system never gets over it by itself, so
    that it comes last and only on a lab that is thrown away.
    """

    cause: str
    make: Cause
    expected: tuple[str, ...]
    allowed: tuple[str, ...]
    needs: Callable[[AlertStage], str]
    spoils: Callable[[AlertStage], bool] = lambda _stage: False


def _servers(stage: AlertStage) -> str:
    able = isinstance(stage.cluster, HasServers) and isinstance(stage.cluster, HasPrimary)
    if not able or len(stage.cluster.spec.nodes) < 2:
        return f"{stage.cluster.spec.system} has no standbys here"
    return ""


def _managed(stage: AlertStage) -> str:
    if lack := _servers(stage):
        return lack
    has = stage.manager(stage.cluster.spec.nodes[0].name) is not None
    return "" if has else f"{stage.cluster.spec.system} has no manager that fails over"


def _store(stage: AlertStage) -> str:
    able = isinstance(stage.cluster, HasConsensus) and stage.members()
    return "" if able else f"{stage.cluster.spec.system} has no consensus store"


async def _replay_stops(stage: AlertStage) -> int:
    """While the manager hangs: Patroni would have the standby replay again within a round of its loop."""
    node = await stage.one("one-standby")
    if (manager := stage.manager(node[0])) is not None:
        await stage.inject("process_pause", node, process=manager)
    return await stage.inject("replay_pause", node)


async def _node_dies(stage: AlertStage) -> int:
    """Manager first, so that nobody starts the server again."""
    node = await stage.one("one-standby")
    if (manager := stage.manager(node[0])) is not None:
        await stage.inject("process_kill", node, process=manager)
    return await stage.inject("process_kill", node, process=POSTGRES)


async def _managers_hang(stage: AlertStage) -> int:
    at_ns = now_ns()
    for node in await stage.standbys():
        at_ns = await stage.inject("process_pause", (node,), process=stage.manager(node))
    return at_ns


async def _promoted_by_hand(stage: AlertStage) -> int:
    node = await stage.one("one-standby")
    if (manager := stage.manager(node[0])) is not None:
        await stage.inject("process_pause", node, process=manager)
    return await stage.inject("promote_behind_manager", node)


async def _primary_dies_for_good(stage: AlertStage) -> int:
    """With the standbys' managers hanging, or the balancer that promotes, nobody is, however quick the system is."""
    primary = await stage.one("primary")
    for service in stage.cluster.spec.services:
        if service.kind == "pgpool":
            await stage.inject("process_pause", (service.name,), process=stage.manager(service.name))
    if not _managed(stage):
        await _managers_hang(stage)
    return await stage.inject("host_power_off", primary)


async def _majority_dies(stage: AlertStage) -> int:
    members = stage.members()
    dead = stage.rng.sample([one.name for one in members], len(members) // 2 + 1)
    at_ns = now_ns()
    for name in dead:
        at_ns = await stage.inject("process_kill", (name,), process=stage.manager(name))
    return at_ns


async def _leaders_fall(stage: AlertStage) -> int:
    """The leader dies and comes back, as often as it takes."""
    cluster = stage.cluster
    assert isinstance(cluster, HasConsensus)
    at_ns = now_ns()
    for _ in range(ELECTIONS):
        leader = await _leader(cluster, "")
        at_ns = await stage.inject("process_kill", (leader,), process=stage.manager(leader))
        if len(stage.members()) > 2:
            await _leader(cluster, leader)
        await stage.heal()
        await _leader(cluster, "")
        await asyncio.sleep(1.5)  # each term must be seen by a look, and looks are a second apart
    return at_ns


async def _leader(cluster: HasConsensus, old: str) -> str:
    found: str | None = None

    async def missing() -> str:
        nonlocal found
        found = await cluster.dcs_leader()
        return "" if found is not None and found != old else f"{found or 'nobody'} leads"

    await wait_for(missing, LEADER_TIMEOUT_S, "the store to elect")
    assert found is not None
    return found


CASES: Final[tuple[AlertCase, ...]] = (
    AlertCase(
        "a standby receives WAL and does not replay it",
        _replay_stops,
        ("ReplicationLagHigh",),
        ("FailoverNotReady",),
        _servers,
    ),
    AlertCase(
        "a standby's server and manager are killed",
        _node_dies,
        ("NodeUnhealthy", "ReplicationSlotGrowing"),
        ("FailoverNotReady",),
        _servers,
    ),
    AlertCase(
        "the managers of all standbys hang",
        _managers_hang,
        ("FailoverNotReady",),
        (),
        _managed,
    ),
    AlertCase(
        "a standby is promoted while its manager hangs",
        _promoted_by_hand,
        ("MoreThanOnePrimary",),
        ("FailoverNotReady", "ReplicationSlotGrowing", "ReplicationLagHigh", "NodeUnhealthy"),
        _servers,
        lambda stage: stage.cluster.spec.system not in MENDS,
    ),
    AlertCase(
        "the primary's host loses power, and nobody can take over",
        _primary_dies_for_good,
        ("NoPrimary",),
        ("NodeUnhealthy", "FailoverNotReady", "ReplicationSlotGrowing", "ReplicationLagHigh"),
        _servers,
    ),
    AlertCase(
        "the consensus store's leader dies again and again",
        _leaders_fall,
        ("RaftLeaderFlapping",),
        ("NoPrimary", "NodeUnhealthy", "FailoverNotReady", "DcsWithoutQuorum"),
        _store,
    ),
    AlertCase(
        "more than half of the consensus store's members are killed",
        _majority_dies,
        ("DcsWithoutQuorum",),
        ("NoPrimary", "NodeUnhealthy", "FailoverNotReady", "RaftLeaderFlapping"),
        _store,
    ),
)
