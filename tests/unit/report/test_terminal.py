"""What a person reads says what the JSON says, and text from outside is never markup."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

from histories import fault, ops, steady
from rich.console import Console

from outlast.history.history import History
from outlast.history.store import RunDocument
from outlast.report.run_report import RunReport, run_report
from outlast.report.terminal import print_run

HOSTILE = "[red]x[/red] [link=file:///etc]\x1b[31m"


def report() -> RunReport:
    history = History(ops(steady(0, 2)), faults=(replace(fault(1.0), evidence=HOSTILE),))
    run = RunDocument(
        name="d",
        system="patroni",
        profile="fast",
        seed=7,
        replay="outlast drill d --seed 7",
        started="",
        verdict="fail",
        findings=(
            {
                "name": "lost_writes",
                "verdict": "fail",
                "summary": "1 lost",
                "value": 1,
                "limit": 0,
                "evidence": [{"message": f"{HOSTILE} was acknowledged", "ops": [1], "details": {}}],
            },
        ),
        notes={"title": "t", "sync": "on"},
    )
    return run_report(history, run, Path("store"))


def printed(run: RunReport) -> str:
    out = io.StringIO()
    print_run(Console(file=out, width=200), run)
    return out.getvalue()


def test_the_document_counts_every_op_once() -> None:
    run = report()
    assert run.ops.invoked == run.ops.ok == run.acked == 20
    assert run.acked_lost == 1
    assert run.outage_s is None, "what no checker measured is not made up"


def test_the_terminal_shows_verdict_figures_proof_and_how_to_repeat_it() -> None:
    text = printed(report())
    for words in (
        "FAIL  d on patroni",
        "acked_lost",
        "limit 0",
        "of 20 acknowledged",
        "--seed 7",
        "not measured",
    ):
        assert words in text


def test_text_from_outside_is_printed_literally() -> None:
    text = printed(report())
    assert "[red]x[/red]" in text
    assert "\x1b[31m" not in text
