"""The data that a cluster starts from: copies of one seed, and the roles that its first primary gets.

All servers start from copies of one stopped server, so a standby can follow the primary from its first byte and
needs no base backup.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from outlast.config.cluster import ClusterSpec
from outlast.hosts.base import Lab
from outlast.systems.credentials import Credentials
from outlast.systems.postgres.install import PostgresInstall
from outlast.systems.postgres.scram import verifier
from outlast.systems.postgres.seed import (
    SUPERUSER,
    cached_seed,
    copy_seed,
    make_seed,
    run_single_user,
)
from outlast.systems.postgres.server import PostgresServer
from outlast.systems.postgres.settings import REPLICATOR
from outlast.systems.postgres.views import Connection, standby_views


async def not_streaming(connection: Connection, standbys: Iterable[str]) -> str:
    """Return "" once every standby streams, else the first that does not."""
    states = {one.name: one.state for one in await standby_views(connection)}
    return next((f"{name} is {states.get(name)}" for name in standbys if states.get(name) != "streaming"), "")


async def make_data(
    lab: Lab,
    spec: ClusterSpec,
    words: Credentials,
    servers: Mapping[str, PostgresServer],
    timeout_s: float,
    *,
    roles: Sequence[str] = (),
) -> None:
    """Give every node its copy of the seed; the primary's is first, so that roles are made during the others'.

    roles: further SQL statements that make roles, run with the others. Raises ClusterError.
    """
    primary = servers[spec.primary().name]
    seed = await the_seed(lab, spec, primary.install)
    await copy_seed(lab, seed, primary.data)
    others = (server.data for server in servers.values() if server is not primary)
    await asyncio.gather(
        _create_roles(lab, spec, words, primary, timeout_s, roles),
        *(copy_seed(lab, seed, data) for data in others),
    )


async def the_seed(lab: Lab, spec: ClusterSpec, install: PostgresInstall) -> Path:
    """Return the seed for an install, made in the lab when the cache has none."""
    return cached_seed(install, checksums=spec.checksums) or await make_seed(
        lab, install, checksums=spec.checksums
    )


async def _create_roles(
    lab: Lab,
    spec: ClusterSpec,
    words: Credentials,
    server: PostgresServer,
    timeout_s: float,
    roles: Sequence[str],
) -> None:
    """Give the superuser its password, make the other roles and the database, before any server listens.

    In single-user mode: no window in which a password is not asked for, and none in argv.
    """
    there = spec.database == SUPERUSER  # a database of that name is there always
    how = (
        f"ALTER DATABASE {SUPERUSER} OWNER TO"
        if there
        else f"CREATE DATABASE {identifier(spec.database)} OWNER"
    )
    statements = [
        f"ALTER ROLE {SUPERUSER} {password(words, SUPERUSER)}",
        f"CREATE ROLE {REPLICATOR} REPLICATION LOGIN {password(words, REPLICATOR)}",
        f"CREATE ROLE {identifier(spec.user)} LOGIN {password(words, spec.user)}",
        f"{how} {identifier(spec.user)}",
        *roles,
    ]
    await run_single_user(lab, server.install, server.data, statements, timeout_s)


def password(words: Credentials, user: str) -> str:
    """Return the clause that gives a role its password, which is not in it."""
    return f"PASSWORD {literal(verifier(words.password(user)))}"


def literal(text: str) -> str:
    """Return text as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def identifier(text: str) -> str:
    """Return text as an SQL name."""
    return '"' + text.replace('"', '""') + '"'
