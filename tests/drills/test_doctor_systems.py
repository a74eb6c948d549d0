"""The doctor on clusters of other systems and on what stands beside them: no false alarm, and each trouble found."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from labs import lab_up
from skips import require

from outlast.clusters import lifecycle
from outlast.clusters.cluster_checks import examine
from outlast.clusters.diagnosis import CheckState
from outlast.clusters.service_registry import start_member
from outlast.config import load_cluster
from outlast.monitoring.services import with_monitoring
from outlast.systems.base import Cluster, Role
from outlast.systems.programs import missing
from outlast.systems.wait import wait_for, wait_until_ready

pytestmark = pytest.mark.lab
LAB = "watched"


@pytest.fixture(scope="module")
def watched(_session_state: Path) -> Iterator[str]:
    """A pg_auto_failover with its monitor, an exporter and Prometheus."""
    for program in ("pg_autoctl", "prometheus"):
        require(missing(program))
    spec = with_monitoring(load_cluster("pg_auto_failover", ["profile=fast", "ports={}", "nodes=2"]))
    with lab_up(_session_state, LAB, spec) as name:
        yield name


async def troubles(cluster: Cluster) -> list[str]:
    return [f"{one.check}: {one.said}" for one in await examine(cluster) if one.state is CheckState.BAD]


async def found(cluster: Cluster, check: str, words: str) -> None:
    """Wait until the doctor finds it, with a remedy."""

    async def lacking() -> str:
        seen = [one for one in await examine(cluster) if one.state is CheckState.BAD]
        named = [one for one in seen if one.check == check and words in one.said and one.remedy]
        return "" if named else str([one.said for one in seen])

    await wait_for(lacking, 30, f"{check}: {words}")


async def well(cluster: Cluster) -> None:
    async def lacking() -> str:
        return "; ".join(await troubles(cluster))

    await wait_for(lacking, 40, "a doctor who finds nothing")


@pytest.mark.slow
async def test_a_dead_monitor_and_an_empty_dashboard_are_found_and_a_healthy_cluster_has_nothing(
    watched: str,
) -> None:
    cluster = lifecycle.attach(watched)
    await wait_until_ready(cluster, 60)
    await well(cluster)
    name = next(node.name for node in (await cluster.view()).nodes if node.role is Role.MONITOR)
    monitor = cluster.lab.hosts[name]
    await monitor.power_off()
    try:
        await found(cluster, "consensus store", "writes go on, and nobody can be promoted")
    finally:
        await monitor.power_on()
        await start_member(cluster, name)
    exporter = next(one.name for one in cluster.spec.services if one.kind == "exporter")
    host = cluster.lab.hosts[exporter]
    await host.signal(signal.SIGKILL, pids=[one.pid for one in await host.processes() if one.pid > 1])
    try:
        await found(cluster, "services", f"{exporter} does not serve")
        await found(cluster, "dashboard empty", "its panels stay empty")
    finally:
        await start_member(cluster, exporter)
    await wait_until_ready(cluster, 60)
    await well(cluster)


@pytest.mark.slow
@pytest.mark.parametrize("system", ["streaming", "pgpool"])
async def test_a_healthy_cluster_of_another_system_has_nothing(system: str) -> None:
    require(missing("pgpool") if system == "pgpool" else None)
    spec = load_cluster(system, ["profile=fast"])
    async with lifecycle.temporary(spec, f"well-{system}", lambda _words: None, keep=False) as up:
        await well(up.cluster)


@pytest.mark.slow
async def test_a_dead_balancer_is_found() -> None:
    require(missing("pgpool"))
    spec = load_cluster("pgpool", ["profile=fast"])
    async with lifecycle.temporary(spec, "dead-balancer", lambda _words: None, keep=False) as up:
        host = up.cluster.lab.hosts["pgpool"]
        await host.signal(signal.SIGKILL, name="pgpool")
        await found(up.cluster, "services", "pgpool does not serve")
