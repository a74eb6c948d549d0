"""What each isolation level of a real PostgreSQL allows, and what its primary and standbys show together."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from outlast.checkers.base import Verdict
from outlast.checkers.transactions.consistency import PROSCRIBED
from outlast.cli.main import run as command
from outlast.config import stored_drill
from outlast.history.op import Outcome
from outlast.history.reading import live_counts
from outlast.run.checks import CONSISTENCY
from outlast.run.conclude import judge_again
from outlast.systems.base import Cluster, HasServers
from outlast.systems.wait import wait_for

pytestmark = pytest.mark.lab


def drill(workload: str, level: str = "read-committed", duration: str = "5s") -> str:
    return f"name: t\nworkload: {{{workload}}}\nlevel: {level}\nduration: {duration}\n"


def found(outcome: Any, name: str) -> Any:
    return next(one for one in outcome.document.findings if one["name"] == name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("read-committed", {"G-single", "lost-update", "internal"}),
        ("repeatable-read", {"G2-item"}),
        ("serializable", set()),
    ],
)
async def test_a_level_shows_what_it_allows_and_nothing_it_forbids(
    run: Any, level: str, expected: set[str]
) -> None:
    outcome = await run(drill("list-append: {clients: 12}", level))
    finding = found(outcome, "list_append")
    assert outcome.verdict is Verdict.PASS, finding
    assert expected <= set(finding["anomalies"])
    assert not set(finding["anomalies"]) & PROSCRIBED[CONSISTENCY[level]]
    assert outcome.history.ops.outcome_is(Outcome.OK).sum() > 500


async def test_a_database_that_keeps_less_than_it_claims_is_found(run: Any) -> None:
    # It serves read committed to clients who were promised serializable.
    outcome = await run(drill("list-append: {clients: 12}", "read-committed"))
    document = outcome.document
    claimed = {**document.drill, "level": "serializable"}
    again = judge_again(outcome.history, document, stored_drill(claimed, "run.json"))
    assert again.verdict == "fail"
    finding = next(one for one in again.findings if one["name"] == "list_append")
    assert finding["summary"].startswith("not serializable")  # type: ignore[union-attr]
    assert finding["evidence"][0]["ops"]


@pytest.mark.slow
async def test_primary_and_standbys_together_show_a_long_fork(
    run: Any, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = await run(drill("long-fork: {clients: 4, mixed: 1}", "repeatable-read", "8s"))
    assert outcome.verdict is Verdict.FAIL
    fork = found(outcome, "long_fork")
    assert fork["anomalies"]["long-fork"] == fork["value"] > 0
    ops = outcome.history.ops
    for evidence in fork["evidence"]:
        first, second = (ops.node_name(op) for op in evidence["ops"][:2])
        assert first != second  # each node alone is clean
        assert f"at {first}" in evidence["message"]
        assert f"at {second}" in evidence["message"]
    assert found(outcome, "rw_register")["anomalies"]["G-nonadjacent"] > 0
    assert set(ops.node_names) == {"pg-node-1", "pg-node-2", "pg-node-3"}

    capsys.readouterr()
    assert await asyncio.to_thread(command, ["check", str(store), "--json"]) == 1
    offline = json.loads(capsys.readouterr().out)
    stored = {one["name"]: (one["verdict"], one["anomalies"]) for one in outcome.document.findings}
    assert {one["name"]: (one["verdict"], one["anomalies"]) for one in offline["checks"]} == stored


@pytest.mark.slow
async def test_the_primary_alone_shows_no_long_fork(run: Any) -> None:
    outcome = await run(drill("long-fork: {clients: 6, mixed: 1, readers: 0}", "repeatable-read"))
    assert outcome.verdict is Verdict.PASS, outcome.document.findings
    assert len(outcome.history.ops.node_names) == 1


@pytest.mark.slow
@pytest.mark.parametrize("level", ["read-committed", "serializable"])
@pytest.mark.parametrize(
    ("workload", "checker", "functions"),
    [
        ("register", "linearizable", {"read", "write", "cas"}),
        ("bank", "bank", {"read", "transfer"}),
        ("counter", "counter_bounds", {"read", "add"}),
        ("set", "set_full", {"read", "add"}),
        ("rw-register", "rw_register", {"txn"}),
    ],
)
async def test_each_workload_feeds_its_checker(
    run: Any, workload: str, checker: str, functions: set[str], level: str
) -> None:
    outcome = await run(drill(f"{workload}: {{clients: 5}}", level, "2s"))
    assert outcome.verdict is Verdict.PASS, outcome.document.findings
    assert found(outcome, checker)["verdict"] == "pass"
    ops = outcome.history.ops
    acked = ops.outcome_is(Outcome.OK)
    assert {ops.f_names[code] for code in np.unique(ops.f[acked])} == functions
    assert acked.sum() > 100


async def test_money_taken_behind_our_back_is_missed_by_the_bank(
    run: Any, cluster: Cluster, store: Path
) -> None:
    outcome, _ = await asyncio.gather(
        run(drill("bank: {clients: 4}", duration="4s")),
        meddle(cluster, store, "UPDATE outlast_bank SET balance = balance + 1 WHERE account = 1"),
    )
    assert found(outcome, "bank")["anomalies"]["wrong-total"] > 0


@pytest.mark.slow
async def test_an_element_removed_behind_our_back_is_missed_by_the_set(
    run: Any, cluster: Cluster, store: Path
) -> None:
    query = "DELETE FROM outlast_set WHERE element = (SELECT min(element) FROM outlast_set)"
    outcome, _ = await asyncio.gather(
        run(drill("set: {clients: 4}", duration="4s")), meddle(cluster, store, query)
    )
    assert found(outcome, "set_full")["anomalies"] == {"lost": 1}


async def test_a_register_set_back_behind_our_back_is_not_linearizable(
    run: Any, cluster: Cluster, store: Path
) -> None:
    outcome, _ = await asyncio.gather(
        run(drill("register: {clients: 4}", duration="4s")),
        meddle(
            cluster, store, "UPDATE outlast_register SET value = 99", times=20
        ),  # some are overwritten unread
    )
    assert found(outcome, "linearizable")["verdict"] == "fail"


@pytest.mark.slow
async def test_a_counter_that_skips_is_out_of_bounds(run: Any, cluster: Cluster, store: Path) -> None:
    outcome, _ = await asyncio.gather(
        run(drill("counter: {clients: 4}", duration="4s")),
        meddle(cluster, store, "UPDATE outlast_counter SET value = value + 1000000"),
    )
    assert found(outcome, "counter_bounds")["anomalies"]["out-of-bounds"] > 0


async def meddle(cluster: Cluster, store: Path, query: str, times: int = 1) -> None:
    """Change the data at the primary in the middle of a run, past its clients."""
    assert isinstance(cluster, HasServers)

    async def enough_acks() -> str:
        counts = live_counts(store / "ops") if (store / "ops").exists() else ()
        return "" if any(one.ok > 200 for one in counts) else str(counts)

    await wait_for(enough_acks, 20, "two hundred acks")
    primary = (await cluster.view()).primary
    assert primary is not None
    connection = await cluster.connect(primary, database=cluster.spec.database)
    try:
        for _ in range(times):
            await connection.execute(query.encode())
    finally:
        await connection.close()
