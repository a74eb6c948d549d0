"""Puts a run's page together: what is asked first stands first, and everything below it is the proof."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from outlast.checkers.base import Evidence
from outlast.checkers.split_brain import two_writers
from outlast.history.history import JSON, History
from outlast.history.store import RunDocument
from outlast.report.findings import CheckResult
from outlast.report.html.axes import bytes_words
from outlast.report.html.chart import Chart, part_chart, run_chart
from outlast.report.html.embedded_files import embed, observations_file, ops_file
from outlast.report.html.figures import figures, outage_splits
from outlast.report.html.lanes import ChartData, run_end_s
from outlast.report.html.losses import LossGroup, loss_groups, loss_rows
from outlast.report.html.narrative import gaps, story
from outlast.report.html.pictures import (
    BranchPicture,
    CyclePicture,
    IntervalPicture,
    branch_picture,
    cycle_picture,
    interval_picture,
    op_row,
)
from outlast.report.html.series import op_times
from outlast.report.run_report import run_report

EVIDENCE_SHOWN: Final = 6
LOSS_ROWS: Final = 100
VERDICT_WORDS: Final = {
    "pass": "Every check passed.",
    "fail": "What must never happen, happened.",
    "unknown": "Not every check could be decided.",
    "invalid": "The experiment itself failed, so the run proves nothing.",
}
CHECK_TITLES: Final = {
    "lost_writes": "Are all acknowledged writes still there?",
    "restorable": "Does the backup bring back what it must, and nothing else?",
    "outage": "How long could nobody write?",
    "split_brain": "Did two nodes take writes?",
    "replicas_equal": "Do all nodes hold the same?",
    "fault_effects": "Did the faults bite, and were they healed?",
    "availability": "How many operations were acknowledged?",
    "rejoin": "Did every node come back?",
    "recovery": "Did the cluster become whole again?",
    "linearizable": "Did it behave like a single copy?",
    "list_append": "Do the transactions fit into an order?",
    "rw_register": "Do the transactions fit into an order?",
    "long_fork": "Did all see writes in the same order?",
    "bank": "Is the total unchanged?",
    "acknowledged": "Was anything acknowledged at all?",
}


@dataclass(frozen=True, slots=True)
class EvidenceItem:
    """A piece of evidence: its sentence, its ops as rows of a table, and a picture where one helps."""

    message: str
    ops: tuple[dict[str, JSON], ...] = ()
    cycle: CyclePicture | None = None
    intervals: IntervalPicture | None = None


@dataclass(frozen=True, slots=True)
class CheckSection:
    """A finding as the page shows it. more: pieces of evidence that are not shown."""

    name: str
    title: str
    verdict: str
    summary: str
    proofs: tuple[EvidenceItem, ...]
    more: int
    anomalies: Mapping[str, int] = field(default_factory=dict)
    explained: Mapping[str, str] = field(default_factory=dict)
    consistency: str = ""
    allowed: str = ""


@dataclass(frozen=True, slots=True)
class LossDetail:
    """A group of lost writes with the rows that are shown of it."""

    group: LossGroup
    rows: tuple[dict[str, JSON], ...]
    branch: BranchPicture | None


def run_page(history: History, document: RunDocument, folder: Path) -> str:
    """Return a run's page. folder: its store, of which only the name is shown. About 3 s for a million ops."""
    run = run_report(history, document, Path(folder.name))
    times = op_times(history)
    writers = tuple(one for workload in history.ops.f_names for one in two_writers(history, workload))
    data = ChartData(history, times, loss_groups(history), run_end_s(history, times), writers)
    found = gaps(history) if history.faults else {}
    moments = story(history, data.losses, writers, data.end_s)
    whole = {**run.to_document(), "cluster": dict(document.cluster), "drill_document": dict(document.drill),
             "versions": dict(document.versions)}  # fmt: skip
    raws = [
        embed("run", "run.json", "the run document", json.dumps(whole, indent=1).encode()),
        ops_file(history, times, [one.at_s for one in moments if one.kind != "plain"]),
        observations_file(history),
    ]
    splits = outage_splits(history, found, run)
    charts: dict[str, Chart] = {"run": run_chart(data)}
    if splits:
        widest = max(splits, key=lambda split: split.seconds)
        charts["outage"] = part_chart(data, "outage", widest.start_s, widest.end_s, curves=True)
    if data.losses:
        first_s, last_s = min(one.first_s for one in data.losses), max(one.last_s for one in data.losses)
        charts["losses"] = part_chart(data, "losses", first_s, last_s, curves=False)
    return render(
        "report.html.j2",
        run=run,
        document=document,
        verdict_words=VERDICT_WORDS.get(document.verdict, ""),
        figures=figures(run),
        story=moments,
        charts=charts,
        splits=splits,
        losses=[
            LossDetail(group, tuple(loss_rows(history, group, LOSS_ROWS)), branch_picture(history, group))
            for group in data.losses
        ],
        checks=[check_section(history, check) for check in run.checks],
        raws=raws,
        settings=settings_of(document),
        started=clock_words(document.started),
    )


def check_section(history: History, check: CheckResult) -> CheckSection:
    """Return a finding as the page shows it."""
    return CheckSection(
        name=check.name,
        title=CHECK_TITLES.get(check.name, check.name.replace("_", " ")),
        verdict=check.verdict,
        summary=check.summary,
        proofs=tuple(_proof(history, piece) for piece in check.evidence[:EVIDENCE_SHOWN]),
        more=max(0, len(check.evidence) - EVIDENCE_SHOWN),
        anomalies=check.anomalies,
        explained=check.explained,
        consistency=check.consistency,
        allowed=check.allowed,
    )


def _proof(history: History, evidence: Evidence) -> EvidenceItem:
    numbers = [number for number in evidence.ops if number < len(history.ops)]
    return EvidenceItem(
        evidence.message,
        tuple(op_row(history, number) for number in numbers),
        cycle_picture(evidence.details),
        interval_picture(history, evidence.details),
    )


def clock_words(stamp: str) -> str:
    """Return a timestamp as ``clock.timestamp`` writes it in a form for people."""
    try:
        return f"{datetime.strptime(stamp, '%Y%m%dT%H%M%SZ'):%Y-%m-%d %H:%M:%S} UTC"
    except ValueError:
        return stamp


def settings_of(document: RunDocument) -> list[tuple[str, str]]:
    """Return what the run was made of, flat: keys of cluster and drill with their values."""
    rows: list[tuple[str, str]] = []
    for root, tree in (("cluster", document.cluster), ("drill", document.drill)):
        _flatten(root, dict(tree), rows)
    return rows


def _flatten(key: str, value: JSON, rows: list[tuple[str, str]]) -> None:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            _flatten(f"{key}.{name}", inner, rows)
    elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
        for place, one in enumerate(value):
            _flatten(f"{key}.{place}", one, rows)
    elif value not in (None, "", [], {}):
        words = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        rows.append((key, {"True": "on", "False": "off"}.get(words, words)))


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("outlast.report.html", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["bytes"] = bytes_words
    made.filters["seconds"] = lambda value: f"{value:.3f} s"
    made.filters["count"] = lambda value: f"{value:,}"
    return made


def asset(name: str) -> str:
    """Return one of our own style sheets or scripts, to be inlined."""
    return (files("outlast.report.html") / "templates" / name).read_text(encoding="utf-8")


def render(template: str, **values: object) -> str:
    """Return a page from a template. Everything in values is escaped; the page may run our one script and no other."""
    script = asset("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        _environment()
        .get_template(template)
        .render(
            **values,
            style=Markup(asset("report.css")),
            script=Markup(script),
            policy=(
                f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
                "base-uri 'none'; form-action 'none'"
            ),
        )
    )
