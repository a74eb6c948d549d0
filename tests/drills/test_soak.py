"""A soak on a real cluster: it passes when nothing is wrong, and names node and row when something is."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from replicas import edit_replica
from waiting import for_s, until_async

from outlast.checkers.base import Verdict
from outlast.clusters import lifecycle
from outlast.config import load_cluster, stored_drill
from outlast.history.reading import live_counts
from outlast.history.store import load_run
from outlast.pace import scaled
from outlast.run.conclude import RunResult, judge_again
from outlast.run.request import RunRequest
from outlast.soak.diary import Diary
from outlast.soak.director import Director
from outlast.soak.plan import SoakTimes
from outlast.systems.base import Cluster, HasServers
from outlast.systems.wait import wait_for

pytestmark = pytest.mark.lab

Act = Callable[[Cluster], Awaitable[None]]


async def soaked(
    cluster: Cluster, folder: Path, logs: Path, times: SoakTimes, act: Act | None = None
) -> RunResult:
    """Run a soak; act does something behind its back once there are some rows."""

    async def acting() -> None:
        async def few() -> str:
            counts = live_counts(folder / "ops") if (folder / "ops").exists() else ()
            return "" if any(one.worker == "soak-writer" and one.ok > 55 for one in counts) else str(counts)

        if act is not None:
            await wait_for(few, 30, "some rows")
            await act(cluster)

    with Diary(logs, len(cluster.spec.nodes), print) as diary:
        director = Director(
            cluster,
            times,
            diary,
            lambda _words: None,
            RunRequest(seed=1, replay="again", new_folder=lambda _name: folder),
        )
        outcome, _ = await asyncio.gather(director.run(), acting())
    return outcome


def failed(outcome: RunResult) -> dict[str, str]:
    return {
        str(one["name"]): f"{one['summary']} {one['evidence']}"
        for one in outcome.document.findings
        if one["verdict"] != "pass"
    }


@pytest.mark.alone
async def test_a_soak_moves_the_primary_compares_every_row_and_leaves_its_files(
    cluster: Cluster, store: Path, tmp_path: Path
) -> None:
    logs = tmp_path / "logs"
    outcome = await soaked(cluster, store, logs, SoakTimes(14, 8, 5))
    assert outcome.verdict is Verdict.PASS, failed(outcome)
    soak: Any = outcome.document.notes["soak"]
    assert [one["done"] for one in soak["failovers"]] == [True]
    assert all(0 < one["outage_s"] < one["catch_up_s"] for one in soak["failovers"])
    assert all(one["equal"] for one in soak["validations"])
    assert len(soak["reads"]) == 2
    names = sorted(re.sub(r"\d{8}-\d{6}", "TS", path.name) for path in logs.iterdir())
    assert names == [
        "failovers-TS.log",
        "results-TS.log",
        "row-counts-TS.csv",
        "summary-report.txt",
        "test-TS.log",
    ]
    log = next(logs.glob("test-*.log")).read_text()
    assert re.search(
        r"\[REPORT\] pg-node-1 \| Total: \d+ \| Inserts: \d+ \| Updates: \d+ \| Deletes: 0\n", log
    )
    assert re.search(r"\[SUCCESS\] ✓ All nodes consistent: All have \d+ rows\n", log)
    header, *rows = next(logs.glob("row-counts-*.csv")).read_text().splitlines()
    assert header == "Timestamp,ElapsedSeconds,TakeoverCount,TotalRows,Node1,Node2,Node3,HealthyNodes,Status"
    assert len(rows) == len(soak["validations"]) == 2
    assert all(row.endswith(",3,SYNC") for row in rows)
    history, document = load_run(store)
    again = judge_again(history, document, stored_drill(document.drill, "run.json"))
    assert again.verdict == "pass"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            "UPDATE test_data SET test_value = 'tampered' WHERE id = 7",
            "row 7 (write_batch_1-row_6) on pg-node-",
        ),
        pytest.param(
            "DELETE FROM test_data WHERE id = 7",
            "row 7 (write_batch_1-row_6) on pg-node-",
            marks=pytest.mark.slow,
        ),
    ],
)
async def test_a_row_changed_behind_its_back_fails_and_is_named(
    cluster: Cluster, store: Path, tmp_path: Path, change: str, words: str
) -> None:
    async def tamper(cluster: Cluster) -> None:
        assert isinstance(cluster, HasServers)
        primary = (await cluster.view()).primary
        assert primary is not None
        connection = await cluster.connect(primary, database=cluster.spec.database)
        await connection.execute(change.encode())
        await connection.close()

    outcome = await soaked(cluster, store, tmp_path / "logs", SoakTimes(6, 60, 4), tamper)
    assert outcome.verdict is Verdict.FAIL
    assert words in failed(outcome)["rows_as_acked"]
    assert "FAIL rows_as_acked" in (tmp_path / "logs/summary-report.txt").read_text()


@pytest.mark.slow
async def test_a_row_that_differs_on_one_node_alone_is_named_with_that_node(
    store: Path, tmp_path: Path
) -> None:
    """A standby's file is edited while its server is down: replication goes on, and only a comparison finds it."""

    async def edit(cluster: Cluster) -> None:
        assert isinstance(cluster, HasServers)
        servers = cluster

        async def is_updated() -> bool:  # then no page of its is written again
            query = b"SELECT operation_type FROM test_data WHERE test_value = 'write_batch_1-row_3'"
            connection = await servers.connect("pg-node-3", database=cluster.spec.database)
            async with connection:
                row = await (await connection.execute(query)).fetchone()
            return row is not None and row[0] == "UPDATE"

        def change(content: bytes) -> bytes:
            return content.replace(b"write_batch_1-row_3", b"write_batch_1-row_X")

        await until_async(is_updated, "the row to be updated")
        await edit_replica(cluster, "pg-node-3", "test_data", change)

    spec = load_cluster(
        "patroni", ["profile=fast", "checksums=off", "postgresql.parameters.full_page_writes=off"]
    )
    async with lifecycle.temporary(spec, "edited", print, keep=False) as up:
        outcome = await soaked(up.cluster, store, tmp_path / "logs", SoakTimes(30, 60, 8), edit)
    assert outcome.verdict is Verdict.FAIL
    assert "row 4 (write_batch_1-row_3) on pg-node-3" in failed(outcome)["validations_unequal"]
    assert "on pg-node-3" in failed(outcome)["rows_as_acked"]


@pytest.mark.slow
def test_a_soak_that_is_stopped_leaves_its_files_a_verdict_and_no_lab(tmp_path: Path) -> None:
    import subprocess

    logs = tmp_path / "logs"
    words = ["soak", "--system", "patroni", "--profile", "fast", "--log-dir", str(logs), "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "outlast.cli.main", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "✓ Write workload started" in line:
            break
    process.send_signal(signal.SIGTERM)
    told, _ = process.communicate(timeout=scaled(120))
    assert process.returncode == 1
    assert '"verdict": "fail"' in told
    assert "ended early" in told
    summary = (logs / "summary-report.txt").read_text()
    assert "Verdict: FAIL (ended early: interrupted)" in summary
    assert next(logs.glob("row-counts-*.csv")).read_text().startswith("Timestamp,")
    assert not [name for name in lifecycle.labs() if name.startswith("soak")]


@pytest.mark.slow
async def test_the_tool_does_not_grow_with_the_length_of_a_soak(
    cluster: Cluster, store: Path, tmp_path: Path
) -> None:
    """Looks come a hundred times as often as in a real soak, so that 30 s stand for an hour."""
    sizes: list[int] = []

    def resident() -> int:
        pages = Path("/proc/self/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    async def watch(_cluster: Cluster) -> None:
        for span_s in (10, 8, 8, 8):
            await until_async(for_s(span_s), "the next sample", 20)
            sizes.append(resident())

    outcome = await soaked(cluster, store, tmp_path / "logs", SoakTimes(40, 60, 0.6), watch)
    assert outcome.verdict is Verdict.PASS, failed(outcome)
    looks = len(cast("dict[str, list[object]]", outcome.document.notes["soak"])["validations"])
    grown = sizes[-1] - sizes[0]
    assert looks > 30
    assert grown < 4 << 20, f"{grown} bytes in 24 s and {looks} looks"
