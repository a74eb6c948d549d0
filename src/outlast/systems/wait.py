"""Bounded waits that say what they waited for and what they last saw."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from outlast.clock import deadline_ns, now_ns, seconds_between
from outlast.errors import ClusterError
from outlast.pace import scaled
from outlast.systems.base import Cluster, HasLogs
from outlast.systems.postgres.server import last_lines

POLL_S = 0.05

Unmet = Callable[[], Awaitable[str]]
"""Says in a few words what a condition still lacks; "" once it is met."""


async def wait_for(unmet: Unmet, timeout_s: float, what: str) -> float:
    """Wait until unmet() returns "" and return the seconds it took.

    unmet: says what is still missing. timeout_s: the longest wait, in seconds on a quiet machine (outlast.pace). what:
    what is waited for, as it reads in the error. Raises ClusterError at the time-out, with what was missing last.
    """
    start = now_ns()
    bound_s = scaled(timeout_s)
    deadline = deadline_ns(bound_s)
    while last := await unmet():
        if now_ns() > deadline:
            raise ClusterError(f"waited {bound_s:g} s for {what}; last seen: {last}")
        await asyncio.sleep(POLL_S)
    return seconds_between(start, now_ns())


async def wait_for_with_logs(
    unmet: Unmet,
    timeout_s: float,
    what: str,
    cluster: HasLogs,
    suspects: Iterable[str],
) -> None:
    """Wait as wait_for does; the error also has the last log lines of suspects, the nodes that may be at fault."""
    try:
        await wait_for(unmet, timeout_s, what)
    except ClusterError as error:
        logs = "".join(
            f"\n--- {name} on {suspect}\n{last_lines(path)}"
            for suspect in suspects
            for name, path in cluster.log_files(suspect).items()
        )
        raise ClusterError(error.message + logs) from error


async def wait_until_ready(cluster: Cluster, timeout_s: float) -> float:
    """Wait until the cluster's view is ready; returns the seconds it took.

    timeout_s: the longest wait, in seconds. Raises ClusterError at the time-out.
    """

    async def unmet() -> str:
        return (await cluster.view()).missing

    return await wait_for(unmet, timeout_s, f"cluster {cluster.spec.name} to be whole")
