"""The final read of a cluster that is not ours: over its own protocol, from here."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from outlast.clock import now_ns
from outlast.errors import ClusterError
from outlast.history.history import FinalRead
from outlast.pace import scaled
from outlast.workloads.config import WorkerConfig
from outlast.workloads.read_back import read_back

READ_TIMEOUT_S: Final = 600.0
READ_ATTEMPTS: Final = 3
PAUSE_S: Final = 0.2


class ExternalFinalRead:
    """Reads back what a load wrote. config: the load's. No node can be asked by itself, so none is compared."""

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config

    async def read(self) -> FinalRead:
        """Read everything; see FinalReader. Raises ClusterError when it cannot be read."""
        config = replace(self._config, name="read")
        trouble = ""
        for _ in range(READ_ATTEMPTS):
            try:
                async with asyncio.timeout(scaled(READ_TIMEOUT_S)):
                    return FinalRead("", 0, 0, now_ns(), await read_back(config), ())
            except (OSError, TimeoutError) as error:
                trouble = str(error) or "no answer in time"
                await asyncio.sleep(PAUSE_S)
        raise ClusterError(f"{config.target} cannot be read back: {trouble}")
