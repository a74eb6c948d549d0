"""A run for a person at a terminal: the verdict, the figures against their limits, the proof, how to repeat it.

Made from the JSON document alone, so that a stored run prints as it did. Everything from outside (names, messages of
servers) is printed literally. Meaning is in words; colour only helps.
"""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from outlast.history.history import JSON
from outlast.report.json import Document
from outlast.report.literal import literal_text

EVIDENCE_MAX: Final = 5
_STYLES: Final = {
    "pass": "bold green",
    "fail": "bold red",
    "unknown": "bold yellow",
    "invalid": "bold magenta",
}


def print_run(console: Console, run: Document) -> None:
    """Print a run document."""
    verdict = str(run["verdict"])
    console.print(
        Text.assemble(
            (verdict.upper(), _STYLES.get(verdict, "bold")),
            literal_text(
                f"  {run['drill']} on {run['system']}, profile {run['profile']}, sync {run['sync']}"
            ),
        )
    )
    if run["title"]:
        console.print(literal_text(f"      {run['title']}", "dim"))
    console.print(_figures(run))
    for fault in _list(run["faults"]):
        healed = "not healed" if fault["healed_s"] is None else f"healed at {fault['healed_s']} s"
        console.print(
            literal_text(
                f"  fault  {fault['fault']} on {', '.join(map(str, _plain(fault['targets'])))} at {fault['at_s']} s, "
                f"{healed}; effective: {_yes(fault['effective'])} ({fault['evidence']})"
                + "".join(f"; by {means}" for means in _plain(fault["means"]))
            )
        )
    for check in _list(run["checks"]):
        _print_check(console, check)
    console.print(literal_text(f"  store  {run['store']}"))
    console.print(literal_text(f"  repeat {run['replay']}"))


def print_brief(console: Console, run: Document) -> None:
    """Print a member of a suite in a line, and what was wrong with it below."""
    verdict = str(run["verdict"])
    if "reason" in run:
        console.print(
            Text.assemble((verdict.upper(), "dim"), literal_text(f"  {run['drill']}: {run['reason']}"))
        )
        return
    figures = [
        f"{name} {_figure(run[name])}"
        for name in ("acked", "acked_lost", "outage_s")
        if run.get(name) is not None
    ]
    console.print(
        Text.assemble(
            (verdict.upper(), _STYLES.get(verdict, "bold")),
            literal_text(
                f"  {run['drill']}: {run['title']}" + (f" ({', '.join(figures)})" if figures else "")
            ),
        )
    )
    if "outcome" in run:
        console.print(literal_text(f"  {run['outcome']}"))
    if verdict == "pass":
        return
    for check in _list(run["checks"]):
        if check["verdict"] != "pass":
            _print_check(console, check)
    console.print(literal_text(f"  store  {run['store']}"))
    console.print(literal_text(f"  repeat {run['replay']}"))


def _figures(run: Document) -> Table:
    """Return the figures that people ask for first, each with its limit."""
    ops = run["ops"]
    split = run["outage"]
    assert isinstance(ops, dict)
    assert isinstance(split, dict)
    limits = {str(check["name"]): check["limit"] for check in _list(run["checks"])}
    parts = [
        f"{name.removesuffix('_s')} {_figure(value)}" for name, value in split.items() if value is not None
    ]
    table = Table(box=None, pad_edge=False, padding=(0, 2), show_header=False)
    availability = run["availability"]
    rows: list[tuple[str, JSON, str, str]] = [
        (
            "acked_lost",
            run["acked_lost"],
            _limit(limits.get("lost_writes", limits.get("restorable"))),
            f"of {run['acked']} acknowledged",
        ),
        ("outage_s", run["outage_s"], _limit(limits.get("outage")), ", ".join(parts)),
        ("two_writers_s", run["two_writers_s"], _limit(limits.get("split_brain")), ""),
        ("replicas_equal", _yes(run["replicas_equal"]), "", ""),
        (
            "availability",
            "" if not isinstance(availability, float) else f"{availability:.4f}",
            "",
            f"{ops['ok']} ok, {ops['fail']} fail, {ops['info']} unknown",
        ),
        ("rejoin_s", run["rejoin_s"], "", "from the last healing to a whole cluster"),
    ]
    for name, value, limit, words in rows:
        shown = "not measured" if value is None else _figure(value)
        table.add_row(
            literal_text(f"  {name}"), literal_text(shown, "bold"), literal_text(limit), literal_text(words)
        )
    return table


def _print_check(console: Console, check: Document) -> None:
    verdict = str(check["verdict"])
    console.print(
        Text.assemble(
            "  check  ",
            (verdict, _STYLES.get(verdict, "")),
            literal_text(f"  {check['name']}: {check['summary']}{_held(check)}"),
        )
    )
    if verdict == "pass":
        return
    evidence = _list(check["evidence"])
    for one in evidence[:EVIDENCE_MAX]:
        console.print(literal_text(f"           {one['message']}"))
    if len(evidence) > EVIDENCE_MAX:
        console.print(literal_text(f"           … and {len(evidence) - EVIDENCE_MAX} more in the store"))


def _figure(value: JSON) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _limit(limit: JSON) -> str:
    return "" if limit is None else f"limit {_figure(limit)}"


def _held(check: Document) -> str:
    """Return a check's limit and how far from it the value is, where it has both."""
    margin = check.get("margin")
    return "" if margin is None else f" [limit {_figure(check['limit'])}, margin {_figure(margin)}]"


def _yes(value: JSON) -> str:
    return {True: "yes", False: "no"}.get(value, "unknown") if isinstance(value, bool) else "unknown"


def _plain(value: JSON) -> list[JSON]:
    return value if isinstance(value, list) else []


def _list(value: JSON) -> list[Document]:
    return [one for one in _plain(value) if isinstance(one, dict)]
