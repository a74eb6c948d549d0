"""Whether a cluster is whole, by what each server holds and not only by what is said of it.

``pg_stat_replication`` shows a dead host as streaming until a time-out, and a manager repeats what it heard last. So a
cluster is whole when its view is ready and a record that the primary writes then is soon on every server, twice over.
"""

from __future__ import annotations

import asyncio
from typing import Final, cast

import psycopg

from outlast.clock import now_ns
from outlast.pace import scaled_deadline_ns
from outlast.systems.base import Cluster, ClusterView, HasServers, NodeView, Role
from outlast.systems.postgres.views import TIMELINE, fetch_within
from outlast.systems.wait import wait_for
from outlast.units import parse_lsn

LOOKS: Final = 2
APART_S: Final = 0.3
ARRIVAL_S: Final = 2.0
"""How long a record may take to every server, on a quiet machine, before the look begins anew."""
LOOK_TIMEOUT_S: Final = 2.0
POLL_S: Final = 0.02
_SERVING: Final = (Role.PRIMARY, Role.STANDBY, Role.READ_ONLY)
_NOT_STREAMED: Final = ("maintenance", "in archive recovery")

# A number for a transaction makes its commit a record, however idle the server is; nobody waits for a standby for it.
_MOVE: Final = "SELECT txid_current()"
# What is received counts: a standby may be told to replay late.
_POSITION: Final = f"""
SELECT ({TIMELINE})::int,
       (CASE WHEN pg_is_in_recovery()
             THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn(), '0/0')
             ELSE pg_current_wal_lsn() END)::text
"""


async def wait_until_whole(cluster: Cluster, timeout_s: float) -> float:
    """Wait until the cluster is whole; returns the seconds it took. Raises ClusterError at the time-out."""
    held = 0

    async def unmet() -> str:
        nonlocal held
        view = await cluster.view()
        missing = view.missing
        if not missing and isinstance(cluster, HasServers):
            missing = await _not_following(cluster, view)
        held = 0 if missing else held + 1
        if not missing and held < LOOKS:
            await asyncio.sleep(APART_S)
            return "it was whole at one look, and not yet at the next"
        return missing

    return await wait_for(unmet, timeout_s, f"cluster {cluster.spec.name} to be whole")


async def _not_following(cluster: HasServers, view: ClusterView) -> str:
    """Return which server does not get what the primary writes now; "" when all do."""
    if view.primary is None:
        return "no primary"
    try:
        await _asked(cluster, view.primary, _MOVE)
        goal = await _position(cluster, view.primary)
    except (psycopg.Error, OSError, TimeoutError) as error:
        return f"{view.primary} does not write: {str(error).strip()}"
    others = [node for node in view.nodes if node.name != view.primary and _should_follow(node)]
    told = await asyncio.gather(*(_behind(cluster, node.name, goal) for node in others))
    return "; ".join(filter(None, told))


def _should_follow(node: NodeView) -> bool:
    """Return whether a node is to get each record soon; what should stream and does not, the view tells."""
    return node.role in _SERVING and node.state not in _NOT_STREAMED


async def _behind(cluster: HasServers, node: str, goal: tuple[int, int]) -> str:
    """Return what keeps a server from having reached goal, a (timeline, LSN), within ARRIVAL_S; "" once it has."""
    deadline = scaled_deadline_ns(ARRIVAL_S)
    while True:
        try:
            timeline, lsn = await _position(cluster, node)
            said = f"{node} is on timeline {timeline}, {goal[1] - lsn} bytes behind the primary's {goal[0]}"
            if timeline == goal[0] and lsn >= goal[1]:
                return ""
        except (psycopg.Error, OSError, TimeoutError) as error:
            said = f"{node} does not answer: {str(error).strip()}"
        if now_ns() > deadline:
            return said
        await asyncio.sleep(POLL_S)


async def _position(cluster: HasServers, node: str) -> tuple[int, int]:
    (row,) = await _asked(cluster, node, _POSITION)
    timeline, lsn = cast("tuple[int, str]", row)
    return timeline, parse_lsn(lsn)


async def _asked(cluster: HasServers, node: str, query: str) -> list[tuple[object, ...]]:
    connection = await cluster.connect(node, timeout_s=LOOK_TIMEOUT_S)
    try:
        return await fetch_within(connection, query, LOOK_TIMEOUT_S)
    finally:
        await connection.close()
