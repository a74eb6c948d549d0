"""Debian's prometheus-postgres-exporter, one for each node, with our own queries and nothing else.

They run on the exporter's host, so that a node's fault does not take its exporter with it, and are asked seldom: the
figures that alerts rest on come from our exporter. Source: postgres_exporter's README, "Adding new metrics via a
config file".
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from outlast.hosts.base import Host, Program
from outlast.monitoring.exporter.config import ExporterConfig
from outlast.monitoring.prometheus import GO_ENV
from outlast.systems.postgres.seed import POSTGRES_UID
from outlast.systems.programs import program

PROGRAM: Final = "prometheus-postgres-exporter"
PROCESS: Final = PROGRAM[:15]
FIRST_PORT: Final = 9200
QUERIES_FILE: Final = "queries.yml"
PASSWORD_FILE: Final = "monitor.password"


def queries() -> str:
    """Return our queries, as postgres_exporter reads them."""
    return (files("outlast.monitoring") / "rules" / QUERIES_FILE).read_text()


async def start_all(host: Host, told: ExporterConfig, running: set[str]) -> None:
    """Start an exporter for each node, unless they run, the first at FIRST_PORT. The password is in a file."""
    path = await host.put(QUERIES_FILE, queries().encode())
    if PROCESS not in running:
        for number, node in enumerate(told.nodes):
            await host.spawn(
                Program(
                    f"pg-exporter:{number}",
                    [
                        program(PROGRAM),
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
                        "DATA_SOURCE_URI": f"{node.address}:{node.port}/{told.database}"
                        "?sslmode=disable&connect_timeout=2",
                        "DATA_SOURCE_USER": told.user,
                        "DATA_SOURCE_PASS_FILE": str(host.folder / PASSWORD_FILE),
                    },
                    uid=POSTGRES_UID,
                )
            )
