"""Has somebody in charge of a system that has no manager, while a drill, a check or a soak runs on it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from outlast.systems.base import Cluster, OperatedByHand


@contextlib.asynccontextmanager
async def operator(cluster: Cluster, say: Callable[[str], None]) -> AsyncIterator[None]:
    """Let an operator act for the length of a with block; where a manager does, nothing happens. say: told of acts."""
    if not isinstance(cluster, OperatedByHand):
        yield
        return
    watch = asyncio.create_task(cluster.operate(say))
    try:
        yield
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
