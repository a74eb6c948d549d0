"""What clusters share whose members elect a leader among themselves: raftlog, etcd.

Shown in the words that all systems share: the leader is the ``primary``, its followers are ``standby``, the term is the
timeline and the commit index the LSN. A subclass says how a member is asked, started, and told to hand over.
"""

from __future__ import annotations

import asyncio
import signal
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from outlast.config.cluster import ClusterSpec, NodeSpec
from outlast.errors import ClusterError
from outlast.history.history import NodeContent
from outlast.hosts.base import Lab
from outlast.systems.base import ClusterView, NodeView, OutageModel, Role, RouteView
from outlast.systems.credentials import Credentials
from outlast.systems.postgres.server import last_lines
from outlast.systems.wait import wait_for

LOOK_TIMEOUT_S: Final = 1.0
MOVE_TIMEOUT_S: Final = 30.0
END_TIMEOUT_S: Final = 20.0
COME_UP_TIMEOUT_S: Final = 60.0
LAG_ENTRIES_MAX: Final = 1000
"""A follower that is further behind than this does not count as back."""


@dataclass(frozen=True, slots=True)
class MemberLook:
    """What a member says of itself. leader: the name of whom it follows, its own when it leads, "" for nobody.

    position: the newest entry that it has applied; committed: the newest that it knows to be committed. trouble: why
    it does not serve, "" when it does.
    """

    leader: str
    term: int
    committed: int
    position: int
    state: str
    trouble: str = ""


class ConsensusCluster(ABC):
    """Members that agree by Raft; no manager beside them, and no store of a lock: they are it."""

    process: ClassVar[str]
    port: ClassVar[int]

    def __init__(self, lab: Lab, spec: ClusterSpec, credentials: Credentials, model: OutageModel) -> None:
        self.lab = lab
        self.spec = spec
        self.credentials = credentials
        self.model = model

    # what a subclass knows

    @abstractmethod
    async def ask(self, node: NodeSpec) -> MemberLook:
        """Ask a member of itself. Raises OSError when it does not answer."""

    @abstractmethod
    async def start_server(self, node: NodeSpec) -> None:
        """Start a member's process on its host, which is on."""

    @abstractmethod
    async def transfer(self, leader: NodeSpec, target: NodeSpec) -> None:
        """Ask the leader to hand over to target. Raises OSError, ClusterError."""

    @abstractmethod
    async def takes_writes(self) -> str:
        """Return "" when a majority confirms a leader, else what was seen."""

    @abstractmethod
    async def content(self, node: str, position: int) -> NodeContent | None:
        """Return what a member holds, None while it has not applied position."""

    @abstractmethod
    def routes(self) -> tuple[RouteView, ...]:
        """Return how clients in the lab find the leader, one route a kind of load."""

    @abstractmethod
    def log_files(self, node: str) -> Mapping[str, Path]:
        """Return a node's logs by name."""

    # looking

    async def node_view(self, node: str) -> NodeView:
        """Return what one member shows now."""
        spec = self.node(node)
        return self._node_view(spec, await self._look(spec))

    async def view(self) -> ClusterView:
        """Return what every member shows now, all asked at once."""
        looks = await self._looks()
        primary = _leader(looks)
        nodes = tuple(self._node_view(node, looks[node.name]) for node in self.spec.nodes)
        missing = _missing(looks, primary)
        return ClusterView(not missing, primary, nodes, missing)

    async def missing(self) -> str:
        """Say what keeps the cluster from being whole; "" when nothing does."""
        return (await self.view()).missing

    async def primary(self) -> str | None:
        """Return the leader; of several that think so, the one of the newest term."""
        return _leader(await self._looks())

    async def dcs_leader(self) -> str | None:
        """Return the leader: the members are their own consensus store."""
        return await self.primary()

    async def leader_record(self) -> str | None:
        """Return the leader whom a majority follows in one term, None while there is none."""
        looks = [look for look in (await self._looks()).values() if look is not None and look.leader]
        votes: dict[tuple[str, int], int] = {}
        for look in looks:
            votes[look.leader, look.term] = votes.get((look.leader, look.term), 0) + 1
        most = len(self.spec.nodes) // 2
        return next((leader for (leader, _), count in votes.items() if count > most), None)

    async def position(self) -> int:
        """Return the leader's commit index. Raises ClusterError while nobody leads."""
        looks = await self._looks()
        primary = _leader(looks)
        look = looks[primary] if primary else None
        if look is None:
            raise ClusterError("no member leads")
        return look.committed

    def node(self, name: str) -> NodeSpec:
        """Return a member's spec. Raises ClusterError for a name that is none."""
        found = next((node for node in self.spec.nodes if node.name == name), None)
        if found is None:
            raise ClusterError(f"{name} is no member of {self.spec.name}")
        return found

    # processes

    def process_names(self, node: str) -> tuple[str, ...]:
        """Return the one process that a member is."""
        return (self.process,)

    async def process_ids(self, node: str, process: str) -> list[int]:
        """Return the pids of a member's process, [] when it does not run."""
        found = await self.lab.hosts[node].processes()
        return [one.pid for one in found if one.name == self.process and one.state != "Z"]

    async def start_node(self, node: str) -> None:
        """Start a member that does not run."""
        if not await self.process_ids(node, self.process):
            await self.start_server(self.node(node))

    async def started_at(self, node: str) -> str | None:
        """Return which process serves a member, as the pid it has on its host; None when none does."""
        pids = await self.process_ids(node, self.process) if self.lab.hosts[node].is_on else []
        return f"pid {pids[0]}" if pids else None

    async def restart(self, node: str) -> None:
        """End a member with SIGTERM, start it, and wait until it follows or leads."""
        pids = await self.process_ids(node, self.process)
        await self.lab.hosts[node].signal(signal.SIGTERM, pids=pids)

        async def runs() -> str:
            left = await self.process_ids(node, self.process)
            return f"pids {left}" if left else ""

        await wait_for(runs, END_TIMEOUT_S, f"{node}'s {self.process} to end")
        await self.start_server(self.node(node))

        async def away() -> str:
            look = await self._look(self.node(node))
            return "it does not answer" if look is None else look.trouble

        await wait_for(away, MOVE_TIMEOUT_S, f"{node} to be back")

    # leadership

    async def switchover(self, target: str | None) -> str:
        """Have the leader hand over to target, by default to the first healthy follower; return the new leader."""
        view = await self.view()
        leader = view.primary
        if leader is None:
            raise ClusterError("no member leads, so none can hand over", hint="outlast status")
        if target == leader:
            raise ClusterError(f"{target} is the leader already")
        followers = [node.name for node in view.nodes if node.healthy and node.name != leader]
        to = target or next(iter(followers), None)
        if to is None or to not in followers:
            raise ClusterError(f"{to or 'no follower'} is not there to lead", hint="outlast status")
        try:
            await self.transfer(self.node(leader), self.node(to))
        except OSError as error:
            raise ClusterError(f"{leader} did not answer: {error}") from error
        return await self._until_leads(to, leader)

    async def failover(self, target: str | None) -> str:
        """Wait for the leader that the members elect by themselves; have it hand over when target is another."""

        async def nobody() -> str:
            return "" if await self.leader_record() else "no majority follows one member"

        await wait_for(nobody, MOVE_TIMEOUT_S, "the members to elect")
        leader = await self.leader_record()
        if leader is None or leader == target:
            return leader or str(target)
        return await self.switchover(target)

    async def _until_leads(self, target: str, old: str) -> str:
        leader: str | None = old

        async def unmet() -> str:
            nonlocal leader
            leader = await self.leader_record()
            return f"{leader} leads" if leader in (None, old) else ""

        await wait_for(unmet, MOVE_TIMEOUT_S, f"{target} to lead")
        assert leader is not None
        return leader

    # parts

    async def _looks(self) -> dict[str, MemberLook | None]:
        found = await asyncio.gather(*(self._look(node) for node in self.spec.nodes))
        return {node.name: look for node, look in zip(self.spec.nodes, found, strict=True)}

    async def _look(self, node: NodeSpec) -> MemberLook | None:
        if not self.lab.hosts[node.name].is_on:
            return None
        try:
            return await self.ask(node)
        except (OSError, ValueError):
            return None

    def _node_view(self, node: NodeSpec, look: MemberLook | None) -> NodeView:
        published = self.lab.published.get(node.name)
        leads = look is not None and look.leader == node.name
        return NodeView(
            node.name,
            Role.PRIMARY if leads else Role.STANDBY,
            node.address,
            self.port,
            published.port if published else None,
            "unreachable" if look is None else look.state,
            look is not None and not look.trouble,
            timeline=look.term if look else None,
            lsn=look.committed if look else None,
            sync=None if look is None or leads else "quorum",
        )


def _leader(looks: Mapping[str, MemberLook | None]) -> str | None:
    """Return who says that it leads, in the newest term."""
    leading = {name: look.term for name, look in looks.items() if look is not None and look.leader == name}
    return max(leading, key=lambda name: leading[name], default=None)


def _missing(looks: Mapping[str, MemberLook | None], primary: str | None) -> str:
    """Say what keeps the cluster from being whole; "" when nothing does."""
    leader = looks[primary] if primary else None
    if leader is None:
        return "no member leads"
    for name, look in looks.items():
        if look is None:
            return f"{name} does not answer"
        if look.trouble:
            return f"{name}: {look.trouble}"
        if (look.leader, look.term) != (primary, leader.term):
            return f"{name} follows {look.leader or 'nobody'} in term {look.term}, not {primary}"
        if leader.committed - look.position > LAG_ENTRIES_MAX:
            return f"{name} is {leader.committed - look.position} entries behind"
    return ""


async def come_up(cluster: ConsensusCluster, unmet: Callable[[], Awaitable[str]], what: str) -> None:
    """Wait until unmet() returns "", else raise ClusterError with every member's last log lines."""
    try:
        await wait_for(unmet, COME_UP_TIMEOUT_S, what)
    except ClusterError as error:
        words = "".join(
            f"\n--- {name} on {node.name}\n{last_lines(path)}"
            for node in cluster.spec.nodes
            for name, path in cluster.log_files(node.name).items()
        )
        raise ClusterError(error.message + words) from error
