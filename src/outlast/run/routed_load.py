"""Loads that are sent over a route of a system's own instead of libpq: their workers' configs, and their final read."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from outlast.clock import now_ns
from outlast.config import WorkloadSpec
from outlast.errors import ClusterError, UnavailableError
from outlast.history.history import FinalRead, NodeContent
from outlast.history.op import I64
from outlast.hosts.base import Host, Program
from outlast.pace import scaled_deadline_ns
from outlast.systems.base import Cluster, HasContents, HasPrimary, HasRoutes, RouteView
from outlast.workloads.base import Workload
from outlast.workloads.config import WorkerConfig
from outlast.workloads.protocol_client import Routed
from outlast.workloads.protocol_registry import READERS

READ_TIMEOUT_S: Final = 120.0
READ_ATTEMPTS: Final = 3
CATCH_UP_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.05


def load_route(cluster: Cluster, workload: Routed) -> RouteView:
    """Return the cluster's route for a workload. Raises UnavailableError when it has none."""
    routes = cluster.routes() if isinstance(cluster, HasRoutes) else ()
    found = next((one for one in routes if one.name == workload.route), None)
    if found is None:
        there = ", ".join(one.name for one in routes) or "none"
        raise UnavailableError(
            f"{cluster.spec.system} has no route {workload.route}, which this load takes",
            hint=f"its own routes: {there}",
        )
    return found


def routed_configs(
    cluster: Cluster, workload: Workload, spec: WorkloadSpec, base: WorkerConfig
) -> list[WorkerConfig]:
    """Return the workers of a load; the first one's target is what the final read reads.

    base: what all have in common. Pinned clients keep to their node, whoever leads.
    """
    assert isinstance(workload, Routed)
    taken = load_route(cluster, workload)
    first = replace(
        base,
        dsn=taken.dsn,
        transport=taken.kind,
        target=f"outlast-{workload.name}-{base.epoch_ns:x}",
        nodes={host.address: name for name, host in cluster.lab.hosts.items()},
    )
    if not spec.clients.pinned:
        return [first]
    addresses = dict(part.rpartition(":")[::2] for part in taken.dsn.split(","))
    rate = None if spec.rate_per_s is None else spec.rate_per_s / max(1, spec.clients.follow)
    return [
        first,
        *(
            replace(
                first,
                name=f"{base.name}-at-{node.name}",
                dsn=f"{node.address}:{addresses[node.address]}",
                clients=1,
                rate_per_s=rate,
                pinned=True,
            )
            for node in cluster.spec.nodes
        ),
    ]


async def routed_final_read(
    cluster: Cluster, configs: Sequence[WorkerConfig], host: Host, folder: Path
) -> FinalRead:
    """Read everything back over the loads' own routes, and compare what the nodes hold.

    configs: of the loads. host: where to read from. folder: for what is read, below the folder of runs. Each node is
    compared once it has applied all that was committed when the reading had ended; one that does not get there is
    named as missing. Raises ClusterError when it cannot be read.
    """
    values: dict[str, I64] = {}
    for config in configs:
        if (config.workload, config.transport) in READERS:
            values |= await _read_back(config, host, folder)
    primary = await cluster.primary() if isinstance(cluster, HasPrimary) else None
    if primary is None:
        raise ClusterError("no member leads after everything was healed")
    if not isinstance(cluster, HasContents):
        return FinalRead(primary, 0, 0, now_ns(), values, ())
    position = await cluster.position()
    names = [node.name for node in cluster.spec.nodes]
    found = await asyncio.gather(*(_content(cluster, name, position) for name in names))
    return FinalRead(
        primary,
        0,
        position,
        now_ns(),
        values,
        tuple(content for content in found if content is not None),
        tuple(name for name, content in zip(names, found, strict=True) if content is None),
    )


async def _read_back(config: WorkerConfig, host: Host, folder: Path) -> Mapping[str, I64]:
    path, out = host.folder / f"{config.name}-read.json", folder / f"{config.name}-read.npz"
    config.write(path)
    argv = [sys.executable, "-m", "outlast.workloads.read_back", str(path), str(out)]
    words = ""
    for _ in range(READ_ATTEMPTS):
        try:
            done = await host.run(Program("read_back", argv, "log/read.log"), timeout_s=READ_TIMEOUT_S)
        except TimeoutError as error:
            words = str(error)
            continue
        if done.code == 0:
            with np.load(out, allow_pickle=False) as stored:
                found = {name: stored[name].astype(np.int64) for name in stored.files}
            out.unlink()
            return found
        words = done.stderr.strip()
    raise ClusterError(f"what {config.name} wrote cannot be read back: {words}")


async def _content(cluster: HasContents, node: str, position: int) -> NodeContent | None:
    deadline = scaled_deadline_ns(CATCH_UP_TIMEOUT_S)
    while now_ns() < deadline:
        found = await cluster.content(node, position)
        if found is not None:
            return found
        await asyncio.sleep(POLL_S)
    return None
