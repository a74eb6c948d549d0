"""One PostgreSQL server on a host, run without a manager: start, stop, base backup, rewind, promote.

Managers of their own (Patroni, pg_auto_failover) do these things themselves; plain streaming replication,
Pgpool-II and tests use this.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from psycopg.conninfo import make_conninfo

from outlast.errors import ClusterError
from outlast.hosts.base import Completed, Host, Program
from outlast.pace import scaled
from outlast.systems.credentials import PASSFILE
from outlast.systems.postgres.install import PostgresInstall
from outlast.systems.postgres.seed import POSTGRES_UID, SUPERUSER

SOCKET_DIR: Final = "/run"
NODE_SETTING: Final = "outlast.node"
"""A setting of our own that holds the node's name, so that a reply can say which node gave it."""

LOG: Final = "log/postgresql.log"
"""Where a server's own output goes: its log, unless it has a logging collector."""


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A server whose data lies in ``data`` below its host's folder.

    port: where it listens on the host's address. Passwords are read from the host's passfile, never passed in argv.
    """

    host: Host
    install: PostgresInstall
    port: int = 5432

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.host.folder / "data"

    @property
    def passfile(self) -> Path:
        """The host's own copy of the passwords."""
        return self.host.folder / PASSFILE

    async def configure(self, parameters: Mapping[str, str], hba: Sequence[str]) -> None:
        """Write postgresql.conf, these parameters and no others, and pg_hba.conf; takes effect at start."""
        settings = {
            "listen_addresses": "*",
            "port": str(self.port),
            "unix_socket_directories": SOCKET_DIR,
            **parameters,
        }
        lines = "".join(f"{key} = {quote(value)}\n" for key, value in settings.items())
        await self.host.put("data/postgresql.conf", lines.encode())
        await self.host.put("data/pg_hba.conf", "".join(f"{line}\n" for line in hba).encode())

    async def become_standby_of(self, primary: str, user: str, slot: str) -> None:
        """Add to the configuration, before the start, that this server follows the one at address primary."""
        lines = {
            "primary_conninfo": conninfo(
                primary, self.port, user, passfile=str(self.passfile), application_name=self.host.name
            ),
            "primary_slot_name": slot,
            "recovery_target_timeline": "latest",
        }
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{key} = {quote(value)}\n" for key, value in lines.items())
        await self.host.put("data/standby.signal", b"")

    async def start(self, timeout_s: float) -> None:
        """Start the server and wait until it accepts connections, as a standby also.

        Raises ClusterError with its last log lines when it does not in time.
        """
        await self._forget_pid()
        # pg_ctl hands both paths to a shell, so they are given from the host's folder, where programs start.
        done = await self._run("pg_ctl", "start", "-D", "data", "-l", LOG, "-w",
                               "-t", str(max(1, int(scaled(timeout_s)))), timeout_s=timeout_s + 5)  # fmt: skip
        if done.code != 0:
            raise ClusterError(
                f"PostgreSQL did not start on {self.host.name}: {done.stderr.strip()}\n"
                f"{last_lines(log_file(self.host.folder))}"
            )

    async def stop(self, timeout_s: float, mode: str = "fast") -> None:
        """Stop the server; mode as in pg_ctl: smart, fast or immediate. Raises ClusterError when it won't."""
        done = await self._run("pg_ctl", "stop", "-D", str(self.data), "-m", mode, "-w", "-t",
                               str(max(1, int(scaled(timeout_s)))), timeout_s=timeout_s + 5)  # fmt: skip
        if done.code != 0 and await self.pids():
            raise ClusterError(
                f"PostgreSQL did not stop on {self.host.name} in {scaled(timeout_s):g} s: {done.stderr.strip()}"
            )

    async def promote(self, timeout_s: float) -> None:
        """Make a standby the primary of a new timeline. Raises ClusterError when it does not happen."""
        done = await self._run("pg_ctl", "promote", "-D", str(self.data), "-w", "-t",
                               str(max(1, int(scaled(timeout_s)))), timeout_s=timeout_s + 5)  # fmt: skip
        if done.code != 0:
            raise ClusterError(f"promotion failed on {self.host.name}: {done.stderr.strip()}")

    async def reload(self) -> None:
        """Have a running server read its files again. Raises ClusterError when none runs."""
        done = await self._run("pg_ctl", "reload", "-D", str(self.data), timeout_s=10.0)
        if done.code != 0:
            raise ClusterError(f"{self.host.name} did not reload: {done.stderr.strip()}")

    async def base_backup(self, primary: str, user: str, timeout_s: float) -> None:
        """Copy the server at address primary in place of what this stopped one held.

        The old data go only once the copy is whole. Raises ClusterError when it fails.
        """
        new = self.data.with_name("data.new")
        await asyncio.to_thread(shutil.rmtree, new, ignore_errors=True)
        done = await self._run("pg_basebackup", "-D", str(new), "-d", conninfo(primary, self.port, user),
                               "-X", "stream", "-c", "fast", "--no-sync", timeout_s=timeout_s)  # fmt: skip
        if done.code != 0:
            raise ClusterError(f"the base backup for {self.host.name} failed: {done.stderr.strip()}")
        await asyncio.to_thread(shutil.rmtree, self.data, ignore_errors=True)
        new.rename(self.data)

    async def rewind(self, primary: str, user: str, timeout_s: float) -> str:
        """Take back what this stopped server wrote after its history left that of primary; returns its words.

        Its configuration is then primary's. Raises ClusterError when pg_rewind refuses.
        """
        await self._forget_pid()
        done = await self._run("pg_rewind", "-D", str(self.data),
                               f"--source-server={conninfo(primary, self.port, user, dbname='postgres')}",
                               timeout_s=timeout_s)  # fmt: skip
        if done.code != 0:
            raise ClusterError(f"pg_rewind on {self.host.name} failed: {done.stderr.strip()}")
        return done.stderr.strip()

    async def ask(self, address: str, sql: str, timeout_s: float, user: str = SUPERUSER) -> str:
        """Return what the server at address answers to sql, asked from this host over the lab's wires.

        Raises ClusterError when it does not answer.
        """
        done = await self._run("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql, "-d",
                               conninfo(address, self.port, user, dbname="postgres"),
                               timeout_s=timeout_s)  # fmt: skip
        if done.code != 0:
            raise ClusterError(f"{address} did not answer {self.host.name}: {done.stderr.strip()}")
        return done.stdout.strip()

    async def control_data(self) -> dict[str, str]:
        """Return what pg_controldata says of the data. Raises ClusterError when there are none to read."""
        done = await self._run("pg_controldata", "-D", str(self.data), timeout_s=10.0)
        if done.code != 0:
            raise ClusterError(f"the data of {self.host.name} cannot be read: {done.stderr.strip()}")
        pairs = (line.split(":", 1) for line in done.stdout.splitlines() if ":" in line)
        return {key.strip(): value.strip() for key, value in pairs}

    @property
    def is_standby(self) -> bool:
        """Whether its data say that it starts, or runs, as a standby."""
        return (self.data / "standby.signal").exists()

    @property
    def is_ready(self) -> bool:
        """Whether a server that runs says in its lock file that it takes connections."""
        try:
            return "ready" in (self.data / "postmaster.pid").read_text().splitlines()[-1]
        except (OSError, IndexError):
            return False

    async def pids(self) -> list[int]:
        """Return the pid of the postmaster, in the host's namespace; [] when it does not run."""
        return await postmaster_pids(self.host, self.data)

    async def _forget_pid(self) -> None:
        """Remove the lock file of a server that does not run: a program that has its pid now would pass for it."""
        if not await self.pids():
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    async def kill(self) -> None:
        """End the postmaster and all of its processes at once."""
        await self.host.signal(signal.SIGKILL, pids=await self.pids(), tree=True)

    async def _run(self, program: str, *words: str, timeout_s: float) -> Completed:
        return await self.host.run(
            Program(
                program,
                [self.install.program(program), *words],
                LOG,
                env={"PGPASSFILE": str(self.passfile)},
                uid=POSTGRES_UID,
            ),
            timeout_s=timeout_s,
        )


def conninfo(address: str, port: int, user: str, **others: str) -> str:
    """Return a connection string without a password, each value as libpq quotes it. others: further parameters."""
    return make_conninfo("", host=address, port=port, user=user, connect_timeout=5, **others)


def log_file(folder: Path) -> Path:
    """Return the file that the server of a host's folder writes its log to now.

    With ``logging_collector`` that is the file of its choice, which it names in ``current_logfiles``. Source:
    PostgreSQL manual, pg_current_logfile().
    """
    data = folder / "data"
    try:
        written = dict(line.split(" ", 1) for line in (data / "current_logfiles").read_text().splitlines())
    except (OSError, ValueError):
        return folder / LOG
    path = written.get("stderr") or next(iter(written.values()), None)
    return data / path if path else folder / LOG


def quote(value: str) -> str:
    """Return a value as postgresql.conf takes it."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


async def postmaster_pids(host: Host, data: Path) -> list[int]:
    """Return the postmaster's pid from its lock file when that process lives; else []."""
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return []
    # After a host's restart the number may be another program's.
    running = await host.processes()
    return [one.pid for one in running if one.pid == pid and one.name == "postgres" and one.state != "Z"]


def last_lines(path: Path, lines: int = 8, bytes_max: int = 16384) -> str:
    """Return the last lines of a log, for an error message; "" when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - bytes_max))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
