"""A matrix for a person at a terminal, a line a cell, from its document alone (its shape: campaigns/matrix.py)."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from outlast.history.history import JSON
from outlast.report.json import Document
from outlast.report.literal import literal_text

_COLUMNS = ("drill", "system", "profile", "sync", "verdict", "outage s", "spread", "model s", "lost", "two writers s",
            "rejoin s", "")  # fmt: skip


def print_matrix(console: Console, matrix: Document) -> None:
    """Print a matrix's document."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in _COLUMNS:
        shown.add_column(column, overflow="fold")
    cells = matrix["cells"]
    for cell in cells if isinstance(cells, list) else []:
        if isinstance(cell, dict):
            shown.add_row(*(literal_text(text) for text in cell_words(cell)))
    console.print(shown)
    told = "" if matrix["complete"] else ", not complete"
    console.print(literal_text(f"{str(matrix['verdict']).upper()}  {matrix['runs']} runs a cell{told}"))
    console.print(literal_text(f"  store  {matrix['store']}"))
    console.print(literal_text(f"  repeat {matrix['replay']}"))


def cell_words(cell: Mapping[str, JSON]) -> list[str]:
    """Return what a table says of one cell, column by column."""
    outage, rejoin, model = (_mapping(cell.get(key)) for key in ("outage_s", "rejoin_s", "model"))
    between = f"{_text(outage.get('min'))}–{_text(outage.get('max'))}" if outage else ""
    over = "over its model" if cell.get("within_model") is False else ""
    return [
        *(_text(cell.get(key)) for key in ("drill", "system", "profile", "sync", "verdict")),
        _text(outage.get("median")),
        between,
        _text(model.get("outage_s")),
        _text(cell.get("acked_lost")),
        _text(cell.get("two_writers_s")),
        _text(rejoin.get("median")),
        _text(cell.get("reason")) or over,
    ]


def _mapping(value: JSON) -> Mapping[str, JSON]:
    return value if isinstance(value, dict) else {}


def _text(value: JSON) -> str:
    return "" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)
