"""Backups of a lab's cluster, on any system with PostgreSQL, and servers restored from them.

A restore never touches the cluster: it makes one server more, on a host of its own, that can be looked at beside it.
Before it restores, the primary, when there is one, is asked to finish its WAL segment, and the archive is given time
to take it in: so that what is missing then is missing for good.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final

import psycopg
from pydantic import ValidationError

from outlast.clock import now_ns, seconds_between
from outlast.clusters.operation import one_operator
from outlast.config.cluster import NodeSpec
from outlast.errors import ClusterError, ConfigError, UnavailableError
from outlast.hosts.base import Host, Lab
from outlast.systems.base import Cluster, HasPrimary, HasServers, Progress
from outlast.systems.credentials import PASSFILE
from outlast.systems.postgres.backup import Backup, Kind, RecoveryTarget, Repository, primary_server
from outlast.systems.postgres.install import find
from outlast.systems.postgres.server import LOG, PostgresServer, last_lines
from outlast.systems.postgres.settings import POSTGRES_PORT, hba_lines, own_parameters
from outlast.systems.postgres.views import server_view, timeline_starts
from outlast.systems.wait import wait_for
from outlast.units import format_lsn, parse_lsn

ARCHIVED_TIMEOUT_S: Final = 30.0
START_TIMEOUT_S: Final = 120.0
RECOVERY_TIMEOUT_S: Final = 600.0
PREFIX: Final = "restored-"
MARK: Final = "restored.json"
"""On the host of a restored server: what it is."""

_TOO_SHORT: Final = "recovery ended before configured recovery target was reached"
_FATAL: Final = re.compile(r"(?:FATAL|PANIC):\s*(?P<words>.*)")

_SWITCH: Final = """
SELECT lsn::text, pg_walfile_name(lsn) FROM (SELECT pg_switch_wal() AS lsn) AS switched
"""
_COMMIT: Final = "SELECT pg_logical_emit_message(true, 'outlast', 'archived up to here')"
"""A commit after every moment that has passed: recovery to a time ends well only where it meets a later one."""

_LATE: Final = "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name = %s"
_ARCHIVER: Final = """
SELECT coalesce(last_archived_wal, 'none'), coalesce(last_failed_wal, '') FROM pg_stat_archiver
"""


@dataclass(frozen=True, slots=True)
class Restoration:
    """A server that was restored. port: in the lab; published_port: on 127.0.0.1. lsn: where the recovery ended and its
    own timeline begins, bytes. took_s: from nothing until it took writes."""

    name: str
    address: str
    port: int
    published_port: int
    backup: str
    target: str
    timeline: int
    lsn: int
    took_s: float


async def back_up(cluster: Cluster, kind: Kind, progress: Progress) -> Backup:
    """Back the primary up. Raises UnavailableError without backup=on, ClusterError when it fails."""
    _check(cluster)
    with one_operator(cluster):
        server = await primary_server(cluster)
        progress(f"a {kind} backup of {server.host.name}")
        return await Repository(cluster.lab).back_up(server, kind)


async def backups(cluster: Cluster) -> tuple[tuple[Backup, ...], tuple[str, str] | None]:
    """Return the backups, oldest first, and the archive's first and last segment. Raises as back_up does."""
    _check(cluster)
    repository = Repository(cluster.lab)
    return await repository.backups(), await repository.archived()


async def restore(
    cluster: Cluster,
    target: RecoveryTarget,
    progress: Progress,
    *,
    name: str | None = None,
    port: int | None = None,
) -> Restoration:
    """Restore a server of its own to target and return it once it takes writes.

    name: of its host, the next free one by default; port: published on 127.0.0.1. On a failure nothing of it stays.
    Raises ConfigError for a name in use and a target before the first backup or in the future, UnavailableError
    without backup=on, ClusterError when what was backed up cannot be restored.
    """
    _check(cluster)
    repository = Repository(cluster.lab)
    with one_operator(cluster):
        chosen = _choose(await repository.backups(), target)
        end = await archive_all(cluster, progress)
        for last, backup in enumerate(chosen, start=1):
            try:
                return await _restore(cluster, backup, target, end, progress, name=name, port=port)
            except ClusterError as error:
                # A restore point says not when it was made: it may be older than the newest backup.
                if last == len(chosen) or _TOO_SHORT not in error.message:
                    raise
    raise AssertionError("no backup was chosen")


@asynccontextmanager
async def restored(
    cluster: Cluster, target: RecoveryTarget, progress: Progress
) -> AsyncIterator[Restoration]:
    """Restore as restore does, for the length of a with block."""
    found = await restore(cluster, target, progress)
    try:
        yield found
    finally:
        await cluster.lab.remove_host(found.name)


async def archive_all(cluster: Cluster, progress: Progress) -> int | None:
    """Have the primary finish its segment and archive it; returns the LSN up to which it was asked to, bytes.

    None while no node accepts writes: what the archive holds is all there is then. Raises ClusterError when the
    archive does not take it in time.
    """
    assert isinstance(cluster, HasServers) and isinstance(cluster, HasPrimary)
    primary = await cluster.primary()
    if primary is None:
        progress("no node accepts writes: what is in the archive is all there is")
        return None
    try:
        async with await cluster.connect(primary, timeout_s=ARCHIVED_TIMEOUT_S) as connection:
            await connection.execute(_COMMIT)
            row = await (await connection.execute(_SWITCH)).fetchone()
            assert row is not None
            lsn, segment = str(row[0]), str(row[1])
            progress(f"waiting for {segment} to be archived")

            async def unmet() -> str:
                late = await (await connection.execute(_LATE, (f"{segment}.ready",))).fetchone()
                if late is not None and late[0] == 0:
                    return ""
                said = await (await connection.execute(_ARCHIVER)).fetchone()
                assert said is not None
                return f"the last archived is {said[0]}" + (f", {said[1]} failed" if said[1] else "")

            await wait_for(unmet, ARCHIVED_TIMEOUT_S, f"{primary} to archive {segment}")
    except (psycopg.Error, OSError, TimeoutError) as error:
        raise ClusterError(f"{primary} was lost while it archived: {str(error).strip()}") from error
    return parse_lsn(lsn)


async def _restore(
    cluster: Cluster,
    backup: Backup,
    target: RecoveryTarget,
    end: int | None,
    progress: Progress,
    *,
    name: str | None,
    port: int | None,
) -> Restoration:
    lab = cluster.lab
    began = now_ns()
    host = await _new_host(cluster, name)
    try:
        server = PostgresServer(host, find(cluster.spec.version))
        progress(f"restoring {backup.label} to {host.name}")
        await Repository(lab).restore(server, backup, target)
        node = NodeSpec(name=host.name, address=host.address)
        parameters = {
            key: value
            for key, value in own_parameters(cluster.spec, node).items()
            if not key.startswith("archive_")
        }
        # Not a hot standby: then it may have smaller limits than the server that wrote the WAL.
        await server.configure({**parameters, "hot_standby": "off"}, hba_lines(cluster.spec))
        published = await lab.publish(host.name, host.address, POSTGRES_PORT, port)
        progress(f"{host.name} recovers to {target}")
        timeline, lsn = await _recover(cluster, server, target)
        if target.kind == "latest" and end is not None and lsn < end:
            raise ClusterError(
                f"the archive ends at {format_lsn(lsn)}, {end - lsn} bytes before what the primary had "
                f"written by then, {format_lsn(end)}: what is between is lost to every restore",
                hint="outlast logs; is archive_command what it should be?",
            )
        took_s = round(seconds_between(began, now_ns()), 3)
        found = Restoration(
            host.name,
            host.address,
            POSTGRES_PORT,
            published.port,
            backup.label,
            str(target),
            timeline,
            lsn,
            took_s,
        )
        await host.put(MARK, json.dumps(asdict(found)).encode())
    except BaseException:
        await lab.remove_host(host.name)
        raise
    return found


def is_restored(lab: Lab, name: str) -> bool:
    """Return whether a host of a lab holds a server that was restored, and is no node of the cluster."""
    return name in lab.hosts and (lab.hosts[name].folder / MARK).exists()


async def _recover(cluster: Cluster, server: PostgresServer, target: RecoveryTarget) -> tuple[int, int]:
    """Start a restored server and wait until it takes writes; returns its timeline and where that begins."""
    assert isinstance(cluster, HasServers)
    name, found = server.host.name, (0, 0)

    def unrestorable() -> ClusterError:
        said = last_lines(server.host.folder / LOG, lines=40)
        fatal = _FATAL.findall(said)
        words = fatal[-1] if fatal else "the server ended"
        lacks = "a restore point of that name" if target.kind == "name" else "WAL that this needs"
        if target.kind == "time":
            lacks += ", or nothing was committed after that time: --latest"
        return ClusterError(
            f"the backup cannot be restored to {target}: {words}\n{last_lines(server.host.folder / LOG)}",
            hint=f"the archive lacks {lacks}" if _TOO_SHORT in words else None,
        )

    async def unmet() -> str:
        nonlocal found
        if not await server.pids():
            raise unrestorable()
        if not server.is_ready:
            return "it recovers still"
        try:
            async with await cluster.connect(name) as connection:
                shown = await server_view(connection)
                if shown.in_recovery:
                    return f"it has replayed up to {format_lsn(shown.lsn)}"
                found = (await timeline_starts(connection, shown.timeline))[-1]
        except (psycopg.Error, OSError, TimeoutError) as error:
            return str(error).strip()
        return ""

    try:
        await server.start(START_TIMEOUT_S)
    except ClusterError:
        raise unrestorable() from None
    await wait_for(unmet, RECOVERY_TIMEOUT_S, f"{name} to recover")
    return found


async def _new_host(cluster: Cluster, name: str | None) -> Host:
    lab = cluster.lab
    number = 1
    while name is None and f"{PREFIX}{number}" in lab.hosts:
        number += 1
    wanted = name or f"{PREFIX}{number}"
    if wanted in {*lab.hosts, *(member.name for member in cluster.spec.members())}:
        raise ConfigError(f"there is a host {wanted} already", hint="outlast status lists them")
    used = {host.address for host in lab.hosts.values()}
    address = next((one for one in cluster.spec.spare_addresses() if one not in used), None)
    if address is None:
        raise ConfigError(f"the subnet {cluster.spec.subnet} has no address left")
    try:
        NodeSpec(name=wanted, address=address)
    except ValidationError as error:
        raise ConfigError(error.errors()[0]["msg"].removeprefix("Value error, "), key=wanted[:80]) from error
    host = await lab.add_host(wanted, address)
    await host.put(MARK, b"{}")  # from now on remove-node knows it, whatever becomes of this process
    await host.put(PASSFILE, cluster.credentials.passfile.read_bytes())
    return host


def _choose(there: tuple[Backup, ...], target: RecoveryTarget) -> list[Backup]:
    """Return the backups to try, in turn. Raises ConfigError when there is none that leads to the target."""
    if not there:
        raise ConfigError("there is no backup yet", hint="outlast backup makes one")
    if target.at is None:
        return list(reversed(there)) if target.kind == "name" else [there[-1]]
    if target.at > datetime.now(UTC):
        raise ConfigError(f"{target} has not come yet", key="--to")
    before = [one for one in there if one.stopped <= target.at]
    if not before:
        raise ConfigError(
            f"{target} is before the end of the first backup, {there[0].stopped.isoformat()}",
            key="--to",
            hint="outlast backups lists them",
        )
    return [before[-1]]


def _check(cluster: Cluster) -> None:
    if not cluster.spec.backup:
        raise UnavailableError(
            f"the lab {cluster.lab.name} keeps no archive", hint="outlast up … --set backup=on"
        )
