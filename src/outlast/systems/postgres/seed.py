"""A database directory to start from, made once per PostgreSQL and kept in the cache.

initdb takes a third of a second, a copy of what it made a few hundredths. The seed holds no password: its
superuser gets one when the cluster is bootstrapped.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from outlast.errors import ClusterError
from outlast.hosts.base import Lab, Program
from outlast.hosts.state import cache_folder
from outlast.systems.postgres.install import PostgresInstall

SUPERUSER: Final = "postgres"
POSTGRES_UID: Final = 1000
"""The uid PostgreSQL sees itself as: any but 0, which it refuses."""

INITDB_TIMEOUT_S: Final = 60.0
COPY_TIMEOUT_S: Final = 60.0
_FORMAT: Final = 1  # raise when the flags below change


def seed_path(install: PostgresInstall, *, checksums: bool) -> Path:
    """Return where the seed for a PostgreSQL is or will be kept."""
    kind = "checksums" if checksums else "plain"
    return cache_folder() / "seeds" / f"postgres-{install.version}-{install.source}-{kind}-{_FORMAT}"


def cached_seed(install: PostgresInstall, *, checksums: bool) -> Path | None:
    """Return the seed when it is there already."""
    place = seed_path(install, checksums=checksums)
    return place if place.is_dir() else None


async def make_seed(lab: Lab, install: PostgresInstall, *, checksums: bool) -> Path:
    """Run initdb in a lab and keep what it made in the cache.

    Raises ClusterError with initdb's words when it fails.
    """
    place = seed_path(install, checksums=checksums)
    made = lab.folder / "seed"
    argv = [
        install.program("initdb"),
        f"--pgdata={made}",
        f"--username={SUPERUSER}",
        "--encoding=UTF8",
        "--locale=C",
        "--auth-local=trust",  # for initdb's own single-user run; the cluster writes its own pg_hba.conf
        "--auth-host=reject",
        "--no-sync",
    ]
    if checksums:
        argv.append("--data-checksums")
    elif install.major >= 18:  # where they have become the default
        argv.append("--no-data-checksums")
    done = await lab.run(Program("initdb", argv, "initdb.log", uid=POSTGRES_UID), timeout_s=INITDB_TIMEOUT_S)
    if done.code != 0:
        raise ClusterError(f"initdb failed: {done.stderr.strip() or done.stdout.strip()}")
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = place.with_name(f"{place.name}.{os.getpid()}")
    _sweep(place)
    await asyncio.to_thread(shutil.copytree, made, new, symlinks=True)
    await asyncio.to_thread(shutil.rmtree, made)
    try:
        new.rename(place)  # all or nothing; another tool may have been first
    except OSError:
        shutil.rmtree(new)
    return place


async def run_single_user(
    lab: Lab,
    install: PostgresInstall,
    data: Path,
    statements: Sequence[str],
    timeout_s: float,
) -> None:
    """Run SQL statements on a stopped server's data, in single-user mode.

    Raises ClusterError with the server's words.
    """
    argv = [install.program("postgres"), "--single", "-D", str(data), "postgres"]
    done = await lab.run(
        Program("postgres", argv, "roles.log", uid=POSTGRES_UID),
        timeout_s=timeout_s,
        stdin="".join(f"{statement};\n" for statement in statements).encode(),
    )
    if done.code != 0 or "ERROR" in done.stderr:
        said = done.stderr.strip()
        raise ClusterError(f"roles and databases could not be made in {data}: {said}")


async def copy_seed(lab: Lab, seed: Path, target: Path) -> None:
    """Copy a seed to a data directory of the lab. Raises ClusterError when that fails.

    The lab copies, so that nothing goes on when the lab or the tool dies. ``cp`` shares blocks where it can and
    leaves out those that are zero, most of a fresh WAL segment.
    """
    argv = ["cp", "-a", "--reflink=auto", "--sparse=always", str(seed), str(target)]
    done = await lab.run(Program("cp", argv, "cp.log"), timeout_s=COPY_TIMEOUT_S)
    if done.code != 0:
        raise ClusterError(f"{seed} could not be copied to {target}: {done.stderr.strip()}")


def _sweep(place: Path) -> None:
    """Remove what tools that died left half-made beside a seed."""
    for part in place.parent.glob(f"{place.name}.*"):
        if not Path(f"/proc/{part.suffix[1:]}").exists():
            shutil.rmtree(part, ignore_errors=True)
