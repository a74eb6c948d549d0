"""Whether clients are served: a balancer that accepts connections and refuses every client serves nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

import psycopg

from outlast.systems.base import Cluster
from outlast.systems.postgres import views

QUERY_TIMEOUT_S: Final = 2.0


async def answers_query(cluster: Cluster, ways: Iterable[tuple[str, str]]) -> bool:
    """Return whether a query of the cluster's user is answered through a balancer: only then is it healthy.

    ways: (name of a published port, database), tried in turn until one answers; each within QUERY_TIMEOUT_S.
    """
    user = cluster.spec.user
    for name, database in ways:
        port = cluster.lab.published.get(name)
        if port is None:
            continue
        try:
            async with asyncio.timeout(QUERY_TIMEOUT_S + 0.5):
                connection = await views.connect(
                    port.port,
                    database=database,
                    user=user,
                    password=cluster.credentials.password(user),
                    timeout_s=QUERY_TIMEOUT_S,
                )
                try:
                    await views.within(connection, connection.execute("SELECT 1"), QUERY_TIMEOUT_S)
                    return True
                finally:
                    await connection.close()
        except (psycopg.Error, OSError, TimeoutError):
            continue
    return False
