"""pgBackRest for the servers of a lab: an archive of WAL, backups, and what is restored from both.

One repository a lab, below the lab's own folder and so on none of its nodes' disks. Every server pushes its WAL there,
whoever manages it, because the specification's parameters say so: no system has code of its own for it. What is
restored becomes a server apart, on a host of its own, which archives nothing. Source: pgBackRest's configuration and
command references.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from outlast.config.cluster import ClusterSpec
from outlast.errors import ClusterError, UnavailableError
from outlast.hosts.base import Completed, Lab, Program
from outlast.systems.base import Cluster, HasPrimary
from outlast.systems.postgres.install import find, installed
from outlast.systems.postgres.seed import POSTGRES_UID, SUPERUSER
from outlast.systems.postgres.server import PostgresServer, quote
from outlast.systems.programs import program
from outlast.systems.wait import wait_for

PROGRAM: Final = "pgbackrest"
STANZA: Final = "main"
FOLDER: Final = "backups"
ARCHIVE_TIMEOUT: Final = "60s"
"""An idle cluster's last writes are in the archive after this long."""

ARCHIVED_TIMEOUT_S: Final = 10
"""How long a backup waits for its WAL to be in the archive."""

STANZA_TIMEOUT_S: Final = 60.0
PREPARE_TIMEOUT_S: Final = 60.0
COMMAND_TIMEOUT_S: Final = 600.0
_ASK_TIMEOUT_S: Final = 30.0
_FIRST_WITH: Final[Mapping[int, tuple[int, int]]] = {15: (2, 41), 16: (2, 48), 17: (2, 54), 18: (2, 57)}
"""The pgBackRest that first reads a PostgreSQL's control file. Source: its release notes."""

_SEGMENT_END: Final = re.compile(r"ERROR: \[\d+\]: (?P<words>.*)", re.DOTALL)

Kind = Literal["full", "diff", "incr"]


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup in the repository. kind: full, diff or incr. started, stopped: wall time. size_bytes: of the database,
    stored_bytes: what this one takes in the repository. wal_start, wal_stop: the segments it cannot do without."""

    label: str
    kind: str
    started: datetime
    stopped: datetime
    size_bytes: int
    stored_bytes: int
    wal_start: str
    wal_stop: str


@dataclass(frozen=True, slots=True)
class RecoveryTarget:
    """What to restore to. kind: ``latest``, the archive's end; ``time``, value as ISO 8601 with its zone: whatever was
    committed by then; ``name``, a restore point's."""

    kind: Literal["latest", "time", "name"]
    value: str = ""

    def __str__(self) -> str:
        return "the end of the archive" if self.kind == "latest" else self.value

    @property
    def at(self) -> datetime | None:
        """The moment, of a time."""
        return datetime.fromisoformat(self.value) if self.kind == "time" else None


def with_archive(spec: ClusterSpec, folder: Path) -> ClusterSpec:
    """Return a cluster whose servers archive to the repository of the lab in folder, a person's own parameters last.

    Without a version it gets the newest that pgBackRest here can read. Raises UnavailableError where backups cannot be
    made. Nothing is changed without backup=on.
    """
    if not spec.backup:
        return spec
    if spec.system in ("etcd", "raftlog"):
        raise UnavailableError(f"backup=on needs PostgreSQL, which {spec.system} has not")
    version = spec.version or _newest()
    if (found := find(version)).major not in _majors():
        raise UnavailableError(
            f"pgBackRest {'.'.join(map(str, _version()))} cannot read PostgreSQL {found.major}",
            hint=f"leave version out, or choose one of {', '.join(map(str, _majors()))}",
        )
    told = {
        "archive_mode": "on",
        "archive_command": archive_command(folder),
        "archive_timeout": ARCHIVE_TIMEOUT,
        **spec.postgresql.parameters,
    }
    return replace(spec, version=version, postgresql=replace(spec.postgresql, parameters=told))


def archive_command(folder: Path) -> str:
    """Return the archive_command of every server of a lab: a host's name says where its data are.

    Patroni runs it too, from elsewhere than the data directory: so nothing in it depends on where it runs.
    """
    words = (program(PROGRAM), f"--config={config(folder)}", f"--stanza={STANZA}")
    data = f'{shlex.quote(f"--pg1-path={folder}/hosts/")}"$(uname -n)"/data'
    return " ".join((*map(shlex.quote, words), data)).replace("%", "%%") + " archive-push %p"


def config(folder: Path) -> Path:
    """Return where pgBackRest's configuration of a lab is."""
    return folder / FOLDER / "pgbackrest.conf"


def write_config(folder: Path) -> None:
    """Write pgBackRest's configuration of a lab, and make the place for its repository."""
    path = config(folder)
    (path.parent / "repository").mkdir(parents=True, exist_ok=True, mode=0o700)
    path.write_text(
        "[global]\n"
        f"repo1-path={path.parent / 'repository'}\n"
        "repo1-bundle=y\n"  # many small files of one database cost one file, not one each
        "repo1-retention-full=100\n"  # a lab is short; what a person made stays
        "compress-type=lz4\n"
        "start-fast=y\n"
        f"archive-timeout={ARCHIVED_TIMEOUT_S}\n"
        "log-level-console=off\n"
        "log-level-file=off\n"
        "log-level-stderr=warn\n"
        "lock-path=/tmp/pgbackrest\n"
        "spool-path=/tmp/pgbackrest\n"
        f"[{STANZA}]\n"
        f"pg1-user={SUPERUSER}\n"
    )


class Repository:
    """The backups and the archive of a lab."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    async def prepare(self, server: PostgresServer) -> None:
        """Make the stanza, from a primary that runs; safe to call again. Raises ClusterError."""
        await self._on(server, "the archive could not be made", "stanza-create", *_socket(server))

    async def back_up(self, server: PostgresServer, kind: Kind) -> Backup:
        """Back a primary up and return the backup, which is whole: its WAL is in the archive. Raises ClusterError."""
        await self._on(
            server,
            f"the backup of {server.host.name} failed",
            "backup",
            f"--type={kind}",
            *_socket(server),
            timeout_s=COMMAND_TIMEOUT_S,
        )
        return (await self.backups())[-1]

    async def restore(self, server: PostgresServer, backup: Backup, target: RecoveryTarget) -> None:
        """Put a backup in place of a stopped server's data, to be recovered to target at its start.

        Raises ClusterError. Nothing of what the server then writes is archived.
        """
        words = [f"--set={backup.label}", "--archive-mode=off", "--target-timeline=latest"]
        if (at := target.at) is not None:
            words += ["--type=time", f"--target={at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}+00"]
        elif target.kind == "name":
            words += ["--type=name", f"--target={target.value}"]
        if target.kind != "latest":
            words += ["--target-action=promote"]
        server.data.mkdir(mode=0o700, exist_ok=True)
        failed = f"the restore of {backup.label} to {server.host.name} failed"
        await self._on(server, failed, "restore", *words, timeout_s=COMMAND_TIMEOUT_S)
        # The backup's own settings are another server's; these outrank whatever ALTER SYSTEM had left in them.
        settings = {"archive_mode": "off", "synchronous_standby_names": "", "primary_conninfo": ""}
        with (server.data / "postgresql.auto.conf").open("a") as file:
            file.writelines(f"{key} = {quote(value)}\n" for key, value in settings.items())

    async def backups(self) -> tuple[Backup, ...]:
        """Return all backups, oldest first. Raises ClusterError."""
        (stanza,) = await self._info()
        return tuple(_backup(one) for one in stanza.get("backup", ()) if not one.get("error"))

    async def archived(self) -> tuple[str, str] | None:
        """Return the first and the last WAL segment of the archive; None while it has none. Raises ClusterError."""
        (stanza,) = await self._info()
        found = [(one["min"], one["max"]) for one in stanza.get("archive", ()) if one.get("min")]
        return found[-1] if found else None

    def files_of(self, segment: str) -> list[Path]:
        """Return the files of the archive that hold a WAL segment: one, or none."""
        archive = config(self._lab.folder).parent / "repository" / "archive" / STANZA
        return list(archive.glob(f"*/*/{segment}-*"))

    async def _info(self) -> list[dict[str, Any]]:
        argv = [*_words(self._lab.folder), "info", "--output=json"]
        done = await self._lab.run(
            Program(PROGRAM, argv, "pgbackrest.log", uid=POSTGRES_UID), timeout_s=_ASK_TIMEOUT_S
        )
        _check(done, "the repository cannot be read")
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    async def _on(
        self, server: PostgresServer, failed: str, *words: str, timeout_s: float = STANZA_TIMEOUT_S
    ) -> None:
        argv = [*_words(self._lab.folder), f"--pg1-path={server.data}", *words]
        env = {"PGPASSFILE": str(server.passfile)}
        try:
            done = await server.host.run(
                Program(PROGRAM, argv, "log/pgbackrest.log", env=env, uid=POSTGRES_UID), timeout_s=timeout_s
            )
        except TimeoutError as error:
            raise ClusterError(f"{failed}: it did not end in {timeout_s:g} s") from error
        _check(done, failed)


async def prepare_archive(cluster: Cluster) -> None:
    """Make the repository of a lab whose primary runs; nothing without backup=on. Raises ClusterError."""
    if not cluster.spec.backup:
        return
    repository = Repository(cluster.lab)

    async def unmet() -> str:
        try:
            await repository.prepare(await primary_server(cluster))
        except ClusterError as error:  # its manager may just be taking the server over
            return error.message
        return ""

    write_config(cluster.lab.folder)
    await wait_for(unmet, PREPARE_TIMEOUT_S, "the archive to be made")


async def primary_server(cluster: Cluster) -> PostgresServer:
    """Return the server that takes writes. Raises ClusterError while there is none."""
    assert isinstance(cluster, HasPrimary)
    name = await cluster.primary()
    if name is None:
        raise ClusterError("no node accepts writes, so nothing can be backed up", hint="outlast status")
    return PostgresServer(cluster.lab.hosts[name], find(cluster.spec.version))


def _words(folder: Path) -> list[str]:
    return [program(PROGRAM), f"--config={config(folder)}", f"--stanza={STANZA}"]


def _socket(server: PostgresServer) -> list[str]:
    """Return where a running server listens, as its lock file says: managers put it in different places."""
    try:
        place = (server.data / "postmaster.pid").read_text().splitlines()[4]
    except (OSError, IndexError) as error:
        raise ClusterError(f"PostgreSQL does not run on {server.host.name}") from error
    return [f"--pg1-socket-path={place.split(',')[0]}"]


def _check(done: Completed, failed: str) -> None:
    if done.code != 0:
        said = (done.stderr or done.stdout).strip()
        found = _SEGMENT_END.search(said)
        raise ClusterError(f"{failed}: {' '.join((found['words'] if found else said).split())}")


def _backup(one: dict[str, Any]) -> Backup:
    """Return a backup from what ``pgbackrest info`` says of it."""
    return Backup(
        one["label"],
        one["type"],
        datetime.fromtimestamp(one["timestamp"]["start"], UTC),
        datetime.fromtimestamp(one["timestamp"]["stop"], UTC),
        one["info"]["size"],
        one["info"]["repository"]["delta"],
        one["archive"]["start"],
        one["archive"]["stop"],
    )


@cache
def _version() -> tuple[int, ...]:
    """Return pgBackRest's version. Raises UnavailableError when it is not installed."""
    said = subprocess.run(
        [program(PROGRAM), "version"], capture_output=True, text=True, timeout=10, check=False
    )
    return tuple(map(int, re.findall(r"\d+", said.stdout)[:2]))


def _majors() -> list[int]:
    """Return the PostgreSQL versions that the pgBackRest of this machine can read, newest first."""
    return [major for major, first in sorted(_FIRST_WITH.items(), reverse=True) if _version() >= first]


def _newest() -> int:
    there = [one.major for one in installed() if one.major in _majors()]
    if not there:
        raise UnavailableError(
            f"pgBackRest {'.'.join(map(str, _version()))} can read PostgreSQL {', '.join(map(str, _majors()))}, "
            "and none of these is installed",
            hint="make systems, as root; or apt-get install postgresql-15",
        )
    return max(there)
