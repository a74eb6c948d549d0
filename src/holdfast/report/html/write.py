"""Writes a run's page, or the comparison of several, to a file that is there whole or as it was before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from holdfast.errors import ConfigError
from holdfast.history.history import History
from holdfast.history.store import RunDocument
from holdfast.report.html.compare import compare_page
from holdfast.report.html.page import run_page


def page_of(runs: Sequence[tuple[tuple[History, RunDocument], Path]]) -> str:
    """Return the page of one run, or of several beside each other. runs: each a stored run and its folder."""
    if len(runs) > 1:
        return compare_page(runs)
    (history, document), folder = runs[0]
    return run_page(history, document, folder)


def write_page(path: Path, runs: Sequence[tuple[tuple[History, RunDocument], Path]]) -> None:
    """Write the page of one run, or of several beside each other.

    runs: each a stored run and its folder. Raises ConfigError naming the file that cannot be written.
    """
    text = page_of(runs)
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", file=str(path), key="--html") from error
