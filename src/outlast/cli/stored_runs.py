"""The command that reports what is stored, and how stored things are found by name."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from outlast.checkers.base import worst
from outlast.cli.options import json_option
from outlast.cli.output import ERR, EXIT_CODES, OUT, print_json
from outlast.errors import ConfigError, HistoryError
from outlast.history.history import JSON
from outlast.history.matrices import FILE as MATRIX_FILE
from outlast.history.matrices import load_matrix
from outlast.history.store import load_run
from outlast.hosts.state import runs_folder
from outlast.report.literal import literal_text
from outlast.report.matrix import print_matrix
from outlast.report.matrix_report import MatrixReport
from outlast.report.run_report import run_report
from outlast.report.terminal import print_run


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


COMMANDS: Final = (report,)
