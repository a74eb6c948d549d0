"""What is wrong with the archive of WAL: it does not take what it is given, or has not what it said it has."""

from __future__ import annotations

import re
from typing import Final

import psycopg

from outlast.clusters.diagnosis import CheckState
from outlast.errors import OutlastError
from outlast.systems.base import Cluster, ClusterView, HasServers
from outlast.systems.postgres.backup import Repository

LOOK_TIMEOUT_S: Final = 5.0
_ARCHIVER: Final = """
SELECT last_archived_wal, last_failed_wal,
       coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false)
FROM pg_stat_archiver WHERE current_setting('archive_mode') <> 'off'
"""
_SEGMENT: Final = re.compile("[0-9A-F]{24}")
"""Not the history of a timeline, a part of a segment or the note of a backup, which are archived too."""

Wrong = tuple[CheckState, str, str | None]


async def archive(cluster: Cluster, view: ClusterView) -> list[Wrong]:
    """A primary that cannot archive; an archive without what its server believes to be there; no backup yet."""
    if view.primary is None or not isinstance(cluster, HasServers):
        return []
    try:
        async with await cluster.connect(view.primary, timeout_s=LOOK_TIMEOUT_S) as connection:
            row = await (await connection.execute(_ARCHIVER)).fetchone()
    except (psycopg.Error, OSError, TimeoutError):
        return []  # another examination says so
    if row is None:
        return []
    archived, failed, failing = row
    if failing:
        said = f"{view.primary} cannot archive {failed}: its WAL piles up, and no backup can be made"
        return [(CheckState.BAD, said, f"outlast logs {view.primary}")]
    if not cluster.spec.backup:
        return []
    repository = Repository(cluster.lab)
    if archived and _SEGMENT.fullmatch(archived) and not repository.files_of(archived):
        said = f"{view.primary} believes that {archived} is archived, and the repository has it not"
        return [(CheckState.BAD, said, "outlast backup: what came before the gap cannot be restored past it")]
    try:
        there = await repository.backups()
    except OutlastError as error:
        return [(CheckState.BAD, error.message, None)]
    return [] if there else [(CheckState.NOTE, "there is no backup yet", "outlast backup")]
