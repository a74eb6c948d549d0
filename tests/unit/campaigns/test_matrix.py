"""A matrix's figures and its document, without a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
from reports import run_of

from outlast.campaigns.matrix import figure_range, summarise
from outlast.errors import HistoryError
from outlast.history.matrices import FILE, load_matrix, save_matrix
from outlast.report.matrix import cell_columns
from outlast.report.matrix_report import CellFigures, CellReport, FigureRange, MatrixReport
from outlast.report.run_report import RunReport


def run(outage_s: float, lost: int = 0, rejoin_s: float | None = 1.0) -> RunReport:
    return run_of("x", "pass", outage_s=outage_s, rejoin_s=rejoin_s, acked_lost=lost)


def cell(figures: CellFigures, verdict: str = "pass", reason: str | None = None) -> CellReport:
    return CellReport("patroni", "fast", "x", "X", "on", verdict, reason, figures)


def matrix(*cells: CellReport) -> MatrixReport:
    return MatrixReport("m", "pass", True, ("patroni",), ("fast",), ("x",), 1, 7, "outlast matrix", "m", "now", 1.5,
                        cells, [run(4.0).to_document()])  # fmt: skip


def test_a_cell_has_the_median_the_spread_and_the_worst() -> None:
    figures = summarise([run(4.0), run(9.0, lost=2), run(5.0, rejoin_s=None)])
    assert figures.outage_s == FigureRange(5.0, 4.0, 9.0, (4.0, 9.0, 5.0))
    assert (figures.runs, figures.acked, figures.acked_lost, figures.within_model) == (3, 300, 2, True)
    assert figures.rejoin_s is not None
    assert figures.rejoin_s.values == (1.0, 1.0)


def test_one_run_over_the_model_is_told() -> None:
    figures = summarise([run(4.0), run(10.5)])
    assert figures.within_model is False
    assert cell_columns(cell(figures))[-1] == "over its model"


def test_a_cell_that_never_ran_has_no_figures_and_says_why() -> None:
    figures = summarise([])
    assert (figures.outage_s, figures.model, figures.within_model) == (None, None, None)
    assert cell_columns(cell(figures, "skipped", "no pgpool"))[-1] == "no pgpool"
    assert figure_range([]) is None


def test_a_stored_matrix_is_read_again_and_anything_else_refused(tmp_path: Path) -> None:
    report = matrix(cell(summarise([run(4.0)])), cell(summarise([]), "skipped", "no pgpool"))
    save_matrix(tmp_path, report.to_document())
    assert MatrixReport.from_document(load_matrix(tmp_path)) == report
    for text in ("", "[]", '{"format": "outlast-run"}', '{"format": "outlast-matrix", "version": 1}'):
        (tmp_path / FILE).write_text(text)
        with pytest.raises(HistoryError, match=FILE):
            load_matrix(tmp_path)
