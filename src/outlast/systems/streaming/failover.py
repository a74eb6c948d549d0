"""How an operator moves the primary: fence the old one, choose, write it down, promote, re-point the others.

    fenced ─▶ chosen ─▶ recorded ─▶ promoted ─▶ others re-pointed ─▶ old one back as a standby

Never two writable nodes: the next step is taken only when the one before has been seen to hold.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from typing import Final

import psycopg

from outlast.errors import ClusterError, HostError
from outlast.pace import scaled
from outlast.systems.postgres import standby_server
from outlast.systems.streaming import settings
from outlast.systems.streaming.leadership import Record
from outlast.systems.streaming.promotion import Held, choose
from outlast.systems.streaming.replication import ReplicationCluster
from outlast.systems.wait import wait_for
from outlast.units import parse_lsn

FENCE_TIMEOUT_S: Final = 5.0
PROMOTE_TIMEOUT_S: Final = 30.0
CATCH_UP_TIMEOUT_S: Final = 20.0

_RECEIVED: Final = (
    "SELECT coalesce(greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), '0/0')::text, "
    "coalesce((SELECT received_tli FROM pg_stat_wal_receiver), "
    "(SELECT timeline_id FROM pg_control_checkpoint())) WHERE pg_is_in_recovery()"
)


async def failover(
    cluster: ReplicationCluster, target: str | None, *, comes_back: bool, seen: Record | None = None
) -> str:
    """Fence the recorded primary and promote target, by default the standby that holds most; returns it.

    comes_back: whether the old primary is made a standby at once, where its host is on. seen: the record on which this
    was decided; somebody who has moved the primary since then has done the work, and nothing more is done. Raises
    ClusterError when no choice is safe; then nobody leads, because the old primary has been fenced.
    """
    async with cluster.leadership.held():
        record = cluster.leadership.read()
        if seen is not None and record != seen:
            return record.primary
        if target == record.primary:
            raise ClusterError(f"{target} is the primary already")
        standbys = await _held(cluster, [name for name in _names(cluster) if name != record.primary])
        choose(
            standbys, record.waits_for, _candidates(cluster, record.primary), target
        )  # refuse before fencing
        await fence(cluster, record.primary)
        # What the old primary still sent before its end has arrived; nothing more can.
        standbys = await _held(cluster, list(standbys))
        new = choose(standbys, record.waits_for, _candidates(cluster, record.primary), target)
        await _promote(cluster, record, new)
        if comes_back and cluster.lab.hosts[record.primary].is_on:
            await cluster.resume(record.primary)
        return new


async def switchover(cluster: ReplicationCluster, target: str | None) -> str:
    """Stop the primary in order and promote target once it holds all of it; returns it.

    Raises ClusterError when target does not get all of it in time; the old primary then leads again.
    """
    async with cluster.leadership.held():
        record = cluster.leadership.read()
        old = record.primary
        if target == old:
            raise ClusterError(f"{target} is the primary already")
        shown, standbys = await cluster.look_inside(old)
        if shown is None or shown.in_recovery:
            raise ClusterError(f"{old} does not lead, so it cannot hand over", hint="outlast failover")
        streaming = {standby.name: standby for standby in standbys if standby.state == "streaming"}
        there = [name for name in _candidates(cluster, old) if name in streaming]
        if target is None:
            order = sorted(there, key=lambda name: streaming[name].sync not in ("sync", "quorum"))
            target = next(iter(order), None)
        if target is None or target not in streaming:
            raise ClusterError(f"{target or 'no standby'} streams from {old}", hint="outlast status")
        one = cluster.server_config(old).server
        await one.ask("127.0.0.1", "CHECKPOINT", standby_server.REWIND_TIMEOUT_S)  # so that the stop is short
        cluster.say(f"switchover: {old} is stopped in order")
        await one.stop(standby_server.STOP_TIMEOUT_S)
        try:
            await _has_all(
                cluster, target, parse_lsn((await one.control_data())["Latest checkpoint location"])
            )
        except ClusterError:
            cluster.say(f"switchover given up: {target} does not hold all of it; {old} leads again")
            await cluster.resume(old)
            raise
        await _promote(cluster, record, target)
        await cluster.resume(old)
        return target


async def fence(cluster: ReplicationCluster, node: str) -> None:
    """See to it that a node takes no write: its server is killed over the host's console, or its power is cut.

    Raises ClusterError when neither can be seen to hold.
    """
    host = cluster.lab.hosts[node]
    if not host.is_on:
        cluster.say(f"{node} is fenced: its host is off")
        return
    try:
        async with asyncio.timeout(scaled(FENCE_TIMEOUT_S)):
            while pids := await cluster.server_pids(node):
                await host.signal(signal.SIGKILL, pids=pids, tree=True)
                await asyncio.sleep(0.01)
        cluster.say(f"{node} is fenced: its server is killed")
    except (HostError, OSError, TimeoutError) as error:
        cluster.say(f"{node} does not obey ({error}): its power is cut")
        await host.power_off()


async def _promote(cluster: ReplicationCluster, record: Record, new: str) -> None:
    """Record, then promote, then have the others follow. The old primary has been fenced."""
    waits_for = settings.eligible(cluster.spec, new) if cluster.spec.sync != "off" else ()
    cluster.leadership.write(Record(new, record.term + 1, waits_for))
    cluster.say(f"{new} leads from now on (term {record.term + 1})")
    config = cluster.server_config(new)
    # Its commits wait for a standby from the first one on: the setting is there before the promotion.
    await standby_server.configure(config, cluster.address(record.primary))
    await config.server.reload()
    await config.server.promote(PROMOTE_TIMEOUT_S)
    others = [name for name in _names(cluster) if name not in (new, record.primary)]
    found = await asyncio.gather(*(_repoint(cluster, name, new) for name in others))
    for name, trouble in zip(others, found, strict=True):
        cluster.say(f"{name} follows {new}" if not trouble else f"{name} does not follow {new}: {trouble}")


async def _repoint(cluster: ReplicationCluster, name: str, new: str) -> str:
    """Have a running standby follow new; return what kept it from that."""
    if not cluster.lab.hosts[name].is_on:
        return "its host is off"
    try:
        config = cluster.server_config(name)
        if not await config.server.pids():
            return "its server does not run"
        await standby_server.repoint(config, cluster.address(new))
    except (ClusterError, HostError, TimeoutError) as error:
        return str(error)
    return ""


async def _held(cluster: ReplicationCluster, names: Sequence[str]) -> dict[str, Held]:
    found = await asyncio.gather(*(_received(cluster, name) for name in names))
    return {name: one for name, one in zip(names, found, strict=True) if one is not None}


async def _received(cluster: ReplicationCluster, name: str) -> Held | None:
    if not cluster.lab.hosts[name].is_on:
        return None
    try:
        connection = await cluster.connect(name)
        async with connection:
            row = await (await connection.execute(_RECEIVED)).fetchone()
    except (psycopg.Error, OSError, TimeoutError):
        return None
    return None if row is None else Held(int(row[1]), parse_lsn(row[0]))


async def _has_all(cluster: ReplicationCluster, target: str, lsn: int) -> None:
    async def unmet() -> str:
        held = await _received(cluster, target)
        return "" if held is not None and held.lsn > lsn else f"it holds {held} of {lsn}"

    await wait_for(unmet, CATCH_UP_TIMEOUT_S, f"{target} to receive all that was written")


def _names(cluster: ReplicationCluster) -> list[str]:
    return [node.name for node in cluster.spec.nodes]


def _candidates(cluster: ReplicationCluster, primary: str) -> list[str]:
    """Return who may be promoted without being named, the highest priority first."""
    names = settings.eligible(cluster.spec, primary)
    return sorted(names, key=lambda name: -(cluster.node(name).priority or 0))
