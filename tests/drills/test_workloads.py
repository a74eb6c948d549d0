"""Loads of applications, through a failure of the primary's server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from outlast.checkers.base import Verdict
from outlast.clusters import lifecycle
from outlast.config import load_cluster, load_drill
from outlast.errors import ClusterError
from outlast.run.drill import run_drill
from outlast.run.prepare import plan_drill, prepare_drill
from outlast.run.request import RunRequest

pytestmark = pytest.mark.lab


def drill(workload: str) -> str:
    return "\n".join(
        (
            "name: loaded",
            f"workload: {workload}",
            "timeline:",
            "  - {at: 2s, fault: process_kill, on: primary}",
            "duration: 7s",
        )
    )


async def test_vectors_survive_and_neighbours_are_found_on_the_way(run: Any) -> None:
    outcome = await run(drill("{vectors: {clients: 4}}"))
    assert outcome.verdict is Verdict.PASS, outcome.document.findings
    ops = outcome.history.ops
    assert {"vectors", "vectors-read"} <= set(ops.f_names)
    document = outcome.report().to_document()
    assert document["acked"] > 50
    assert document["replicas_equal"] is True


async def test_a_thousand_transactions_a_second_and_none_lost(run: Any) -> None:
    outcome = await run(drill("{transactions: {clients: 16}}"))
    assert outcome.verdict is Verdict.PASS, outcome.document.findings
    document = outcome.report().to_document()
    calm_s = 7 - document["outage_s"]
    assert document["acked"] / calm_s > 300, "1,000 on a quiet machine: see docs/workloads.md"


async def test_a_load_without_its_tables_is_refused_with_the_servers_words(run: Any) -> None:
    with pytest.raises(ClusterError, match=r"healthcare cannot be made on .*audit_log"):
        await run(drill("{healthcare: {clients: 4}}"))


@pytest.mark.slow
async def test_appointments_and_their_log_lines_are_kept_together(store: Path, tmp_path: Path) -> None:
    spec = load_cluster("patroni", ["profile=fast", "dataset=healthcare"])
    file = tmp_path / "drill.yaml"
    file.write_text(drill("{healthcare: {clients: 4}}"))
    async with lifecycle.temporary(spec, "clinic", print, keep=False) as up:
        outcome = await run_drill(
            up.cluster,
            prepare_drill(plan_drill(load_drill(str(file)), spec), up.cluster),
            RunRequest(seed=1, say=print, new_folder=lambda _name: store),
        )
    assert outcome.verdict is Verdict.PASS, outcome.document.findings
    assert {"healthcare", "healthcare-read"} <= set(outcome.history.ops.f_names)
    assert outcome.history.final is not None
    assert set(outcome.history.final.contents[0].row_counts) == {"audit_log", "appointments"}
