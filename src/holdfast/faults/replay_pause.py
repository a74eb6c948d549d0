"""A standby that receives WAL and does not replay it: what it shows grows old."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final

from holdfast.errors import HostError
from holdfast.faults.base import Effect, Fault, Injection
from holdfast.faults.sql import SqlFault, one, rows
from holdfast.history.history import JSON
from holdfast.systems.base import Cluster

_STATE: Final = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_get_wal_replay_pause_state() ELSE 'primary' END"


class ReplayPause(SqlFault):
    """pg_wal_replay_pause(); it bit when the standby's own word for it is paused."""

    name = "replay_pause"
    about = "a standby goes on receiving WAL but replays none of it"
    on = "one-standby"

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Only a standby replays."""
        for target in targets:
            (state,) = await one(cluster, target, _STATE)
            if state != "not paused":
                raise HostError(f"{target}: replay cannot be paused, it is {state}")
        return Injection(self.name, targets, params)

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Pause it."""
        for target in injection.targets:
            await rows(cluster, target, "SELECT pg_wal_replay_pause()")

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """Ask the standby."""
        states = {target: (await one(cluster, target, _STATE))[0] for target in injection.targets}
        words = ", ".join(f"{target}: replay is {state}" for target, state in states.items())
        return Effect(all(state == "paused" for state in states.values()), words)

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """Let it replay, unless it has been promoted, started again or switched off since."""
        for target in injection.targets:
            if cluster.lab.hosts[target].is_on:
                try:
                    (state,) = await one(cluster, target, _STATE)
                except HostError:
                    continue  # it is down, and comes up replaying
                if state.startswith("pause"):
                    await rows(cluster, target, "SELECT pg_wal_replay_resume()")


FAULTS: Final[tuple[Fault, ...]] = (ReplayPause(),)
