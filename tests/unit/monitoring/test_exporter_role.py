"""The exporters' role: its password never stands in a statement, which pg_stat_statements and logs would keep."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from psycopg import pq

from outlast.monitoring.exporter_service import ROLE, _make_role
from outlast.systems import credentials


class _Connection:
    """Keeps what it is told to execute. encrypt_password: libpq's own, which asks no server for this method."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.pgconn = SimpleNamespace(encrypt_password=pq.PGconn.connect_start(b"").encrypt_password)

    async def execute(self, statement: bytes | str, _values: object = None) -> SimpleNamespace:
        self.said.append(statement if isinstance(statement, str) else statement.decode())

        async def nobody() -> None:
            return None

        return SimpleNamespace(fetchone=nobody)

    async def close(self) -> None:
        """Do nothing."""


class _Cluster:
    def __init__(self, folder: Path, connection: _Connection) -> None:
        self.lab = SimpleNamespace(folder=folder)
        self._connection = connection

    async def primary(self) -> str:
        return "pg-node-1"

    async def connect(self, *_: object, **__: object) -> _Connection:
        return self._connection


async def test_the_exporters_password_reaches_the_server_only_hashed(tmp_path: Path) -> None:
    credentials.generate(tmp_path, ("postgres",))
    connection = _Connection()
    password = await _make_role(_Cluster(tmp_path, connection))  # type: ignore[arg-type]
    assert any(f"ALTER ROLE {ROLE} PASSWORD 'SCRAM-SHA-256$" in said for said in connection.said)
    assert not any(password in said for said in connection.said)
