"""Bounded waits that say what they waited for and what they last saw."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from outlast.clock import deadline_ns, now_ns, seconds_between
from outlast.errors import ClusterError
from outlast.systems.base import Cluster, HasLogs
from outlast.systems.postgres.server import last_lines

POLL_S = 0.05


async def until(missing: Callable[[], Awaitable[str]], timeout_s: float, what: str) -> float:
    """Wait until missing() returns "" and return the seconds it took.

    missing says in a few words what is not so yet. Raises ClusterError with its last words at the time-out.
    """
    start = now_ns()
    deadline = deadline_ns(timeout_s)
    while last := await missing():
        if now_ns() > deadline:
            raise ClusterError(f"waited {timeout_s:g} s for {what}; last seen: {last}")
        await asyncio.sleep(POLL_S)
    return seconds_between(start, now_ns())


async def until_or_logs(
    missing: Callable[[], Awaitable[str]],
    timeout_s: float,
    what: str,
    cluster: HasLogs,
    suspects: Iterable[str],
) -> None:
    """Wait as until does; the error also has the last lines of the logs of the nodes that are suspects."""
    try:
        await until(missing, timeout_s, what)
    except ClusterError as error:
        words = "".join(
            f"\n--- {name} on {suspect}\n{last_lines(path)}"
            for suspect in suspects
            for name, path in cluster.log_files(suspect).items()
        )
        raise ClusterError(error.message + words) from error


async def until_whole(cluster: Cluster, timeout_s: float) -> float:
    """Wait until the cluster's view is ready; returns the seconds it took. Raises ClusterError."""

    async def missing() -> str:
        return (await cluster.view()).missing

    return await until(missing, timeout_s, f"cluster {cluster.spec.name} to be whole")
