"""Debian's prometheus-postgres-exporter, one for each node, with our own queries and nothing else.

They run on the exporter's host, so that a node's fault does not take its exporter with it, and are asked seldom: the
figures that alerts rest on come from our exporter. Source: postgres_exporter's README, "Adding new metrics via a
config file".
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from holdfast.hosts.base import Host, Program
from holdfast.monitoring.exporter.config import Target
from holdfast.monitoring.programs import need
from holdfast.monitoring.prometheus import GO_ENV
from holdfast.systems.postgres.seed import POSTGRES_UID

FIRST_PORT: Final = 9200
QUERIES_FILE: Final = "queries.yml"
PASSWORD_FILE: Final = "monitor.password"


def queries() -> str:
    """Return our queries, as postgres_exporter reads them."""
    return (files("holdfast.monitoring") / "rules" / QUERIES_FILE).read_text()


async def start(host: Host, node: Target, number: int, database: str, user: str, password: str) -> None:
    """Start the exporter of one node at FIRST_PORT + number. Its password is in a file, never in argv."""
    program = need("postgres_exporter")
    path = await host.put(QUERIES_FILE, queries().encode())
    secret = await host.put(PASSWORD_FILE, password.encode())
    await host.spawn(
        Program(
            f"pg-exporter:{number}",
            [
                program,
                f"--extend.query-path={path}",
                f"--web.listen-address={host.address}:{FIRST_PORT + number}",
                "--disable-default-metrics",
                "--disable-settings-metrics",
                "--no-collector.database",
                "--no-collector.bgwriter",
                "--log.level=error",
            ],
            f"log/postgres_exporter-{node.name}.log",
            env={
                **GO_ENV,
                "GOMAXPROCS": "1",
                "DATA_SOURCE_URI": f"{node.address}:{node.port}/{database}?sslmode=disable&connect_timeout=2",
                "DATA_SOURCE_USER": user,
                "DATA_SOURCE_PASS_FILE": str(secret),
            },
            uid=POSTGRES_UID,
        )
    )
