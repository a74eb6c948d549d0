"""A run for a person at a terminal: the verdict, the figures against their limits, the proof, how to repeat it.

Made from the report alone, so that a stored run prints as it did. Everything from outside (names, messages of
servers) is printed literally. Meaning is in words; colour only helps.
"""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from outlast.checkers.base import Verdict
from outlast.history.history import JSON
from outlast.report.findings import CheckResult
from outlast.report.literal import literal_text
from outlast.report.run_report import RunReport, lateness_words
from outlast.report.suite_report import SKIPPED, MemberReport, SkippedReport

EVIDENCE_MAX: Final = 5
_STYLES: Final = {
    "pass": "bold green",
    "fail": "bold red",
    "unknown": "bold yellow",
    "invalid": "bold magenta",
}


def print_run(console: Console, run: RunReport) -> None:
    """Print a run."""
    console.print(
        Text.assemble(
            (run.verdict.upper(), _STYLES.get(run.verdict, "bold")),
            literal_text(f"  {run.drill} on {run.system}, profile {run.profile}, sync {run.sync}"),
        )
    )
    if run.title:
        console.print(literal_text(f"      {run.title}", "dim"))
    for check in run.checks:
        if check.consistency:
            console.print(literal_text(f"      {check.name} held to {check.consistency}"))
    console.print(_figures(run))
    for fault in run.faults:
        healed = "not healed" if fault.healed_s is None else f"healed at {fault.healed_s} s"
        console.print(
            literal_text(
                f"  fault  {fault.fault} on {', '.join(fault.targets)} at {fault.at_s} s, "
                f"{healed}; effective: {_yes(fault.effective)} ({fault.evidence})"
                + "".join(f"; by {means}" for means in fault.means)
            )
        )
    for check in run.checks:
        _print_check(console, check)
    console.print(literal_text(f"  store  {run.store}"))
    console.print(literal_text(f"  repeat {run.replay}"))


def print_brief(console: Console, member: MemberReport) -> None:
    """Print a member of a suite in a line, and what was wrong with it below."""
    if isinstance(member, SkippedReport):
        console.print(
            Text.assemble((SKIPPED.upper(), "dim"), literal_text(f"  {member.drill}: {member.reason}"))
        )
        return
    run = member if isinstance(member, RunReport) else None
    measured = (
        {} if run is None else {"acked": run.acked, "acked_lost": run.acked_lost, "outage_s": run.outage_s}
    )
    figures = [f"{name} {_figure(value)}" for name, value in measured.items() if value is not None]
    console.print(
        Text.assemble(
            (member.verdict.upper(), _STYLES.get(member.verdict, "bold")),
            literal_text(
                f"  {member.drill}: {member.title}" + (f" ({', '.join(figures)})" if figures else "")
            ),
        )
    )
    if member.expectation is not None:
        console.print(literal_text(f"  {member.expectation.outcome}"))
    if member.verdict is Verdict.PASS:
        return
    for check in member.checks:
        if check.verdict is not Verdict.PASS:
            _print_check(console, check)
    console.print(literal_text(f"  store  {member.store or None}"))
    console.print(literal_text(f"  repeat {member.replay}"))


def _figures(run: RunReport) -> Table:
    """Return the figures that people ask for first, each with its limit."""
    limits = {check.name: check.limit for check in run.checks}
    parts = [
        f"{name.removesuffix('_s')} {_figure(value)}"
        for name, value in run.outage.to_document().items()
        if value is not None
    ]
    table = Table(box=None, pad_edge=False, padding=(0, 2), show_header=False)
    availability = run.availability
    rows: list[tuple[str, JSON, str, str]] = [
        (
            "acked_lost",
            run.acked_lost,
            _limit(limits.get("lost_writes", limits.get("restorable"))),
            f"of {run.acked} acknowledged",
        ),
        ("outage_s", run.outage_s, _limit(limits.get("outage")), ", ".join(parts)),
        ("two_writers_s", run.two_writers_s, _limit(limits.get("split_brain")), ""),
        ("replicas_equal", _yes(run.replicas_equal), "", ""),
        (
            "availability",
            "" if availability is None else f"{availability:.4f}",
            "",
            f"{run.ops.ok} ok, {run.ops.fail} fail, {run.ops.info} unknown",
        ),
        ("rejoin_s", run.rejoin_s, "", "from the last healing to a whole cluster"),
    ]
    if run.lateness is not None:
        rows.append(("wanted", run.lateness["wanted"], "", lateness_words(run.lateness)))
    for name, value, limit, words in rows:
        shown = "not measured" if value is None else _figure(value)
        table.add_row(
            literal_text(f"  {name}"), literal_text(shown, "bold"), literal_text(limit), literal_text(words)
        )
    return table


def _print_check(console: Console, check: CheckResult) -> None:
    console.print(
        Text.assemble(
            "  check  ",
            (check.verdict.value, _STYLES.get(check.verdict, "")),
            literal_text(f"  {check.name}: {check.summary}{_margin(check)}"),
        )
    )
    for name, words in check.explained.items():
        console.print(literal_text(f"           {name}: {words}", "dim"))
    if check.verdict is Verdict.PASS:
        return
    for piece in check.evidence[:EVIDENCE_MAX]:
        console.print(literal_text(f"           {piece.message}"))
    if len(check.evidence) > EVIDENCE_MAX:
        console.print(
            literal_text(f"           … and {len(check.evidence) - EVIDENCE_MAX} more in the store")
        )


def _figure(value: JSON) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _limit(limit: JSON) -> str:
    return "" if limit is None else f"limit {_figure(limit)}"


def _margin(check: CheckResult) -> str:
    """Return a check's limit and how far from it the value is, where it has both."""
    if check.margin is None:
        return ""
    return f" [limit {_figure(check.limit)}, margin {_figure(check.margin)}]"


def _yes(value: bool | None) -> str:
    return "unknown" if value is None else "yes" if value else "no"
