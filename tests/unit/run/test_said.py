"""What managers and servers said is kept with its times, and quoted where nobody took over."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from histories import Row, Story, fault, s, steady

from outlast.checkers.base import Verdict
from outlast.checkers.outage import Outage
from outlast.checkers.quoted import quoted
from outlast.clock import now_ns
from outlast.history.history import Said
from outlast.history.op import Outcome
from outlast.history.store import RunDocument, load_run, save_run
from outlast.report.html.narrative import story
from outlast.run.node_logs import LOG_BYTES_MAX, store_logs
from outlast.run.said import what_was_said
from outlast.units import NS_PER_S

REFUSAL = "INFO: My wal position exceeds maximum replication lag"


def cluster_of(logs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a cluster of one node that has these logs."""
    for module in ("outlast.run.said", "outlast.run.node_logs"):
        monkeypatch.setattr(f"{module}.log_files", lambda _cluster, _name: logs)
    return SimpleNamespace(spec=SimpleNamespace(members=lambda: (SimpleNamespace(name="pg-node-2"),)))


def written(at: datetime, fraction: str, rest: str) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}{fraction}{rest}"


def test_telling_lines_of_each_program_are_kept_once_with_their_time_and_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = datetime.fromtimestamp(time.time(), UTC).replace(microsecond=0)
    texts = {
        "patroni": [written(at, ",123", f" {REFUSAL}")] * 3 + [written(at, ",9", " INFO: no action")],
        "postgresql": [written(at, ".250", " GMT [38] FATAL:  the database system is starting up")],
        "pg_autoctl": [f"{at:%H:%M:%S} 17 WARN  the keeper is in state report_lsn"],
        "etcd": [f'{{"level":"warn","ts":"{at:%Y-%m-%dT%H:%M:%S}.500Z","msg":"lost leader"}}', "{no json"],
        "odd": ["2026-99-99 99:99:99 FATAL: no such day", "without a time: FATAL"],
    }
    logs = {}
    for name, lines in texts.items():
        logs[name] = tmp_path / name
        logs[name].write_text("\n".join(lines))
    wall_ns = time.time_ns() - now_ns()
    start = int(at.timestamp()) * NS_PER_S - wall_ns
    found = what_was_said(cluster_of(logs, monkeypatch), start - NS_PER_S // 2, start + NS_PER_S)
    assert [(said.log, said.text, said.times) for said in found] == [
        ("pg_autoctl", "17 WARN  the keeper is in state report_lsn", 1),
        ("patroni", REFUSAL, 3),
        ("postgresql", "[38] FATAL:  the database system is starting up", 1),
        ("etcd", "WARN: lost leader", 1),
    ]
    assert found[1].at_ns == pytest.approx(start + 123_000_000, abs=5_000_000)
    assert what_was_said(cluster_of(logs, monkeypatch), start - 9 * NS_PER_S, start - NS_PER_S) == ()


def test_the_end_of_a_long_log_is_stored_and_says_what_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "patroni.log"
    log.write_bytes(b"a line of a log\n" * (LOG_BYTES_MAX // 10))
    store_logs(cluster_of({"patroni": log, "gone": tmp_path / "gone"}, monkeypatch), tmp_path)
    (stored,) = (tmp_path / "logs").iterdir()
    text = stored.read_text()
    assert stored.name == "pg-node-2-patroni.log"
    assert len(text) < LOG_BYTES_MAX + 100
    assert text.startswith("… ")
    assert text.endswith("a line of a log\n")


def test_an_outage_without_a_promotion_quotes_its_reason_and_so_does_the_story(tmp_path: Path) -> None:
    said = (Said(s(1), "n1", "patroni", "WARNING: early"), Said(s(4), "n2", "patroni", REFUSAL, 30))
    asked = [Row(500 + number, 3.1 + number, outcome=Outcome.FAIL) for number in range(56)]
    history = replace(Story([*steady(0, 3), *asked], faults=[fault(3)], end=60).history(), said=said)
    finding = quoted(Outage("append", 10).check(history, 0), history)
    assert finding.verdict is not Verdict.PASS
    assert finding.evidence[-1].message == f"4.000 s: patroni on n2 says: {REFUSAL} (30 times)"
    assert not any("early" in one.message for one in finding.evidence)
    assert any(REFUSAL in moment.text for moment in story(history, (), (), 60))
    save_run(tmp_path, history, RunDocument("d", "patroni", "fast", 1, "", ""))
    assert load_run(tmp_path)[0].said == said
