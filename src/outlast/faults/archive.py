"""The archive and what is done to it: a backup is made, segments vanish on their way into it or out of it.

An archive that lacks one segment is found out when somebody restores from it, and by nothing before that.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Final, get_args

from outlast.clusters import backups
from outlast.errors import ClusterError, ConfigError, HostError
from outlast.faults.base import Effect, Fault, Injection, Mechanism, Param
from outlast.faults.sql_fault import SqlFault, one_row, rows
from outlast.history.history import JSON
from outlast.systems.base import Cluster
from outlast.systems.postgres.backup import Kind, Repository

SILENT: Final = "/bin/true"
"""An archive_command that says yes and keeps nothing."""

_NO_ARCHIVE: Final = "the lab keeps no archive: it needs backup=on"
_SEGMENT: Final = "SELECT pg_walfile_name(pg_current_wal_insert_lsn() + 1)"
"""The segment of the next byte: at a segment's end the function itself names the one that has ended."""


class MakeBackup(Fault):
    """What ``outlast backup`` does, amid a drill."""

    name = "backup"
    about = "an operator makes a backup"
    mechanism = Mechanism.MANAGER
    params: tuple[Param, ...] = (Param("type", "full", "", "full, diff or incr"),)
    lasts = False

    def available(self, cluster: Cluster) -> str | None:
        """Needs an archive."""
        return None if cluster.spec.backup else _NO_ARCHIVE

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Note which backups there are."""
        if params["type"] not in get_args(Kind):
            raise ConfigError(
                f"must be one of {', '.join(get_args(Kind))}, got {params['type']!r}", key="type"
            )
        return Injection(self.name, targets, params, {"there": await _labels(cluster)})

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Make one."""
        kind: Kind = next(kind_name for kind_name in get_args(Kind) if kind_name == injection.params["type"])
        try:
            await backups.back_up(cluster, kind, lambda _words: None)
        except ClusterError as error:
            raise HostError(error.message) from error

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """There is one more."""
        there = injection.details.get("there")
        new = [label for label in await _labels(cluster) if not isinstance(there, list) or label not in there]
        return Effect(bool(new), f"new in the repository: {', '.join(map(str, new)) or 'nothing'}")

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """Nothing is broken."""


class ArchiveSilent(SqlFault):
    """It bit when the server archives with a command that keeps nothing."""

    name = "archive_silent"
    about = "archive_command says that it has archived, and keeps nothing"
    mechanism = Mechanism.SQL

    def available(self, cluster: Cluster) -> str | None:
        """Needs an archive."""
        return super().available(cluster) if cluster.spec.backup else _NO_ARCHIVE

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Nothing to decide."""
        return Injection(self.name, targets, params)

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Set the command."""
        for target in injection.targets:
            await rows(cluster, target, f"ALTER SYSTEM SET archive_command = '{SILENT}'")
            await rows(cluster, target, "SELECT pg_reload_conf()")

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """Ask for it."""
        for target in injection.targets:
            (command,) = await one_row(cluster, target, "SHOW archive_command")
            if command != SILENT:
                return Effect(False, f"{target} archives with {command.split(' ', 1)[0]}")
        return Effect(True, f"{', '.join(injection.targets)} archive with {SILENT}")

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """Take it back; what it has swallowed stays lost."""
        for target in injection.targets:
            await rows(cluster, target, "ALTER SYSTEM RESET archive_command")
            await rows(cluster, target, "SELECT pg_reload_conf()")


class ArchiveLost(SqlFault):
    """It bit when the segment is complete, and is not in the repository."""

    name = "archive_lost"
    about = "a WAL segment vanishes from the archive"
    mechanism = Mechanism.FILE
    lasts = False

    def available(self, cluster: Cluster) -> str | None:
        """Needs an archive."""
        return super().available(cluster) if cluster.spec.backup else _NO_ARCHIVE

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Choose the segment that is written now: later backups and restores to later moments need it."""
        (segment,) = await one_row(cluster, targets[0], _SEGMENT)
        return Injection(self.name, targets[:1], params, {"segment": segment})

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Have it archived, and remove it."""
        try:
            await backups.archive_all(cluster, lambda _words: None)
        except ClusterError as error:
            raise HostError(error.message) from error
        for path in Repository(cluster.lab).files_of(str(injection.details["segment"])):
            await asyncio.to_thread(path.unlink)

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """Look for it."""
        segment = str(injection.details["segment"])
        (current,) = await one_row(cluster, injection.targets[0], _SEGMENT)
        files = Repository(cluster.lab).files_of(segment)
        if current == segment or files:
            return Effect(False, f"{segment} is {'written still' if current == segment else 'there'}")
        return Effect(True, f"{segment} is not in the archive")

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """What is gone stays gone."""


async def _labels(cluster: Cluster) -> list[JSON]:
    return [backup.label for backup in (await backups.backups(cluster))[0]]


FAULTS: Final[tuple[Fault, ...]] = (MakeBackup(), ArchiveSilent(), ArchiveLost())
