"""Benches live in the checkout alone."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from outlast.cli import bench
from outlast.cli.main import run


def test_without_a_checkout_a_bench_is_refused_with_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "CHECKOUT", tmp_path)
    assert run(["bench", "idle"]) == 64
    assert "not part of the installed package" in capsys.readouterr().err


@pytest.mark.parametrize("name", bench.BENCHES)
def test_every_bench_has_cases(name: str) -> None:
    assert callable(importlib.import_module(f"benchmarks.{name.replace('-', '_')}").cases)
