"""A matrix as a page: for each drill, systems by profiles, every cell's outage beside its manager's own model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from outlast.history.history import JSON
from outlast.report.html.compare import StoredRun, comparison_values
from outlast.report.html.page import clock_words, render
from outlast.report.matrix_report import CellReport, MatrixReport
from outlast.report.run_report import Number


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """One drill on one system with one profile. low, middle, high, model: percent of the widest; None without one.

    outage: in words; reason: why it was skipped or failed, "" otherwise.
    """

    profile: str
    verdict: str
    reason: str
    outage: str
    low: float | None
    middle: float | None
    high: float | None
    model: float | None
    model_words: str
    over: bool
    lost: JSON
    writers: JSON
    rejoin: str
    runs: JSON


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """A system's cells, by profile."""

    system: str
    sync: str
    cells: tuple[MatrixCell, ...]


@dataclass(frozen=True, slots=True)
class MatrixBlock:
    """A drill's rows."""

    drill: str
    title: str
    rows: tuple[MatrixRow, ...]


def matrix_page(matrix: MatrixReport, runs: Sequence[StoredRun]) -> str:
    """Return a matrix's page. runs: those of its runs whose stores are still there; they are compared below."""
    cells = matrix.cells
    outages = [cell.figures.outage_s.max for cell in cells if cell.figures.outage_s is not None]
    widest = max([*outages, *(_model_s(cell) or 0 for cell in cells), 1e-9])
    drills = list(dict.fromkeys((cell.drill, cell.title or "") for cell in cells))
    blocks = []
    for drill, title in drills:
        own = [cell for cell in cells if cell.drill == drill]
        systems = list(dict.fromkeys((cell.system, cell.sync) for cell in own))
        rows = [
            MatrixRow(
                system,
                sync,
                tuple(_cell(cell, widest) for cell in own if (cell.system, cell.sync) == (system, sync)),
            )
            for system, sync in systems
        ]
        blocks.append(MatrixBlock(drill, title, tuple(rows)))
    return render(
        "matrix.html.j2",
        matrix=matrix,
        blocks=blocks,
        profiles=matrix.profiles,
        began=clock_words(matrix.started),
        missing=sum(len(cell.figures.stores) for cell in cells) - len(runs),
        **(comparison_values(runs) if runs else {"runs": []}),
    )


def _cell(cell: CellReport, widest: float) -> MatrixCell:
    figures, model_s = cell.figures, _model_s(cell)
    outage, rejoin = figures.outage_s, figures.rejoin_s

    def place(value: float | None) -> float | None:
        return None if value is None else round(value / widest * 100, 2)

    words = "" if outage is None else f"{outage.median:.3f} s"
    if outage is not None and outage.min != outage.max:
        words += f" ({outage.min:.3f} – {outage.max:.3f})"
    return MatrixCell(
        profile=cell.profile,
        verdict=cell.verdict,
        reason=cell.reason or "",
        outage=words,
        low=place(None if outage is None else outage.min),
        middle=place(None if outage is None else outage.median),
        high=place(None if outage is None else outage.max),
        model=place(model_s),
        model_words="" if model_s is None else f"{model_s:g} s",
        over=figures.within_model is False,
        lost=figures.acked_lost,
        writers=figures.two_writers_s,
        rejoin="" if rejoin is None else f"{rejoin.median:.1f} s",
        runs=figures.runs,
    )


def _model_s(cell: CellReport) -> Number | None:
    return None if cell.figures.model is None else cell.figures.model.outage_s
