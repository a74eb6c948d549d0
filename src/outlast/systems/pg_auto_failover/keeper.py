"""pg_autoctl on a host: found, made ready to run, started. The monitor's host has one too."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from outlast.config.cluster import ClusterSpec, NodeSpec
from outlast.errors import ClusterError, UnavailableError
from outlast.hosts.base import Completed, Host, Program
from outlast.systems import programs
from outlast.systems.credentials import PASSFILE
from outlast.systems.pg_auto_failover import fast_forward_fix, settings
from outlast.systems.postgres.install import PostgresInstall, installed
from outlast.systems.postgres.seed import POSTGRES_UID, SUPERUSER
from outlast.systems.postgres.settings import POSTGRES_PORT

PROCESS: Final = "pg_autoctl"
LOG: Final = "log/pg_autoctl.log"
HINT: Final = "make systems, as root; or apt-get install postgresql-15-auto-failover"
COMMAND_TIMEOUT_S: Final = 30.0
_LIBRARY: Final = "pgautofailover.so"


def find(version: int | None) -> tuple[str, PostgresInstall]:
    """Return pg_autoctl and the newest PostgreSQL, of that major version, that has the monitor's extension.

    Raises UnavailableError that says what is missing.
    """
    program = programs.program(PROCESS)
    able = [one for one in installed() if (one.bin_dir.parent / "lib" / _LIBRARY).is_file()]
    for install in able:
        if version in (None, install.major):
            return program, install
    there = ", ".join(str(one.major) for one in able) or "none"
    raise UnavailableError(
        f"no PostgreSQL {version or ''} with pg_auto_failover's extension; with it: {there}".replace(
            "  ", " "
        ),
        hint=HINT,
    )


def monitor_words(spec: ClusterSpec, host: Host) -> list[str]:
    """Return the arguments that make and run the monitor."""
    return [
        "create",
        "monitor",
        *_common_words(host),
        "--hostname",
        settings.monitor(spec).address,
        "--run",
    ]


def node_words(spec: ClusterSpec, node: NodeSpec, host: Host) -> list[str]:
    """Return the arguments that register a data node and run its keeper."""
    return [
        "create",
        "postgres",
        *_common_words(host),
        "--username",
        SUPERUSER,
        "--dbname",
        spec.database,
        "--listen",
        "*",
        "--hostname",
        node.address,
        "--name",
        node.name,
        "--monitor",
        settings.monitor_uri(spec),
        "--candidate-priority",
        str(settings.priority(node)),
        "--replication-quorum",
        "true" if node in settings.voters(spec) else "false",
        "--run",
    ]


def _common_words(host: Host) -> list[str]:
    """Return what monitor and nodes share. pg_hba.conf is ours: pg_autoctl's own lines would trust."""
    return [
        "--pgdata",
        str(host.folder / "data"),
        "--pgport",
        str(POSTGRES_PORT),
        "--skip-pg-hba",
        "--no-ssl",
    ]


def run_words(host: Host) -> list[str]:
    """Return the arguments that run what was created before, as at any boot."""
    return ["run", "--pgdata", str(host.folder / "data")]


async def start(spec: ClusterSpec, host: Host, words: Sequence[str]) -> None:
    """Make a host ready and start pg_autoctl on it; it starts the server by itself."""
    program, install = find(spec.version)
    await _make_ready(host)
    await host.spawn(
        Program(
            PROCESS, [program, *words], LOG, env=await _environment(spec, host, install), uid=POSTGRES_UID
        )
    )


async def command(
    spec: ClusterSpec, host: Host, *words: str, timeout_s: float = COMMAND_TIMEOUT_S
) -> Completed:
    """Run a pg_autoctl command on a host to its end. Raises ClusterError with its words when it fails."""
    program, install = find(spec.version)
    env = {
        **await _environment(spec, host, install),
        "PG_AUTOCTL_DEBUG": "1",
    }  # without it some commands are hidden
    done = await host.run(
        Program(PROCESS, [program, *words], LOG, env=env, uid=POSTGRES_UID), timeout_s=timeout_s
    )
    if done.code != 0:
        said = " ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise ClusterError(f"pg_autoctl {' '.join(words[:3])} failed on {host.name}: {said}")
    return done


def time_out_words(spec: ClusterSpec) -> list[tuple[str, str]]:
    """Return the keepers' time-outs that differ from their own defaults, as its configuration names them."""
    told = settings.pace(spec)
    return [
        (f"timeout.{key}", str(told[key]))
        for key, default in settings.KEEPER_DEFAULTS.items()
        if told[key] != default
    ]


async def set_time_outs(spec: ClusterSpec, host: Host) -> None:
    """Give a host's keeper its time-outs; it reads them again at once."""
    data = str(host.folder / "data")
    words = time_out_words(spec)
    for key, value in words:
        await command(spec, host, "config", "set", key, value, "--pgdata", data)
    if words:
        await command(spec, host, "reload", "--pgdata", data)


def rejoined_by(log: Path) -> list[str]:
    """Return how a node has come back to its cluster after failovers, in order: ``pg_rewind`` or ``pg_basebackup``.

    log: its pg_autoctl.log. A rewind that fails is followed by a base backup without anyone being told.
    """
    try:
        text = log.read_text(errors="replace")
    except OSError:
        return []
    found = re.findall(r"INFO\s+/\S*/(pg_rewind|pg_basebackup)\s", text)
    return [str(word) for word in found]


async def _environment(spec: ClusterSpec, host: Host, install: PostgresInstall) -> dict[str, str]:
    return {
        **dict(spec.environment),
        "PATH": f"{await fast_forward_fix.programs(spec, host, install)}:/usr/bin:/bin",
        "HOME": str(host.folder / "home"),
        "XDG_RUNTIME_DIR": settings.SOCKET_DIR,  # emptied by a boot, as pid files must be
        "PGPASSFILE": str(host.folder / PASSFILE),
        "PGUSER": SUPERUSER,
    }


async def _make_ready(host: Host) -> None:
    """Make what a boot has emptied, and take away what it has made wrong."""
    (host.folder / "home").mkdir(mode=0o700, exist_ok=True)
    await host.run(Program("mkdir", ["mkdir", "-p", settings.SOCKET_DIR], LOG), timeout_s=COMMAND_TIMEOUT_S)
    await _drop_stale_lock(host)


async def _drop_stale_lock(host: Host) -> None:
    """Remove the lock file of a server that the last boot has ended.

    A host numbers its processes anew at each boot, and so few run on it that the old server's number is soon another's:
    pg_autoctl would take itself for the server.
    """
    lock = host.folder / "data/postmaster.pid"
    try:
        pid = int(lock.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return
    if not any(process.pid == pid and process.name == "postgres" for process in await host.processes()):
        lock.unlink(missing_ok=True)
