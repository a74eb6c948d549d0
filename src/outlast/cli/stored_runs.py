"""Commands that judge and report what is stored: check, report."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from outlast.checkers.base import Verdict, worst
from outlast.checkers.judge import CONSISTENCIES, INITIALS, MODELS, STRICT, checkers_for, judge
from outlast.cli.options import json_option
from outlast.cli.output import ERR, EXIT_CODES, OUT, print_json, say
from outlast.config import stored_drill
from outlast.errors import ConfigError, HistoryError
from outlast.history.formats import FORMATS, read_history
from outlast.history.history import JSON, History
from outlast.history.matrices import FILE as MATRIX_FILE
from outlast.history.matrices import load_matrix
from outlast.history.sketch import sketch
from outlast.history.store import load_run, save_document
from outlast.hosts.state import runs_folder
from outlast.report.findings import CheckResult
from outlast.report.literal import literal_text
from outlast.report.matrix import print_matrix
from outlast.report.matrix_report import MatrixReport
from outlast.report.run_report import run_report
from outlast.report.terminal import print_run
from outlast.run.conclude import judge_again

_SHOWN: Final = (
    *("name", "verdict", "anomalies", "elapsed_s", "summary", "value", "limit", "evidence"),
    *("consistency", "explained"),
)
"""What ``check --json`` says of each finding."""


def find_store(text: str) -> Path:
    """Return the folder of a stored run, by its path or by its name. Raises ConfigError."""
    place = _holding("run.json", text)
    if place is None:
        raise ConfigError(f"{text[:200]} is no stored run", hint="outlast ls runs lists them")
    return place


def find_matrix(text: str) -> Path | None:
    """Return the folder of a stored matrix, by its path or by its name; None when it is none."""
    return _holding(MATRIX_FILE, text)


def _holding(file: str, text: str) -> Path | None:
    """Return the folder of that path or that name below runs that holds a file; None without one."""
    for place in (Path(text), runs_folder() / text):
        with contextlib.suppress(OSError, ValueError):  # a name too long, a folder closed to us, a NUL
            if (place / file).is_file():
                return place
    return None


@click.command()
@click.argument("source", metavar="STORE|FILE")
@click.option(
    "--format",
    "format_",
    metavar="F",
    default="outlast",
    help=f"{', '.join(FORMATS)}; the first by default.",
)
@click.option("--model", metavar="M", help=f"What it should have behaved like: {', '.join(MODELS)}.")
@click.option(
    "--consistency", metavar="C", help=f"For transactions: {', '.join(CONSISTENCIES)}; the first by default."
)
@click.option(
    "--initial",
    metavar="V",
    help=f"What it holds before the history begins, as JSON; for {', '.join(INITIALS)}.",
)
@json_option
def check(
    source: str, format_: str, model: str | None, consistency: str | None, initial: str | None, as_json: bool
) -> int:
    """Judge a history offline: a stored run by its own drill's checks, or any history by a model."""
    if format_ not in FORMATS:
        raise ConfigError(
            f"there is no format {format_}", key="format", hint=f"formats: {', '.join(FORMATS)}"
        )
    if format_ == "outlast" and model is None and consistency is None and initial is None:
        return _check_run(find_store(source), as_json)
    if model is None:
        raise ConfigError("is missing", key="--model", hint=f"models: {', '.join(MODELS)}")
    first = _initial(initial)
    checkers_for(History(sketch("")), model, consistency or STRICT, first)  # before a long file is read
    place = find_store(source) if format_ == "outlast" else Path(source)
    try:
        findings = judge(read_history(place, format_), model, consistency or STRICT, initial=first)
    except HistoryError as error:
        if source in error.message or str(place) in error.message:
            raise
        raise HistoryError(error.message, file=source, hint=error.hint) from error
    results = [CheckResult.of(finding) for finding in findings]
    return _print_checks(source, worst(result.verdict for result in results), results, as_json)


def _initial(text: str | None) -> JSON:
    """Return an initial value. Raises ConfigError for text that is no JSON."""
    try:
        value: JSON = None if text is None else json.loads(text)
    except ValueError:
        raise ConfigError(
            f"{text} is no JSON", key="--initial", hint="a string is written in quotes"
        ) from None
    return value


def _check_run(folder: Path, as_json: bool) -> int:
    history, document = load_run(folder)
    again = document  # a check in code has nothing to be judged by again
    if document.drill:
        again = judge_again(history, document, stored_drill(document.drill, str(folder / "run.json")))
        save_document(folder, again)
    results = [CheckResult.from_document(finding) for finding in again.findings]
    return _print_checks(folder.name, Verdict(again.verdict), results, as_json)


def _print_checks(name: str, verdict: Verdict, results: Sequence[CheckResult], as_json: bool) -> int:
    """Print the results of checks and return the exit code."""
    if as_json:
        documents = [result.to_document() for result in results]
        checks: list[JSON] = [{key: document[key] for key in _SHOWN} for document in documents]
        print_json({"verdict": verdict, "checks": checks})
        return EXIT_CODES[verdict]
    say(f"{verdict}: {name}")
    for result in results:
        say(f"  {result.verdict}  {result.name}: {result.summary}")
        for anomaly, words in result.explained.items():
            say(f"        {anomaly}: {words}")
    return EXIT_CODES[verdict]


def write_matrix(html_file: str, matrix: MatrixReport) -> None:
    """Write a matrix's page to a file, with those of its runs that are still stored here."""
    from outlast.report.html import write_matrix_page

    stores = [Path(store) for cell in matrix.cells for store in cell.figures.stores]
    # A store that was moved, or came from another machine, lies among our own runs under its old name.
    stores = [store if store.exists() else runs_folder() / store.name for store in stores]
    runs = [(load_run(folder), folder) for folder in stores if (folder / "run.json").is_file()]
    write_matrix_page(Path(html_file), matrix, runs)
    ERR.print(literal_text(f"written: {html_file}"))


def _load_matrix(folder: Path) -> MatrixReport:
    try:
        return MatrixReport.from_document(load_matrix(folder))
    except (KeyError, TypeError) as error:
        raise HistoryError(f"is no matrix: {error}", file=str(folder / MATRIX_FILE)) from error


@click.command()
@click.argument("stores", nargs=-1, required=True, metavar="STORE…")
@click.option(
    "--html",
    "html_file",
    metavar="FILE",
    help="Write one web page that stands for itself; several runs are compared.",
)
@json_option
def report(stores: Sequence[str], html_file: str | None, as_json: bool) -> int:
    """Print the report of stored runs, or with --html write it as a page; or that of one stored matrix."""
    if len(stores) == 1 and (matrix := find_matrix(stores[0])) is not None:
        found = _load_matrix(matrix)
        if html_file is not None:
            write_matrix(html_file, found)
        if as_json:
            print_json(found.to_document())
        elif html_file is None:
            print_matrix(OUT, found)
        return EXIT_CODES[found.verdict]
    folders = [find_store(store) for store in stores]
    runs = [load_run(folder) for folder in folders]
    reports = [
        run_report(history, document, folder)
        for (history, document), folder in zip(runs, folders, strict=True)
    ]
    if html_file is not None:
        from outlast.report.html import write_page

        write_page(Path(html_file), list(zip(runs, folders, strict=True)))
        ERR.print(literal_text(f"written: {html_file}"))
    if as_json:
        documents: list[JSON] = [report.to_document() for report in reports]
        print_json(documents[0] if len(documents) == 1 else {"runs": documents})
    elif html_file is None:
        for each in reports:
            print_run(OUT, each)
    return EXIT_CODES[worst(each.verdict for each in reports)]


COMMANDS: Final = (check, report)
