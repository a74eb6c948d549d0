"""A matrix for a person at a terminal, a line a cell, from its report alone."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from outlast.report.literal import literal_text
from outlast.report.matrix_report import CellReport, MatrixReport
from outlast.report.run_report import Number

_COLUMNS = ("drill", "system", "profile", "sync", "verdict", "outage s", "spread", "model s", "lost", "two writers s",
            "rejoin s", "")  # fmt: skip


def print_matrix(console: Console, matrix: MatrixReport) -> None:
    """Print a matrix."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in _COLUMNS:
        shown.add_column(column, overflow="fold")
    for cell in matrix.cells:
        shown.add_row(*(literal_text(text) for text in cell_columns(cell)))
    console.print(shown)
    told = "" if matrix.complete else ", not complete"
    console.print(literal_text(f"{matrix.verdict.upper()}  {matrix.runs} runs a cell{told}"))
    console.print(literal_text(f"  store  {matrix.store}"))
    console.print(literal_text(f"  repeat {matrix.replay}"))


def cell_columns(cell: CellReport) -> list[str]:
    """Return what a table says of one cell, column by column."""
    figures = cell.figures
    outage, rejoin, model = figures.outage_s, figures.rejoin_s, figures.model
    over = "over its model" if figures.within_model is False else ""
    return [
        *(cell.drill, cell.system, cell.profile, cell.sync, cell.verdict),
        "" if outage is None else _text(outage.median),
        f"{_text(outage.min)}–{_text(outage.max)}" if outage is not None else "",
        "" if model is None else _text(model.outage_s),
        _text(figures.acked_lost),
        _text(figures.two_writers_s),
        "" if rejoin is None else _text(rejoin.median),
        cell.reason or over,
    ]


def _text(value: Number | None) -> str:
    return "" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)
