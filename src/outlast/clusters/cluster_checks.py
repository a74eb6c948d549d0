"""What is wrong with a running cluster, and what to do about it: one function a diagnosis.

Each looks at one thing through the tool's own way into the lab and never changes anything. EXAMINATIONS is the table.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import psycopg

from outlast.clusters import service_checks
from outlast.clusters.archive_checks import archive
from outlast.clusters.diagnosis import CheckState, Diagnosis
from outlast.clusters.residue import take_census
from outlast.errors import OutlastError
from outlast.systems.base import (
    Cluster,
    ClusterView,
    HasConsensus,
    HasLogs,
    HasServers,
    NodeView,
    Promotable,
    Role,
)
from outlast.systems.maintenance import STATE as MAINTENANCE
from outlast.systems.postgres import contents
from outlast.systems.postgres.server import last_lines

STALL_LOOK_S: Final = 1.0
STALL_BYTES_MIN: Final = 1024 * 1024
CATCH_UP_TIMEOUT_S: Final = 5.0
DISK_BYTES_MIN: Final = 64 * 1024 * 1024
LOOK_TIMEOUT_S: Final = 10.0

_FOLLOWS: Final = ("streaming", "secondary")
"""What Patroni and PostgreSQL, and what pg_auto_failover calls a standby that follows."""

_NOT_KNOWN: Final = ("", "unknown", "not known")
"""What is said of a standby by a manager or a primary that was not reached."""

_STANDBYS: Final = (Role.STANDBY, Role.READ_ONLY)


async def examine(cluster: Cluster) -> list[Diagnosis]:
    """Return what every examination found, in the table's order.

    One that finds nothing says ok; one that could not look says that, and never ok.
    """
    view = await cluster.view()
    found: list[Diagnosis] = []
    for name, look in EXAMINATIONS.items():
        try:
            wrong = await look(cluster, view)
        except (psycopg.Error, OSError, TimeoutError, OutlastError) as error:
            wrong = [
                (CheckState.UNSEEN, f"could not look: {str(error).strip()}", "outlast doctor, once more")
            ]
        found += [Diagnosis(name, *one) for one in wrong] or [
            Diagnosis(name, CheckState.OK, "nothing is wrong")
        ]
    return found


Wrong = tuple[CheckState, str, str | None]


async def _ports(cluster: Cluster, _view: ClusterView) -> list[Wrong]:
    """A published port that nobody, or somebody else, listens on."""
    owners = _listeners()
    ours = {pid for pid, _ticks in take_census(cluster.lab.folder).processes}
    wrong: list[Wrong] = []
    for port in cluster.lab.published.values():
        pids = owners.get(port.port, set())
        if pids & ours:
            continue
        who = ", ".join(f"{_program(pid)} (pid {pid})" for pid in sorted(pids)) or "nobody"
        remedy = f"stop it, or restart the lab with --set ports.{port.name}=PORT"
        wrong.append(
            (CheckState.BAD, f"port {port.port} of {port.name} is held by {who}, not by the lab", remedy)
        )
    return wrong


async def _consensus(cluster: Cluster, view: ClusterView) -> list[Wrong]:
    """A consensus store without its majority, or with a member that does not answer; a monitor that is away."""
    away = [node.name for node in view.nodes if node.role is Role.MONITOR and not node.healthy]
    if away:
        said = f"the monitor {away[0]} does not answer: writes go on, and nobody can be promoted"
        return [
            (CheckState.BAD, said, f"outlast logs {away[0]}; outlast heal brings back what a fault stopped")
        ]
    members = [node for node in view.nodes if node.role is Role.DCS]
    down = [node.name for node in members if not node.healthy]
    if not down:
        return []
    alive = len(members) - len(down)
    names = ", ".join(down)
    if alive * 2 <= len(members):
        said = f"no quorum: {alive} of {len(members)} members answer, {names} not; nobody can be promoted"
        return [
            (CheckState.BAD, said, f"outlast logs {down[0]}; outlast heal brings back what a fault stopped")
        ]
    return [
        (
            CheckState.NOTE,
            f"{names} does not answer; {alive} of {len(members)} are a majority",
            f"outlast logs {down[0]}",
        )
    ]


async def _leader(cluster: Cluster, view: ClusterView) -> list[Wrong]:
    """No node that takes writes, or none that could take over."""
    obstacles = await cluster.obstacles() if isinstance(cluster, Promotable) else {}
    standbys = [node.name for node in view.nodes if node.role in _STANDBYS]
    why = "; ".join(f"{name}: {reason}" for name, reason in obstacles.items()) or "no reason is shown"
    if view.primary is None:
        holder = await _lock_holder(cluster)
        return [
            (
                CheckState.BAD,
                f"no node accepts writes; {holder}; {why}",
                "outlast failover --to NODE, once a node is healthy",
            )
        ]
    if standbys and all(name in obstacles for name in standbys):
        return [(CheckState.BAD, f"a failover is not possible: {why}", "outlast status; outlast logs NODE")]
    return []


async def _lock_holder(cluster: Cluster) -> str:
    if not isinstance(cluster, HasConsensus):
        return "there is no lock to hold"
    try:
        holder = await cluster.leader_record()
    except OSError:
        return "the consensus store does not answer"
    return f"{holder} holds the leader's key" if holder else "the leader's key is free"


async def _nodes(cluster: Cluster, view: ClusterView) -> list[Wrong]:
    """A node whose host is off, or whose server does not answer: with its own last words."""
    wrong: list[Wrong] = []
    for node in view.nodes:
        if node.lsn is not None or (node.role not in (Role.PRIMARY, *_STANDBYS)):
            continue
        if node.state == MAINTENANCE:
            wrong.append(
                (
                    CheckState.NOTE,
                    f"{node.name} is out for maintenance",
                    f"outlast maintenance {node.name} off",
                )
            )
            continue
        host = cluster.lab.hosts.get(node.name)  # none: a node that is being added or removed
        if host is None or not host.is_on:
            wrong.append((CheckState.BAD, f"the host of {node.name} is off", "outlast heal"))
            continue
        logs = cluster.log_files(node.name) if isinstance(cluster, HasLogs) else {}
        words = "".join(f"\n--- {name} on {node.name}\n{last_lines(path, 4)}" for name, path in logs.items())
        wrong.append(
            (CheckState.BAD, f"{node.name} does not run: {node.state}{words}", f"outlast logs {node.name}")
        )
    return wrong


async def _replication(cluster: Cluster, view: ClusterView) -> list[Wrong]:
    """A standby that runs, and does not stream, has paused, or falls behind without moving."""
    standbys = [node for node in view.nodes if node.role in _STANDBYS]
    if view.primary is None:
        return [_unseen("no primary that would say who follows", "leader and failover")] if standbys else []
    running = [node for node in standbys if node.lsn is not None]
    away = [node.name for node in standbys if node.lsn is None and node.state != MAINTENANCE]
    await asyncio.sleep(STALL_LOOK_S)
    later = await cluster.view()
    wrong: list[Wrong] = [_unseen(f"{', '.join(away)} does not answer", "nodes run")] if away else []
    for node in running:
        if found := await _stall(cluster, node, later.node(node.name)):
            state, said, remedy = found
            wrong.append((state, f"{node.name}: {said}", remedy))
    return wrong


def _unseen(why: str, see: str) -> Wrong:
    """Return that something could not be looked at. see: the examination whose finding that is."""
    return CheckState.UNSEEN, f"could not look: {why}", f"see {see}"


async def _stall(cluster: Cluster, before: NodeView, now: NodeView) -> Wrong | None:
    if isinstance(cluster, HasServers):
        try:
            connection = await cluster.connect(before.name)
            async with connection:
                row = await (
                    await connection.execute("SELECT pg_is_in_recovery() AND pg_is_wal_replay_paused()")
                ).fetchone()
        except (psycopg.Error, OSError, TimeoutError) as error:
            return _unseen(str(error).strip() or "it does not answer", "nodes run")
        if row == (True,):
            return (
                CheckState.BAD,
                "replay is paused",
                f"outlast psql --superuser --node {before.name} -- -c 'select pg_wal_replay_resume()'",
            )
    if not isinstance(cluster, HasServers):
        return None  # a follower of a consensus group streams nothing; who leads is examined elsewhere
    logs = f"outlast logs {before.name}"
    if before.state not in _FOLLOWS and now.state not in _FOLLOWS:
        if now.state in _NOT_KNOWN:
            return CheckState.UNSEEN, "could not look: whether it streams is not known", logs
        return CheckState.BAD, f"it does not stream but is {now.state}", logs
    if (now.lag_bytes or 0) >= STALL_BYTES_MIN and now.lsn == before.lsn:
        return CheckState.BAD, f"it is {now.lag_bytes} bytes behind and does not move", logs
    return None


async def _data(cluster: Cluster, view: ClusterView) -> list[Wrong]:
    """Nodes whose tables do not hold the same as the primary's at one position."""
    if not isinstance(cluster, HasServers):
        return []
    if view.primary is None:
        return [_unseen("no primary to compare the others with", "leader and failover")]
    standbys = [node.name for node in view.nodes if node.role in _STANDBYS and node.lsn is not None]
    try:
        compared = await contents.compare(
            lambda node, database: cluster.connect(node, database=database, timeout_s=LOOK_TIMEOUT_S),
            view.primary,
            standbys,
            CATCH_UP_TIMEOUT_S,
        )
    except (psycopg.Error, OSError, TimeoutError) as error:
        return [
            (
                CheckState.UNSEEN,
                f"the tables could not be compared: {str(error).strip()}",
                "try again while nobody writes",
            )
        ]
    return [
        (CheckState.BAD, f"{one.node} holds other rows than {view.primary}: {one.database}.{table}",
         f"outlast reseed {one.node}")
        for one in compared
        for table in one.tables
    ]  # fmt: skip


async def _disk(cluster: Cluster, _view: ClusterView) -> list[Wrong]:
    """A disk without room for more WAL."""
    usage = shutil.disk_usage(cluster.lab.folder)
    if usage.free >= DISK_BYTES_MIN:
        return []
    said = f"the disk of {cluster.lab.folder} is full: {usage.free // 1024**2} of {usage.total // 1024**2} MiB free"
    return [(CheckState.BAD, said, "free some; outlast ls runs lists what could go")]


EXAMINATIONS: Final[dict[str, Callable[[Cluster, ClusterView], Awaitable[Sequence[Wrong]]]]] = {
    "port conflict": _ports,
    "consensus store": _consensus,
    "leader and failover": _leader,
    "nodes run": _nodes,
    "replication": _replication,
    "same data": _data,
    "disk full": _disk,
    "archive": archive,
    **service_checks.EXAMINATIONS,
}


def _listeners() -> dict[int, set[int]]:
    """Return the pids that hold each listening TCP port of 127.0.0.1 or of all addresses."""
    inodes: dict[str, int] = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        address, port = fields[1].split(":")
        if fields[3] == "0A" and address in ("0100007F", "00000000"):  # LISTEN; proc_pid_net(5)
            inodes[f"socket:[{fields[9]}]"] = int(port, 16)
    found: dict[int, set[int]] = {}
    for fds in Path("/proc").glob("[0-9]*/fd"):
        try:
            for entry in fds.iterdir():
                port_number = inodes.get(str(entry.readlink()))
                if port_number is not None:
                    found.setdefault(port_number, set()).add(int(fds.parent.name))
        except OSError:
            continue  # it has ended, or is another user's
    return found


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "a process"
