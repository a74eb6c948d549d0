"""A database directory to start from, made once per PostgreSQL and kept in the cache.

initdb takes a third of a second, a copy of what it made a few hundredths. The seed holds no password: its
superuser gets one when the cluster is bootstrapped.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from holdfast.errors import ClusterError
from holdfast.hosts.base import Host, Program
from holdfast.hosts.state import cache_folder
from holdfast.systems.postgres.install import PostgresInstall

SUPERUSER: Final = "postgres"
POSTGRES_UID: Final = 1000
"""The uid PostgreSQL sees itself as: any but 0, which it refuses."""

INITDB_TIMEOUT_S: Final = 60.0
_FORMAT: Final = 1  # raise when the flags below change


def seed_path(install: PostgresInstall, *, checksums: bool) -> Path:
    """Return where the seed for a PostgreSQL is or will be kept."""
    kind = "checksums" if checksums else "plain"
    return cache_folder() / "seeds" / f"postgres-{install.version}-{install.source}-{kind}-{_FORMAT}"


async def ensure_seed(host: Host, install: PostgresInstall, *, checksums: bool) -> Path:
    """Return the seed, running initdb on host when there is none yet.

    Raises ClusterError with initdb's words when it fails.
    """
    place = seed_path(install, checksums=checksums)
    if place.is_dir():
        return place
    made = host.folder / "seed"
    argv = [
        install.program("initdb"),
        f"--pgdata={made}",
        f"--username={SUPERUSER}",
        "--encoding=UTF8",
        "--locale=C",
        "--auth-local=trust",  # for initdb's own single-user run; the cluster writes its own pg_hba.conf
        "--auth-host=reject",
        "--no-sync",
        "--data-checksums" if checksums or install.major < 18 else "--no-data-checksums",
    ]
    if not checksums and install.major < 18:
        argv.pop()
    done = await host.run(
        Program("initdb", argv, "log/initdb.log", uid=POSTGRES_UID), timeout_s=INITDB_TIMEOUT_S
    )
    if done.code != 0:
        raise ClusterError(f"initdb failed on {host.name}: {done.stderr.strip() or done.stdout.strip()}")
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = place.with_name(f"{place.name}.{os.getpid()}")
    shutil.copytree(made, new, symlinks=True)
    shutil.rmtree(made)
    try:
        new.rename(place)  # all or nothing; another tool may have been first
    except OSError:
        shutil.rmtree(new)
    return place
