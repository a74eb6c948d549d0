"""The tool says what happened: each of its verdicts provoked on a real cluster."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from replicas import edit_replica, with_first_column
from waiting import until_async

from outlast.checkers.base import Verdict
from outlast.clusters import lifecycle
from outlast.config import load_cluster, stored_drill
from outlast.faults.base import Fault, Injection
from outlast.faults.registry import fault
from outlast.history.reading import live_counts
from outlast.history.store import load_run
from outlast.run.conclude import RunResult, judge_again
from outlast.systems.base import Cluster, HasServers
from outlast.systems.wait import wait_for

pytestmark = pytest.mark.lab

UNDISTURBED = "name: undisturbed\nworkload: {append: {clients: 8, rate: 100/s}}\ntimeline: []\nduration: 8s\n"


def finding(outcome: RunResult, name: str) -> Any:
    return next(one for one in outcome.document.findings if one["name"] == name)


@pytest.mark.alone
async def test_a_killed_server_loses_nothing_and_every_figure_is_measured(run: Any) -> None:
    outcome = await run()
    assert outcome.verdict is Verdict.PASS, outcome.document.findings
    document = outcome.report().to_document()
    assert document["acked_lost"] == 0
    assert document["acked"] > 500
    assert document["two_writers_s"] == 0
    assert document["replicas_equal"] is True
    assert 0.05 < document["outage_s"] < 20
    assert document["faults"][0]["effective"] is True
    assert document["faults"][0]["healed_s"] is not None
    assert document["faults"][0]["at_s"] - document["faults"][0]["planned_s"] < 0.5


async def test_an_acked_row_deleted_behind_our_back_is_found_and_named(
    run: Any, cluster: Cluster, store: Path
) -> None:
    assert isinstance(cluster, HasServers)
    deleted: list[int] = []

    async def enough_acks() -> str:
        counts = live_counts(store / "ops") if (store / "ops").exists() else ()
        if not any(one.ok > 20 for one in counts):
            return str(counts)
        return "" if (await cluster.view()).primary else "there is no primary"

    async def delete_one() -> None:
        await wait_for(enough_acks, 20, "acks and a primary")
        primary = (await cluster.view()).primary
        assert primary is not None
        connection = await cluster.connect(primary, database=cluster.spec.database)
        query = "DELETE FROM outlast_append WHERE id = (SELECT min(id) FROM outlast_append) RETURNING id"
        row = await (await connection.execute(query)).fetchone()
        assert row is not None
        deleted.append(row[0])
        await connection.close()

    outcome, _ = await asyncio.gather(run(), delete_one())
    assert outcome.verdict is Verdict.FAIL
    lost = finding(outcome, "lost_writes")
    assert lost["verdict"] == "fail"
    assert lost["value"] == 1
    assert str(deleted[0]) in lost["evidence"][0]["message"]
    assert lost["evidence"][0]["details"]["node"] in {node.name for node in cluster.spec.nodes}


async def test_a_row_changed_on_one_replica_alone_is_found(run: Any, store: Path) -> None:
    node = "pg-node-3"

    async def edit(cluster: Cluster) -> None:
        assert isinstance(cluster, HasServers)
        counts = store / "ops"
        await until_async(
            lambda: counts.exists() and any(one.ok > 100 for one in live_counts(counts)), "a hundred acks"
        )
        connection = await cluster.connect(node, database=cluster.spec.database)
        async with connection:
            query = b"SELECT ctid::text, id FROM outlast_append ORDER BY ctid LIMIT 1"
            row = await (await connection.execute(query)).fetchone()
        assert row is not None
        ctid, value = row
        await edit_replica(
            cluster,
            node,
            "outlast_append",
            lambda content: with_first_column(content, ctid, value + (1 << 50)),
        )

    spec = load_cluster(
        "patroni", ["profile=fast", "checksums=off", "postgresql.parameters.full_page_writes=off"]
    )
    async with lifecycle.temporary(spec, "edited", print, keep=False) as up:
        outcome, _ = await asyncio.gather(run(UNDISTURBED, on=up.cluster), edit(up.cluster))
    assert outcome.verdict is Verdict.FAIL
    unequal = finding(outcome, "replicas_equal")
    assert unequal["verdict"] == "fail"
    assert node in str(unequal)
    assert finding(outcome, "lost_writes")["verdict"] == "pass"


async def test_a_fault_whose_injection_does_nothing_makes_the_run_invalid(run: Any) -> None:
    class Stubbed:
        def __init__(self, real: Fault) -> None:
            self._real = real

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

        async def act(self, cluster: Cluster, injection: Injection) -> None:
            """Do nothing."""

    outcome = await run(injector=lambda name: Stubbed(fault(name)))
    assert outcome.verdict is Verdict.INVALID
    assert "did not bite" in finding(outcome, "fault_effects")["summary"]
    assert "still run" in outcome.history.faults[0].evidence


async def test_a_stored_run_judged_again_says_the_same(run: Any) -> None:
    outcome = await run()
    history, document = load_run(outcome.folder)
    again = judge_again(history, document, stored_drill(document.drill, "run.json"))

    def told(findings: Any) -> Any:
        return [{key: one[key] for key in one if key != "elapsed_s"} for one in findings]

    assert again.verdict == document.verdict
    assert told(again.findings) == told(document.findings)
