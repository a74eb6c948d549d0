"""What runs beside a cluster and what it holds: a failover over each route on real programs, a balancer that is
killed, a dataset that every node has."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labs import lab_up
from program import outlast
from skips import needs

from outlast.checkers.base import Verdict
from outlast.clusters import lifecycle
from outlast.config import load_cluster, load_drill
from outlast.datasets.healthcare_rows import row_counts
from outlast.datasets.load import DATASETS
from outlast.history.op import Outcome as Op
from outlast.hosts.state import runs_folder
from outlast.pace import scaled
from outlast.routes.base import services_of
from outlast.routes.haproxy import server_states
from outlast.run.conclude import RunResult
from outlast.run.drill import run_drill
from outlast.run.prepare import plan_drill, prepare_drill
from outlast.run.request import RunRequest
from outlast.systems.base import HasServers
from outlast.systems.postgres.install import find
from outlast.systems.wait import wait_for
from outlast.workloads.base import content_sql

pytestmark = [
    pytest.mark.lab,
    needs("haproxy", "pgbouncer"),
]

LAB = "routed"
SERVICES = "services=[{name: haproxy, kind: haproxy}, {name: pgbouncer, kind: pgbouncer}]"


@pytest.fixture(scope="module")
def routed(_session_state: Path) -> Iterator[None]:
    """A lab with HAProxy and PgBouncer for all tests of this file."""

    sets = ["profile=fast", SERVICES, "dataset=healthcare", "dataset_rows=3000"]
    with lab_up(_session_state, LAB, load_cluster("patroni", sets)):
        yield


async def run(
    tmp_path: Path,
    route: str,
    timeline: str,
    workload: str = "append: {clients: 8, rate: 100/s}",
    duration: str = "7s",
) -> RunResult:
    file = tmp_path / "drill.yaml"
    file.write_text(
        f"workload: {{{workload}}}\nroute: {route}\ntimeline:\n  - {timeline}\nduration: {duration}\n"
    )
    cluster = lifecycle.attach(LAB)
    drill = load_drill(str(file))
    folder = runs_folder() / f"{tmp_path.name}-{route}"
    return await run_drill(
        cluster,
        prepare_drill(plan_drill(drill, cluster.spec), cluster),
        RunRequest(seed=1, say=print, new_folder=lambda _name: folder),
    )


def served_by(outcome: RunResult) -> set[str]:
    ops = outcome.history.ops
    return {str(ops.node_name(int(index))) for index in np.flatnonzero(ops.outcome_is(Op.OK))}


@pytest.mark.usefixtures("routed")
@pytest.mark.parametrize(("route", "workload"), [("haproxy", "patients"), ("pgbouncer", "append")])
async def test_a_switchover_loses_nothing_over_a_route_and_each_op_names_its_node(
    route: str, workload: str, tmp_path: Path
) -> None:
    load = f"{workload}: {{clients: 8, rate: 100/s}}"
    outcome = await run(tmp_path, route, "{at: 1s, action: switchover}", load)
    assert outcome.verdict is Verdict.PASS, outcome.document.findings
    assert len(served_by(outcome)) == 2
    assert outcome.document.notes["route"] == route


@pytest.mark.slow
@pytest.mark.usefixtures("routed")
@pytest.mark.parametrize("workload", ["append", "bank", "list-append"])
@pytest.mark.parametrize("route", ["haproxy", "pgbouncer"])
async def test_a_primary_that_loses_its_power_costs_no_write_over_any_route(
    route: str, workload: str, tmp_path: Path
) -> None:
    load = f"{workload}: {{clients: 8, rate: 100/s}}"
    off = "{at: 2s, fault: host_power_off, on: primary, heal: after_failover}"
    outcome = await run(tmp_path, route, off, load, duration="40s")
    assert outcome.verdict is Verdict.PASS, outcome.document.findings
    assert len(served_by(outcome)) == 2


@pytest.mark.usefixtures("routed")
async def test_a_killed_haproxy_is_an_outage_that_ends_when_it_is_back(tmp_path: Path) -> None:
    kill = "{at: 1s, fault: process_kill, on: haproxy, params: {process: haproxy}, heal: 2s}"
    outcome = await run(tmp_path, "haproxy", kill)
    assert outcome.verdict is Verdict.PASS, outcome.document.findings
    (fault,) = outcome.history.faults
    assert fault.effective
    outage = next(one for one in outcome.document.findings if one["name"] == "outage")
    assert 1.5 < float(str(outage["value"])) < 6


@pytest.mark.usefixtures("routed")
async def test_a_dataset_is_loaded_once_and_every_node_holds_the_same_rows() -> None:
    cluster = lifecycle.attach(LAB)
    assert isinstance(cluster, HasServers)
    expected = row_counts(3000)
    for one in DATASETS["healthcare"].sample():
        expected[one.table] += one.rows
    held = []
    for node in cluster.spec.nodes:
        connection = await cluster.connect(node.name, database=cluster.spec.database, user=cluster.spec.user)
        try:
            rows = [
                await (await connection.execute(content_sql(table).encode())).fetchone() for table in expected
            ]
            held.append(dict(zip(expected, rows, strict=True)))
            indexes = await (
                await connection.execute(
                    b"SELECT count(*) FROM pg_indexes WHERE indexname LIKE '%\\_id' "
                    b"AND schemaname = 'public' OR indexname = 'patients_last_name'"
                )
            ).fetchone()
            assert indexes == (6,)
            ours = b"SELECT count(*) FROM patients WHERE medical_record_number LIKE 'MRN%'"
            assert await (await connection.execute(ours)).fetchone() == (expected["patients"],)
        finally:
            await connection.close()
    counts = {table: row[0] for table, row in held[0].items() if row and table != "patients"}
    assert counts.items() < expected.items()  # a workload may have written patients of its own
    assert held[0] == held[1] == held[2]


@pytest.mark.slow
@pytest.mark.usefixtures("routed")
async def test_haproxy_leads_to_a_node_that_was_added_and_forgets_one_that_was_removed() -> None:
    added = outlast("add-node", "--lab", LAB, "--json")
    assert added.code == 0, added.err
    cluster = lifecycle.attach(LAB)
    (service,) = services_of(cluster.spec, "haproxy")

    async def not_read_from() -> str:
        status, _check = (await server_states(cluster, service)).get(("read", "pg-node-4"), ("absent", ""))
        return "" if status == "UP" else status

    await wait_for(not_read_from, 10, "HAProxy to lead readers to the new node")
    removed = outlast("remove-node", "pg-node-4", "--lab", LAB, "--json")
    assert removed.code == 0, removed.err
    cluster = lifecycle.attach(LAB)
    assert ("read", "pg-node-4") not in await server_states(cluster, service)


@pytest.mark.usefixtures("routed")
def test_status_names_the_routes_and_psql_reaches_each_port() -> None:
    shown = outlast("status", "--lab", LAB, "--json").json
    assert [(one["name"], one["healthy"]) for one in shown["balancers"]] == [
        ("haproxy", True),
        ("pgbouncer", True),
    ]
    roles = {node["name"]: node["role"] for node in shown["nodes"]}
    assert roles["haproxy"] == roles["pgbouncer"] == "balancer"
    routes = {one["name"]: one for one in shown["routes"]}
    assert "password" not in json.dumps(routes)
    credentials = outlast("credentials", "--lab", LAB, "--json").json
    for name, in_recovery in (("haproxy-primary", "f"), ("haproxy-standby", "t"), ("pgbouncer-primary", "f")):
        done = psql(routes[name]["published_port"], "appdb", credentials["passfile"])
        assert done.stdout.strip() == in_recovery, (name, done.stderr)
    done = psql(routes["pgbouncer-standby"]["published_port"], "appdb_read", credentials["passfile"])
    assert done.stdout.strip() == "t", done.stderr


def psql(port: int, database: str, passfile: str) -> Any:
    words = f"host=127.0.0.1 port={port} dbname={database} user=appuser connect_timeout=5"
    return subprocess.run(
        [find(None).program("psql"), words, "-Atc", "select pg_is_in_recovery()"],
        env={"PGPASSFILE": passfile, "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        timeout=scaled(30),
        check=False,
    )


@pytest.mark.usefixtures("routed")
def test_a_route_that_a_lab_lacks_is_refused_before_anything_is_touched() -> None:
    done = outlast("drill", "switchover", "--lab", LAB, "--route", "pgpool")
    assert done.code == 64
    assert "no route pgpool" in done.err
