"""Which programs a cluster runs, by version: a report without them cannot be repeated."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import psycopg

import outlast
from outlast.errors import UnavailableError
from outlast.systems.base import Cluster, HasPrimary, HasServers
from outlast.systems.etcd.member import etcd_program

ASK_TIMEOUT_S: Final = 5.0
_PROGRAMS: Final = {
    "pg_auto_failover": ("pg_auto_failover", "pg_autoctl", "--version"),
    "pgpool": ("Pgpool-II", "pgpool", "--version"),
}
"""By system: what it is called, its program, and the flag that makes it say its version."""


async def versions(cluster: Cluster) -> dict[str, str]:
    """Return versions by program: Outlast's, and of what the cluster runs as far as it can be told."""
    found = {"outlast": outlast.__version__}
    if isinstance(cluster, HasServers) and isinstance(cluster, HasPrimary):
        with contextlib.suppress(psycopg.Error, OSError, TimeoutError):
            node = await cluster.primary()
            if node is not None:
                async with await cluster.connect(node, timeout_s=ASK_TIMEOUT_S) as connection:
                    row = await (await connection.execute(b"SHOW server_version")).fetchone()
                    found["PostgreSQL"] = str(row[0]) if row is not None else "?"
    if cluster.spec.system == "patroni":
        with contextlib.suppress(PackageNotFoundError):
            found["Patroni"] = version("patroni")
    if cluster.spec.system in _PROGRAMS:
        label, *command = _PROGRAMS[cluster.spec.system]
        found |= await _asked(label, command)
    if cluster.spec.dcs or cluster.spec.system == "etcd":
        with contextlib.suppress(UnavailableError):
            found |= await _asked("etcd", [etcd_program(cluster.spec.etcd), "--version"])
    return found


async def _asked(label: str, command: list[str]) -> dict[str, str]:
    """Return the version that a program prints of itself, by its label; nothing when it says none."""
    try:
        done = await asyncio.to_thread(
            lambda: subprocess.run(
                command, capture_output=True, text=True, timeout=ASK_TIMEOUT_S, check=False
            )
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    number = re.search(r"\d+\.\d+(\.\d+)*", done.stdout + done.stderr)
    return {label: number[0]} if number is not None else {}
