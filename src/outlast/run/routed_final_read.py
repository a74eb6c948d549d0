"""The final read over the loads' own routes, in their own protocol, where a cluster has no PostgreSQL servers."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from outlast.clock import now_ns
from outlast.errors import ClusterError
from outlast.history.history import FinalRead, NodeContent
from outlast.history.op import I64
from outlast.hosts.base import Host, Program
from outlast.pace import scaled_deadline_ns
from outlast.systems.base import Cluster, HasContents, HasPrimary
from outlast.workloads.config import WorkerConfig
from outlast.workloads.protocol_registry import READERS

READ_TIMEOUT_S: Final = 120.0
READ_ATTEMPTS: Final = 3
CATCH_UP_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.05


class RoutedFinalRead:
    """Reads everything back over the loads' own routes, and compares what the nodes hold.

    configs: of the loads. host: where to read from. folder: for what is read, below the folder of runs. Each node is
    compared once it has applied all that was committed when the reading had ended.
    """

    def __init__(self, cluster: Cluster, configs: Sequence[WorkerConfig], host: Host, folder: Path) -> None:
        self._cluster = cluster
        self._configs = configs
        self._host = host
        self._folder = folder

    async def read(self) -> FinalRead:
        """Read everything; see FinalReader. Raises ClusterError when it cannot be read, or nobody leads."""
        cluster = self._cluster
        values: dict[str, I64] = {}
        for config in self._configs:
            if (config.workload, config.transport) in READERS:
                values |= await self._values(config)
        primary = await cluster.primary() if isinstance(cluster, HasPrimary) else None
        if primary is None:
            raise ClusterError("no member leads after everything was healed")
        if not isinstance(cluster, HasContents):
            return FinalRead(primary, 0, 0, now_ns(), values, ())
        position = await cluster.position()
        names = [node.name for node in cluster.spec.nodes]
        contents = await asyncio.gather(*(_content(cluster, name, position) for name in names))
        return FinalRead(
            primary,
            0,
            position,
            now_ns(),
            values,
            tuple(content for content in contents if content is not None),
            tuple(name for name, content in zip(names, contents, strict=True) if content is None),
        )

    async def _values(self, config: WorkerConfig) -> Mapping[str, I64]:
        """Return what a load has left, read by a program on the clients' host."""
        host = self._host
        path, out = host.folder / f"{config.name}-read.json", self._folder / f"{config.name}-read.npz"
        config.write(path)
        argv = [sys.executable, "-m", "outlast.workloads.read_back", str(path), str(out)]
        trouble = ""
        for _ in range(READ_ATTEMPTS):
            try:
                done = await host.run(Program("read_back", argv, "log/read.log"), timeout_s=READ_TIMEOUT_S)
            except TimeoutError as error:
                trouble = str(error)
                continue
            if done.code == 0:
                with np.load(out, allow_pickle=False) as stored:
                    values = {name: stored[name].astype(np.int64) for name in stored.files}
                out.unlink()
                return values
            trouble = done.stderr.strip()
        raise ClusterError(f"what {config.name} wrote cannot be read back: {trouble}")


async def _content(cluster: HasContents, node: str, position: int) -> NodeContent | None:
    deadline = scaled_deadline_ns(CATCH_UP_TIMEOUT_S)
    while now_ns() < deadline:
        content = await cluster.content(node, position)
        if content is not None:
            return content
        await asyncio.sleep(POLL_S)
    return None
