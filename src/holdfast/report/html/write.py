"""Writes a run's page, or the comparison of several, to a file that is there whole or as it was before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from holdfast.errors import ConfigError
from holdfast.history.history import History
from holdfast.history.store import RunDocument
from holdfast.report.html.compare import compare_page
from holdfast.report.html.page import run_page


def write_page(path: Path, runs: Sequence[tuple[tuple[History, RunDocument], Path]]) -> None:
    """Write the page of one run, or of several beside each other.

    runs: each a stored run and its folder. Raises ConfigError naming the file that cannot be written.
    """
    if len(runs) == 1:
        (history, document), folder = runs[0]
        text = run_page(history, document, folder)
    else:
        text = compare_page(runs)
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", file=str(path), key="--html") from error
