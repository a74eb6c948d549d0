"""``bench outage``: what a failover costs clients, by the route they come on, all routes in the same failover.

Three loads at once, each over a route and on a table of its own, all following the primary. Its power is cut; a
route's outage is the longest gap between its acknowledgements from then on. Systems whose program is missing are
left out, and so is a route whose program is missing. The peer of a route is libpq in the same failovers.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import statistics
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.case import Case
from outlast.clock import deadline_ns, now_ns
from outlast.clusters import lifecycle
from outlast.clusters.service_registry import start_member
from outlast.clusters.system_registry import system
from outlast.config import ClusterSpec, WorkloadSpec, load_cluster
from outlast.errors import OutlastError, UnavailableError
from outlast.history.op import Outcome
from outlast.history.reading import live_counts, read_ops
from outlast.hosts.state import runs_folder
from outlast.routes.registry import with_route
from outlast.run.load import Load
from outlast.systems.base import Cluster
from outlast.systems.wait import wait_for, wait_until_ready
from outlast.units import NS_PER_S

WORKLOADS: Final = {"libpq": "append", "haproxy": "set", "pgbouncer": "counter"}
_SERVICES: Final = {"patroni": "[]", "pg_auto_failover": "[{name: monitor, kind: monitor}]"}
ROUNDS: Final = 3
WARM_UP_S: Final = 2.0
AFTER_S: Final = 4.0
RATE_PER_S: Final = 100.0
WHOLE_TIMEOUT_S: Final = 120.0


def cases(rounds: int = ROUNDS) -> list[Case]:
    """Return for each system its outage over libpq and over each other route. About four minutes."""
    found: list[Case] = []
    for name in _SERVICES:
        spec, routes = _spec(name)
        if system(name).available(spec) is not None:
            continue
        gaps = asyncio.run(_failovers(spec, routes, rounds))
        median = {route: statistics.median(times) for route, times in gaps.items()}
        found += [
            Case(f"{name} fast, primary's power cut, {route}", figure, "s",
                 None if route == "libpq" else median["libpq"],
                 None if route == "libpq" else "libpq, same failovers")
            for route, figure in median.items()
        ]  # fmt: skip
        found += [
            Case(
                f"{name} fast, added by {route}",
                statistics.median(a - b for a, b in zip(gaps[route], gaps["libpq"], strict=True)),
                "s",
            )
            for route in routes[1:]
        ]
    return found


def _spec(name: str) -> tuple[ClusterSpec, tuple[str, ...]]:
    """Return the cluster and its routes; nothing watches it, and it holds no data."""
    spec = load_cluster(name, ["profile=fast", "ports={}", "dataset=null", f"services={_SERVICES[name]}"])
    routes = ["libpq"]
    for route in ("haproxy", "pgbouncer"):
        with contextlib.suppress(UnavailableError):
            spec = with_route(spec, route)
            routes.append(route)
    return spec, tuple(routes)


async def _failovers(spec: ClusterSpec, routes: tuple[str, ...], rounds: int) -> dict[str, list[float]]:
    gaps: dict[str, list[float]] = {route: [] for route in routes}
    name = lifecycle.free_name("bench-outage")
    async with lifecycle.temporary(spec, name, lambda _words: None, keep=False) as up:
        for _ in range(rounds):
            for route, gap_s in (await _failover(up.cluster, routes)).items():
                gaps[route].append(gap_s)
    return gaps


async def _failover(cluster: Cluster, routes: tuple[str, ...]) -> dict[str, float]:
    """Cut the primary's power under load and return each route's outage, seconds; the cluster is whole again after."""
    await wait_until_ready(cluster, WHOLE_TIMEOUT_S)
    root = runs_folder() / f"bench-outage-{secrets.token_hex(3)}"
    loads = {route: Load(cluster, root / route, 1) for route in routes}
    try:
        for route, load in loads.items():
            spec = WorkloadSpec(name=WORKLOADS[route], clients=4, rate_per_s=RATE_PER_S)  # type: ignore[arg-type]
            await load.start((spec,), route=route)
        await asyncio.sleep(WARM_UP_S)
        old = (await cluster.view()).primary
        assert old is not None
        counts = {route: _acked(root / route) for route in routes}
        at_ns = now_ns()
        await cluster.lab.hosts[old].power_off()

        async def waiting() -> str:
            back = {route for route in routes if _acked(root / route) > counts[route] + 2 * RATE_PER_S}
            return ", ".join(route for route in routes if route not in back)

        with contextlib.suppress(OutlastError):  # then the gap lasts to the end, and the figure says so
            await wait_for(waiting, 2 * cluster.model.outage_s, "every route to write again")
        end_ns = deadline_ns(AFTER_S)
        await asyncio.sleep(AFTER_S)
        for load in loads.values():
            await load.stop()
        return {route: _gap_s(root / route, at_ns, end_ns) for route in routes}
    finally:
        for load in loads.values():
            with contextlib.suppress(OutlastError, KeyError):
                await load.stop()
        for member in cluster.spec.nodes:
            host = cluster.lab.hosts[member.name]
            if not host.is_on:
                await host.power_on()
                await start_member(cluster, member.name)
        shutil.rmtree(root, ignore_errors=True)


def _acked(folder: Path) -> int:
    return sum(counts.ok for counts in live_counts(folder))


def _gap_s(folder: Path, at_ns: int, end_ns: int) -> float:
    """Return the longest time without an acknowledgement that ended after at_ns, seconds."""
    ops = read_ops(folder)
    acks = np.sort(ops.complete_ns[ops.outcome_is(Outcome.OK)])
    acks = np.append(acks[acks < end_ns], end_ns)
    gaps = np.diff(acks)[acks[1:] > at_ns]
    return float(gaps.max()) / NS_PER_S
