"""Writes a run's page, or the comparison of several, to a file that is there whole or as it was before."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from outlast.checkers.offline import Checked
from outlast.errors import ConfigError
from outlast.files import write_atomic
from outlast.report.html.compare import StoredRun, compare_page
from outlast.report.html.history_page import history_page
from outlast.report.html.matrix import matrix_page
from outlast.report.html.page import run_page
from outlast.report.matrix_report import MatrixReport


def page_of(runs: Sequence[StoredRun]) -> str:
    """Return the page of one run, or of several beside each other. runs: each a stored run and its folder."""
    if len(runs) > 1:
        return compare_page(runs)
    (history, document), folder = runs[0]
    return run_page(history, document, folder)


def write_page(path: Path, runs: Sequence[StoredRun]) -> None:
    """Write the page of one run, or of several beside each other. Raises ConfigError naming the file that cannot
    be written."""
    _write(path, page_of(runs))


def write_history_page(path: Path, name: str, checked: Checked) -> None:
    """Write the page of a judged history. name: of its file. Raises as write_page does."""
    _write(path, history_page(name, checked))


def write_matrix_page(path: Path, matrix: MatrixReport, runs: Sequence[StoredRun]) -> None:
    """Write the page of a matrix. runs: those of its runs whose stores are still there. Raises as write_page does."""
    _write(path, matrix_page(matrix, runs))


def check_page_file(path: Path) -> None:
    """Raise ConfigError for a file that no page can be written to: to be asked before long work."""
    if not path.name or path.is_dir():
        raise ConfigError("is a folder", file=str(path), key="--html")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        why = "is not writable" if path.parent.is_dir() else "does not exist"
        raise ConfigError(f"its folder {why}", file=str(path), key="--html")


def _write(path: Path, text: str) -> None:
    check_page_file(path)
    try:
        write_atomic(path, text)
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", file=str(path), key="--html") from error
