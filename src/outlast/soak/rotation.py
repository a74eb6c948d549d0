"""Moves the primary to the next node of the rotation, one that may not lead included: for its turn alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from outlast.clock import now_ns
from outlast.errors import ClusterError, OutlastError
from outlast.history.history import FaultRecord
from outlast.pace import scaled_deadline_ns
from outlast.systems.base import Cluster, HasCandidates, HasPrimary, Switchable
from outlast.systems.wait import wait_for

FAULT: Final = "failover"
CAUGHT_UP_S: Final = 90.0
TRIES: Final = 3
AGAIN_S: Final = 2.0
MOVE_S: Final = 60.0


@dataclass(slots=True)
class Rotation:
    """The turns of one cluster. promoted: is told of a node as soon as it leads. borrowed: nodes that may lead only
    because it is their turn."""

    cluster: Cluster
    say: Callable[[str, str], None]
    promoted: Callable[[str], None]
    borrowed: list[str] = field(default_factory=list)

    async def prepare(self, target: str) -> None:
        """Let a node lead that may not, ahead of its turn. Raises ClusterError."""
        if not isinstance(self.cluster, HasCandidates) or await self.cluster.is_candidate(target):
            return
        await self.cluster.set_candidate(target, True)
        self.borrowed.append(target)
        self.say(f"{target} may be promoted for its turn", "INFO")

    async def put_back(self, *, but: tuple[str, ...] = ()) -> None:
        """Forbid again what was allowed for a turn, for all nodes but some. Raises ClusterError at the end."""
        trouble = ""
        assert isinstance(self.cluster, HasCandidates) or not self.borrowed
        for node in [one for one in self.borrowed if one not in but]:
            try:
                if isinstance(self.cluster, HasCandidates):
                    await self.cluster.set_candidate(node, False)
            except OutlastError as error:
                trouble = error.message
                continue
            self.borrowed.remove(node)
            self.say(f"{node} may not be promoted any more", "INFO")
        if trouble:
            raise ClusterError(trouble)

    async def turn(self, target: str, planned_ns: int) -> FaultRecord:
        """Promote target and return once every node has caught up with it. What went wrong is in the record.

        A manager that refuses is asked again, for up to MOVE_S: after the failover before, it may still be busy.
        """
        cluster = self.cluster
        assert isinstance(cluster, Switchable)
        assert isinstance(cluster, HasPrimary)
        old = await cluster.primary()
        params = {"to": target, "from": old}
        started = now_ns()

        def record(at_ns: int, healed: int | None, bit: bool, words: str) -> FaultRecord:
            return FaultRecord(FAULT, (target,), planned_ns, started, at_ns, healed, bit, words, params)

        try:
            await self.prepare(target)
            self.say(f"Promoting {target} to primary...", "FAILOVER")
            started = now_ns()
            if old != target:
                await self._move(cluster, target)
        except OutlastError as error:
            return record(now_ns(), now_ns(), False, error.message)
        promoted = now_ns()
        primary = await cluster.primary()
        if primary != target:
            return record(promoted, now_ns(), False, f"{primary} leads and not {target}")
        self.promoted(target)
        words = f"the primary was {old} and is {primary}"
        try:
            await wait_for(self._behind, CAUGHT_UP_S, "every node to catch up")
        except ClusterError as error:
            return record(promoted, None, True, f"{words}; {error.message}")
        return record(promoted, now_ns(), True, words)

    async def _move(self, cluster: Switchable, target: str) -> None:
        deadline = scaled_deadline_ns(MOVE_S)
        for number in range(1, TRIES + 1):
            try:
                await cluster.failover(target)
            except ClusterError as error:
                if number == TRIES or now_ns() > deadline:
                    raise
                self.say(f"{target} is not promoted yet: {error.message}", "WARNING")
                await asyncio.sleep(AGAIN_S)
            else:
                return

    async def _behind(self) -> str:
        """Return "" once the cluster is whole and each node has replayed where the primary stood before we asked."""
        before = await self.cluster.view()
        if before.missing or before.primary is None:
            return before.missing or "no primary"
        stood = before.node(before.primary).lsn or 0
        names = [node.name for node in self.cluster.spec.nodes]
        if all((before.node(name).lsn or 0) >= stood for name in names):
            return ""
        now = await self.cluster.view()
        late = [name for name in names if (now.node(name).lsn or 0) < stood]
        return now.missing or (f"{', '.join(late)} have not caught up" if late else "")
