"""How a server comes to follow a primary without a manager: told anew while it runs, or rejoined from a stop.

    stopped ─▶ its history has left the primary's? ─▶ pg_rewind ─▶ refused? ─▶ base backup ─▶ standby ─▶ started

A former primary never starts before it has become a standby. Source: PostgreSQL manual, pg_rewind and "Standby
Server Operation".
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

from outlast.errors import ClusterError
from outlast.files import exclusive_lock
from outlast.systems.postgres.seed import SUPERUSER
from outlast.systems.postgres.server import PostgresServer
from outlast.systems.postgres.settings import REPLICATOR
from outlast.systems.wait import wait_for

ASK_TIMEOUT_S: Final = 10.0
REWIND_TIMEOUT_S: Final = 60.0
BACKUP_TIMEOUT_S: Final = 300.0
START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 30.0
STREAM_TIMEOUT_S: Final = 10.0
REACH_TIMEOUT_S: Final = 10.0
LOCK: Final = "rebuild.lock"

_SENDER: Final = "SELECT sender_host FROM pg_stat_wal_receiver WHERE status = 'streaming'"
_STREAMS: Final = "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """A server and what its configuration files say: its parameters and the lines of its pg_hba.conf."""

    server: PostgresServer
    parameters: Mapping[str, str]
    hba: Sequence[str]

    @property
    def name(self) -> str:
        """Its host's name."""
        return self.server.host.name


def slot_name(node: str) -> str:
    """Return a node's replication slot: PostgreSQL takes lower-case letters, digits and underscores."""
    return re.sub(r"[^a-z0-9_]", "_", node.lower())


async def configure(config: ServerConfig, primary: str | None) -> None:
    """Write a server's files: as the standby of the server at address primary, or as one on its own."""
    await config.server.configure(config.parameters, config.hba)
    if primary is not None:
        await config.server.become_standby_of(primary, REPLICATOR, slot_name(config.name))


async def repoint(config: ServerConfig, primary: str) -> None:
    """Have a running standby follow the server at address primary. Raises ClusterError."""
    await prepare_primary(config, primary)
    await configure(config, primary)
    await config.server.reload()


async def prepare_primary(config: ServerConfig, primary: str) -> None:
    """Have the server at address primary keep a slot for this one, and finish what its promotion left to do.

    The checkpoint lets pg_rewind see the new timeline, which before PostgreSQL 16 it took from the control file.
    Raises ClusterError when it does not answer this host, or is no primary.
    """
    slot = slot_name(config.name)
    answer = await config.server.ask(
        primary,
        f"SELECT pg_create_physical_replication_slot('{slot}', true) WHERE NOT pg_is_in_recovery() "
        f"AND NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '{slot}'); "
        "SELECT pg_is_in_recovery()",
        ASK_TIMEOUT_S,
    )
    if answer.splitlines()[-1:] != ["f"]:
        raise ClusterError(f"the server at {primary}, which {config.name} is to follow, is no primary")


async def rejoin(config: ServerConfig, primary: str, say: Say) -> None:
    """Bring a server back as a standby of the one at address primary, whatever it was and wrote before.

    say: is told how. Its data are thrown away only when pg_rewind refuses, and then only for a whole copy. Somebody
    else's rejoin of the same server is waited for. Raises ClusterError when the primary does not answer or the server
    does not stream in the end.
    """
    async with _alone(config):
        await _reaches(config, primary)
        if await _follows(config, primary):
            return
        await _rejoin(config, primary, say)


async def _rejoin(config: ServerConfig, primary: str, say: Say) -> None:
    server = config.server
    if await server.pids():
        await server.stop(STOP_TIMEOUT_S)
    if not server.is_standby:
        await _take_back(config, primary, say)
    await configure(config, primary)
    await asyncio.to_thread(_drop_slots, server)
    try:
        await server.start(START_TIMEOUT_S)
        await streams(config)
    except ClusterError as error:
        last = error.message.strip().splitlines()[-1]
        say(f"{config.name} does not follow as it is ({last})")
        if await server.pids():
            await server.stop(STOP_TIMEOUT_S, "immediate")
        await _take_back(config, primary, say)
        await configure(config, primary)
        await server.start(START_TIMEOUT_S)
        await streams(config)
    say(f"{config.name} streams from {primary}")


async def reseed(config: ServerConfig, primary: str, say: Say) -> None:
    """Throw a server's data away and have it follow a fresh copy of the one at address primary."""
    server = config.server
    async with _alone(config):
        await _reaches(config, primary)
        if await server.pids():
            await server.stop(STOP_TIMEOUT_S)
        await _copy(config, primary, say)
        await configure(config, primary)
        await server.start(START_TIMEOUT_S)
        await streams(config)


def _alone(config: ServerConfig) -> AbstractAsyncContextManager[None]:
    """Be the only one who rebuilds this server: its agent and the tool may be told to at the same time."""
    place = config.server.host.folder / LOCK
    return exclusive_lock(place, BACKUP_TIMEOUT_S, f"{config.name} is being rebuilt by somebody else")


async def _follows(config: ServerConfig, primary: str) -> bool:
    """Return whether a running server streams from the one at address primary already."""
    if not await config.server.pids() or not config.server.is_standby:
        return False
    try:
        return await config.server.ask("127.0.0.1", _SENDER, ASK_TIMEOUT_S) == primary
    except (ClusterError, TimeoutError):
        return False


async def _reaches(config: ServerConfig, primary: str) -> None:
    """Wait until the primary answers this server's host and is ready for it: a cable just plugged in takes a moment."""

    async def unmet() -> str:
        try:
            await prepare_primary(config, primary)
        except ClusterError as error:
            return error.message
        return ""

    await wait_for(unmet, REACH_TIMEOUT_S, f"{config.name} to reach {primary}")


async def _take_back(config: ServerConfig, primary: str, say: Say) -> None:
    """Rewind a stopped server to where its history left the primary's, else copy the primary."""
    await config.server.ask(primary, "CHECKPOINT", REWIND_TIMEOUT_S)
    try:
        words = await config.server.rewind(primary, SUPERUSER, REWIND_TIMEOUT_S)
        say(f"{config.name}: pg_rewind says: {words.splitlines()[-1] if words else 'done'}")
    except (ClusterError, TimeoutError) as error:
        say(f"{config.name} cannot be rewound, so it is copied anew: {error}")
        await _copy(config, primary, say)


async def _copy(config: ServerConfig, primary: str, say: Say) -> None:
    await config.server.base_backup(primary, REPLICATOR, BACKUP_TIMEOUT_S)
    say(f"{config.name} holds a fresh copy of {primary}")


async def streams(config: ServerConfig) -> None:
    """Wait until a server streams: its own word, over its own loopback. Raises ClusterError."""

    async def unmet() -> str:
        try:
            answer = await config.server.ask("127.0.0.1", _STREAMS, ASK_TIMEOUT_S)
        except ClusterError as error:
            return error.message
        return "" if answer == "1" else "it receives nothing"

    await wait_for(unmet, STREAM_TIMEOUT_S, f"{config.name} to stream")


def _drop_slots(server: PostgresServer) -> None:
    """Remove a stopped server's slots: nobody follows it any more, and they would keep WAL for ever."""
    for slot in (server.data / "pg_replslot").glob("*"):
        shutil.rmtree(slot, ignore_errors=True)
