"""A PostgreSQL cluster that somebody else runs: it can be asked, and nothing is broken in it."""

from __future__ import annotations

from dataclasses import replace
from types import TracebackType
from typing import Any, NoReturn

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from outlast.api.acked_writes import READ_TIMEOUT_S
from outlast.api.base import ClusterHandle, Limits
from outlast.api.connection_info import ConnectionInfo
from outlast.api.loop_thread import LoopThread
from outlast.clusters.foreign_cluster import HIDDEN, ForeignCluster, look
from outlast.errors import ClusterError, ConfigError, UnavailableError
from outlast.systems.base import ClusterView
from outlast.systems.postgres.dsn import per_host
from outlast.systems.postgres.views import Connection

FAILOVER_S = 60.0
_OWN = ("host", "hostaddr", "port", "dbname", "user", "passfile", "target_session_attrs")


class DsnCluster(ClusterHandle):
    """A cluster behind a libpq connection string, which may name several hosts and holds no password."""

    def __init__(self, dsn: str, limits: Limits) -> None:
        super().__init__(LoopThread(), "the cluster", limits)
        try:
            given = {key: str(value) for key, value in conninfo_to_dict(dsn).items()}
            hosts = per_host(given)
        except (psycopg.Error, ValueError) as error:
            self._runner.close()
            raise ConfigError(f"not a connection string: {error}", key="dsn") from error
        if "password" in given:
            self._runner.close()
            raise ConfigError("contains a password", key="dsn", hint="put it into a passfile")
        self._dsn = dsn
        self._endpoints = ConnectionInfo(
            {
                f"{one.get('host', one.get('hostaddr', ''))}:{one.get('port', '5432')}": (
                    one.get("host", one.get("hostaddr", "")),
                    int(one.get("port", "5432")),
                )
                for one in hosts
            },
            given.get("dbname", given.get("user", "postgres")),
            given.get("user", "postgres"),
            given.get("passfile"),
            {key: value for key, value in given.items() if key not in _OWN},
        )

    def __enter__(self) -> DsnCluster:
        self.view()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        self._runner.close()

    @property
    def endpoints(self) -> ConnectionInfo:
        """Where its servers are."""
        return self._endpoints

    @property
    def failover_timeout_s(self) -> float:
        """How long a new primary is waited for; nothing is known of whoever manages it."""
        return self.limits.failover_s or FAILOVER_S

    async def _view(self) -> ClusterView:
        return _to_view(await look(self._dsn))

    async def _connect(self) -> Connection:
        timeout = f"-c statement_timeout={int(READ_TIMEOUT_S * 1000)}"
        text = make_conninfo(self._endpoints.dsn("primary"), options=timeout)
        try:
            return await psycopg.AsyncConnection.connect(text, autocommit=True)
        except psycopg.Error as error:
            raise ClusterError(f"no primary can be reached: {str(error).strip()}") from error

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise UnavailableError(
            "this cluster was not made by Outlast, which will not break, move or load anything in it",
            hint="leave out hosts and DSN to get a new cluster, or name a lab that is up with --ha-lab",
        )

    inject = switchover = failover = restart = history = logs = _refuse


def _to_view(found: ForeignCluster) -> ClusterView:
    """Return what a look amounts to for an application's own user, to whom servers may not tell how they replicate.

    A standby that was asked and answers is well as far as can be seen. One of which a primary only says that there is
    one is left out: it is one of those that were asked, or a stranger; nothing can be waited for that is never shown.
    """
    told = {f"{node.name} is {HIDDEN}" for node in found.nodes if node.state == HIDDEN}
    nodes = tuple(
        replace(node, healthy=True) if node.state == HIDDEN else node
        for node in found.nodes
        if node.state != HIDDEN or node.port
    )
    late = next((f"{node.name} is {node.state}" for node in nodes if not node.healthy), "")
    missing = ("" if found.missing in told else found.missing) or late
    return ClusterView(not missing, found.primary, nodes, missing)
