"""pg_auto_failover on real nodes: who is promoted, how the old primary comes back, who may connect."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from labs import lab_up
from skips import unless
from tests.drills.conftest import Runner

from outlast.checkers.base import Verdict
from outlast.clusters.cluster_checks import examine
from outlast.config import load_cluster
from outlast.errors import ClusterError, UnavailableError
from outlast.run.conclude import RunResult
from outlast.systems.base import Role
from outlast.systems.pg_auto_failover import keeper
from outlast.systems.pg_auto_failover.cluster import PgAutoFailoverCluster
from outlast.systems.postgres import views
from outlast.systems.wait import wait_until_ready


def _reason() -> str:
    try:
        keeper.find(None)
    except UnavailableError as error:
        return f"{error.message}: {error.hint}"
    return ""


pytestmark = unless(_reason())

LOST_PRIMARY = """
name: lost-primary
workload: {append: {clients: 8, rate: 100/s}}
timeline: [{at: 1s, fault: host_power_off, on: primary, heal: after_failover}]
duration: 12s
checks: {acked_lost: 0, two_writers_s: 0, replicas_equal: true, by_priority: true}
"""


@pytest.fixture(scope="module")
def _lab(_session_state: Path) -> Iterator[str]:
    spec = load_cluster("pg_auto_failover", ["profile=fast", "ports={}", "dataset=null"])
    with lab_up(_session_state, "pgaf", spec) as name:
        yield name


def findings(outcome: RunResult) -> dict[str, str]:
    return {str(one["name"]): f"{one['verdict']}: {one['summary']}" for one in outcome.document.findings}


async def test_the_standby_put_first_takes_over_and_the_old_primary_is_rewound(
    cluster: PgAutoFailoverCluster, run: Runner
) -> None:
    outcome = await run(LOST_PRIMARY)
    shown = findings(outcome)
    # How long it took is the machine's business today, and judged where the machine is quiet.
    assert {
        name: words for name, words in shown.items() if not words.startswith("pass") and name != "outage"
    } == {}
    assert shown["by_priority"] == "pass: promoted by priority: postgres-replica1 (90)"
    log = cluster.lab.hosts["postgres-primary"].folder / keeper.LOG
    assert keeper.rejoined_by(log) == ["pg_rewind"], "a rewind that fails becomes a base backup in silence"


async def test_status_tells_what_nodes_report_and_what_the_monitor_wants(
    cluster: PgAutoFailoverCluster,
) -> None:
    view = await cluster.view()
    assert view.ready, view.missing
    nodes = {node.name: node for node in view.nodes if node.role is not Role.MONITOR}
    assert {name: node.priority for name, node in nodes.items()} == {
        "postgres-primary": 100,
        "postgres-replica1": 90,
        "postgres-replica2": 80,
    }
    assert sorted(node.state for node in nodes.values()) == ["primary", "secondary", "secondary"]
    assert all(node.assigned_state == node.state for node in nodes.values())
    assert view.node("pgaf-monitor").healthy


async def test_nobody_gets_in_without_a_password(cluster: PgAutoFailoverCluster) -> None:
    for member in ("postgres-primary", "pgaf-monitor"):
        port = cluster.published(member)
        assert port is not None
        for user, database in (
            ("postgres", "postgres"),
            ("autoctl_node", "pg_auto_failover"),
            ("pgautofailover_monitor", "postgres"),
            ("pgautofailover_replicator", "postgres"),
        ):
            with pytest.raises(psycopg.OperationalError, match=r"password|pg_hba|no password"):
                await views.connect(port, database=database, user=user, password="", timeout_s=5)


async def test_the_primary_is_not_taken_out_for_maintenance(cluster: PgAutoFailoverCluster) -> None:
    primary = await cluster.primary()
    assert primary is not None
    with pytest.raises(ClusterError, match="is the primary"):
        await cluster.set_maintenance(primary, True)
    assert await cluster.in_maintenance() == frozenset()


async def test_doctor_names_a_monitor_that_is_away(cluster: PgAutoFailoverCluster) -> None:
    host = cluster.lab.hosts["pgaf-monitor"]
    await host.power_off()
    try:
        said = {one.check: one.said for one in await examine(cluster)}
        assert "the monitor pgaf-monitor does not answer" in said["consensus store"]
        assert "a failover is not possible" in said["leader and failover"]
        with pytest.raises(ClusterError, match="pgaf-monitor"):
            await cluster.switchover(None)
    finally:
        await host.power_on()
        await cluster.start_node("pgaf-monitor")
    await wait_until_ready(cluster, 60.0)


@pytest.mark.slow
async def test_a_standby_is_taken_out_and_joins_again(cluster: PgAutoFailoverCluster) -> None:
    primary = await cluster.primary()
    node = next(one.name for one in cluster.spec.nodes if one.name != primary)
    await cluster.set_maintenance(node, True)
    view = await cluster.view()
    assert (view.node(node).state, view.missing) == ("maintenance", "")
    assert await cluster.in_maintenance() == {node}
    await cluster.set_maintenance(node, False)
    assert (await cluster.view()).node(node).state == "secondary"


@pytest.mark.slow
async def test_a_reseeded_standby_holds_a_new_copy(cluster: PgAutoFailoverCluster) -> None:
    primary = await cluster.primary()
    node = next(one.name for one in cluster.spec.nodes if one.name != primary)
    log = cluster.lab.hosts[node].folder / keeper.LOG
    before = len(keeper.rejoined_by(log))
    await cluster.reseed(node)
    assert keeper.rejoined_by(log)[before:] == ["pg_basebackup"]
    assert (await cluster.view()).node(node).state == "secondary"


@pytest.mark.slow
async def test_writes_go_on_without_the_monitor_and_a_failover_works_with_it_again(run: Runner) -> None:
    text = "\n".join(
        (
            "name: monitor-kill",
            "workload: {append: {clients: 8, rate: 100/s}}",
            "timeline:",
            "  - {at: 2s, fault: host_power_off, on: monitor, heal: 12s}",
            "  - {at: 28s, fault: host_power_off, on: primary, heal: after_failover}",
            "duration: 45s",
            "checks: {acked_lost: 0, outage_s: 11}",
        )
    )
    outcome = await run(text)
    assert outcome.verdict is Verdict.PASS, findings(outcome)
