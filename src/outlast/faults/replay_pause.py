"""A standby that receives WAL and does not replay it: what it shows grows old.

Patroni lets a paused replay go on in its next loop. So a session on the standby pauses it again every 50 ms for as long
as the fault lasts; it outlives the tool, and ends with its server. What arrives in those 50 ms is replayed.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from typing import Final

import psycopg

from outlast.errors import HostError
from outlast.faults.base import Effect, Fault, Injection
from outlast.faults.sql_fault import SqlError, SqlFault, one_row, rows
from outlast.history.history import JSON
from outlast.systems.base import Cluster, HasServers
from outlast.systems.wait import wait_for

AGAIN_S: Final = 0.05
END_TIMEOUT_S: Final = 5.0
LOOKS: Final = 24
LOOK_EVERY_S: Final = 0.05
"""So the looks take longer than the shortest loop of Patroni's, a second."""

PAUSED_SHARE: Final = 0.8
_STATE: Final = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_get_wal_replay_pause_state() ELSE 'primary' END"
_PREPARE: Final = (
    "SELECT set_config('application_name', %s, false), set_config('statement_timeout', '0', false)"
)
_HOLD: Final = (
    f"DO $$ BEGIN LOOP PERFORM pg_wal_replay_pause(); PERFORM pg_sleep({AGAIN_S}); END LOOP; END $$"
)
_END: Final = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"


class ReplayPause(SqlFault):
    """It bit when the standby says it is paused, in nearly every look of a second and more."""

    name = "replay_pause"
    about = "a standby goes on receiving WAL but replays none of it, whoever lets it go on"
    on = "one-standby"

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Only a standby replays. Name the session."""
        for target in targets:
            (state,) = await one_row(cluster, target, _STATE)
            if state != "not paused":
                raise HostError(f"{target}: replay cannot be paused, it is {state}")
        return Injection(self.name, targets, params, {"session": f"fault:pause{rng.getrandbits(16):04x}"})

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Start the sessions."""
        for target in injection.targets:
            await _hold(cluster, target, str(injection.details["session"]))

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """Ask the standbys, again and again."""
        words = []
        for target in injection.targets:
            states = await _states(cluster, target)
            paused = states["paused"]
            others = ", ".join(sorted(states.keys() - {"paused"}))
            words.append(
                f"{target}: replay was paused in {paused} of {LOOKS} looks"
                + (f", else {others}" * bool(others))
            )
            if paused < PAUSED_SHARE * LOOKS:
                return Effect(False, words[-1])
        return Effect(True, "; ".join(words))

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """End the sessions and let it replay, unless it has been promoted, started again or switched off since."""
        session = str(injection.details["session"])
        for target in injection.targets:
            if not cluster.lab.hosts[target].is_on:
                continue

            async def left(target: str = target) -> str:
                return ", ".join(str(found) for found in await rows(cluster, target, _END, (session,)))

            try:
                await wait_for(left, END_TIMEOUT_S, f"the session {session} on {target} to end")
                (state,) = await one_row(cluster, target, _STATE)
            except HostError:
                continue  # it is down, and comes up replaying
            if state.startswith("pause"):
                await rows(cluster, target, "SELECT pg_wal_replay_resume()")


async def _hold(cluster: Cluster, node: str, session: str) -> None:
    """Start a session that pauses replay for ever, and leave it. Raises HostError."""
    assert isinstance(cluster, HasServers)
    try:
        connection = await cluster.connect(node)
        try:
            await connection.execute(_PREPARE, (session,))
            # Sent and not waited for: a server looks for its client only when it has something to say to it.
            connection.pgconn.send_query(_HOLD.encode())
            if connection.pgconn.flush():
                raise HostError(f"{node}: it takes no statement")
        finally:
            await connection.close()
    except (psycopg.Error, OSError, TimeoutError) as error:
        raise SqlError(node, error) from error


async def _states(cluster: Cluster, node: str) -> Counter[str]:
    """Look at a node's replay for a while, on one connection. Raises HostError."""
    assert isinstance(cluster, HasServers)
    states: Counter[str] = Counter()
    try:
        connection = await cluster.connect(node)
        try:
            for _look in range(LOOKS):
                found = await (await connection.execute(_STATE)).fetchone()
                states[str(found and found[0])] += 1
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            await connection.close()
    except (psycopg.Error, OSError, TimeoutError) as error:
        raise SqlError(node, error) from error
    return states


FAULTS: Final[tuple[Fault, ...]] = (ReplayPause(),)
