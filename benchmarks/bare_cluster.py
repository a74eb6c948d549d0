"""The peer of ``bench bringup``: streaming replication with nothing around it.

What a short shell script would do: copy the same initdb seed, start the primary, take base backups of it all at
once, start the standbys, look until all of them stream. Loopback, trust, no manager, no etcd, no namespaces, no
passwords. fsync, checkpoints and --no-sync copies are those of our own bring-up.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from benchmarks.bare_postgres import free_port, unprivileged
from outlast.systems.postgres.install import PostgresInstall

_SETTINGS = (
    "listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\nwal_level = replica\nmax_wal_senders = 12\n"
    "max_connections = 100\nshared_buffers = 64MB\nwal_log_hints = on\nwal_keep_size = 128MB\nfsync = on\n"
)
_TRUST = "host all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n"
_STREAM_TIMEOUT_S = 60.0
_POLL_S = 0.02


class BareCluster:
    """A primary and standbys below folder."""

    def __init__(self, folder: Path, install: PostgresInstall, seed: Path, nodes: int) -> None:
        self._folder = folder
        self._install = install
        self._seed = seed
        self._data = [folder / f"node-{number}" for number in range(1, nodes + 1)]
        self._ports = [free_port() for _ in range(nodes)]

    def up(self) -> None:
        """From nothing to all streaming."""
        self._folder.mkdir()
        primary, *standbys = self._data
        subprocess.run(["cp", "-a", "--reflink=auto", "--sparse=always", self._seed, primary], check=True)
        (primary / "postgresql.conf").write_text(_SETTINGS)
        (primary / "pg_hba.conf").write_text(_TRUST)
        self._wait([self._start(primary, self._ports[0])])
        self._wait([self._backup(data) for data in standbys])
        self._wait([self._start(*one) for one in zip(standbys, self._ports[1:], strict=True)])
        self._wait_for_streaming(len(standbys))

    def down(self) -> None:
        """End all servers at once and remove their files."""
        self._wait([self._spawn("pg_ctl", "stop", "-D", data, "-m", "immediate") for data in self._data])
        shutil.rmtree(self._folder)

    def _start(self, data: Path, port: int) -> subprocess.Popen[bytes]:
        return self._spawn("pg_ctl", "start", "-w", "-D", data, "-l", f"{data}.log", "-o", f"-p {port}")

    def _backup(self, data: Path) -> subprocess.Popen[bytes]:
        source = f"host=127.0.0.1 port={self._ports[0]} user=postgres application_name={data.name}"
        return self._spawn(
            "pg_basebackup", "-D", data, "-d", source, "-X", "stream", "-c", "fast", "-R", "--no-sync"
        )

    def _wait_for_streaming(self, standbys: int) -> None:
        deadline = time.monotonic() + _STREAM_TIMEOUT_S
        query = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
        with psycopg.connect(
            f"host=127.0.0.1 port={self._ports[0]} user=postgres", autocommit=True
        ) as connection:
            while (row := connection.execute(query).fetchone()) != (standbys,):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"of {standbys} standbys only {row} stream")
                time.sleep(_POLL_S)

    def _spawn(self, program: str, *words: str | Path) -> subprocess.Popen[bytes]:
        command = unprivileged(self._install.program(program), *words)
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)

    @staticmethod
    def _wait(processes: list[subprocess.Popen[bytes]]) -> None:
        for process in processes:
            if process.wait(timeout=60) != 0:
                raise RuntimeError(f"{process.args!r} ended with {process.returncode}")


@contextmanager
def bare_cluster(folder: Path, install: PostgresInstall, seed: Path, nodes: int) -> Iterator[BareCluster]:
    """Yield a cluster that is not up yet; whatever of it is left after the block is removed."""
    cluster = BareCluster(folder, install, seed, nodes)
    try:
        yield cluster
    finally:
        if folder.exists():
            cluster.down()
