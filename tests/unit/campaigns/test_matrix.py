"""A matrix's figures and its document, without a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlast.campaigns.matrix import spread, summarise
from outlast.errors import HistoryError
from outlast.history.matrices import FILE, load_matrix, save_matrix
from outlast.report.json import Document
from outlast.report.matrix import cell_words


def run_of(outage_s: float, lost: int = 0, rejoin_s: float | None = 1.0) -> Document:
    return {
        "outage_s": outage_s,
        "rejoin_s": rejoin_s,
        "acked": 100,
        "acked_lost": lost,
        "two_writers_s": 0.0,
        "model": {"outage_s": 10.0, "reason": "ttl"},
        "replay": "outlast drill x --seed 1",
        "store": "somewhere",
    }


def test_a_cell_has_the_median_the_spread_and_the_worst() -> None:
    cell = summarise([run_of(4.0), run_of(9.0, lost=2), run_of(5.0, rejoin_s=None)])
    assert cell["outage_s"] == {"median": 5.0, "min": 4.0, "max": 9.0, "values": [4.0, 9.0, 5.0]}
    assert (cell["runs"], cell["acked"], cell["acked_lost"], cell["within_model"]) == (3, 300, 2, True)
    assert isinstance(cell["rejoin_s"], dict)
    assert cell["rejoin_s"]["values"] == [1.0, 1.0]


def test_one_run_over_the_model_is_told() -> None:
    cell: Document = {**summarise([run_of(4.0), run_of(10.5)]), "drill": "x", "reason": None}
    assert cell["within_model"] is False
    assert cell_words(cell)[-1] == "over its model"


def test_a_cell_that_never_ran_has_no_figures_and_says_why() -> None:
    cell: Document = {**summarise([]), "verdict": "skipped", "reason": "no pgpool"}
    assert (cell["outage_s"], cell["model"], cell["within_model"]) == (None, None, None)
    assert cell_words(cell)[-1] == "no pgpool"
    assert spread([]) is None


def test_a_stored_matrix_is_read_again_and_anything_else_refused(tmp_path: Path) -> None:
    document: Document = {"verdict": "pass", "cells": []}
    save_matrix(tmp_path, document)
    assert load_matrix(tmp_path) == document
    for text in ("", "[]", '{"format": "outlast-run"}', '{"format": "outlast-matrix", "version": 1}'):
        (tmp_path / FILE).write_text(text)
        with pytest.raises(HistoryError, match=FILE):
            load_matrix(tmp_path)
