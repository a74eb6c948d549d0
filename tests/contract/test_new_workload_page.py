"""The workload of docs/extending/new-workload.md, on a real server."""

from __future__ import annotations

import re
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest
from benchmarks.bare_postgres import Server
from waiting import until

from outlast.history.op import Outcome
from outlast.history.reading import live_counts, read_ops
from outlast.pace import scaled
from outlast.workloads import WORKLOADS, WorkerConfig
from outlast.workloads.worker import make_worker

pytestmark = pytest.mark.lab


def test_the_workload_of_the_page_is_recorded_and_read_back(
    postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Path(__file__).parents[2] / "docs/extending/new-workload.md"
    (block,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    module = ModuleType("new_workload_page")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(block, str(page), "exec"), module.__dict__)
    notes = module.Notes()
    monkeypatch.setitem(WORKLOADS, notes.name, notes)
    for statement in notes.setup:
        postgres.query(statement)
    dsn = f"{postgres.dsn} target_session_attrs=read-write"
    worker = make_worker(
        WorkerConfig("w", str(tmp_path / "ops"), dsn, 2, workload=notes.name, params=dict(notes.params))
    )
    thread = threading.Thread(target=worker.run)
    thread.start()
    until(lambda: sum(one.ok for one in live_counts(tmp_path / "ops")) >= 50, "50 acknowledged operations")
    worker.stop()
    thread.join(scaled(20))
    ops = read_ops(tmp_path / "ops")
    acknowledged = {int(value) for value in ops.value[ops.outcome_is(Outcome.OK)]}
    assert acknowledged <= {row[0] for row in postgres.query(notes.values_sql)}
    assert len(acknowledged) >= 50
