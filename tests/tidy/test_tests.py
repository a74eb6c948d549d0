"""The tests keep their own rules: no sleeps, no skips by the way, no test that fails now and then unaccounted for."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from flakes import wilson
from record import summary

TESTS = Path(__file__).parents[1]
FILES = sorted(TESTS.rglob("*.py"))
SKIPS = {"skip", "skipif", "importorskip", "xfail", "SkipTest", "flaky"}
FORBIDDEN = SKIPS | {"sleep", "sigtimedwait"}
ALLOWED = {TESTS / "support" / "skips.py": SKIPS, TESTS / "support" / "waiting.py": {"sleep"}}


def called(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield the last name of everything that is called or used as a decorator, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr, node.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id, node.lineno


def test_no_test_sleeps_or_skips_but_through_its_helper() -> None:
    found = [
        f"{path.relative_to(TESTS)}:{line}: {name}"
        for path in FILES
        for name, line in called(ast.parse(path.read_text()))
        if name in FORBIDDEN - ALLOWED.get(path, set())
    ]
    assert found == [], "wait for a predicate (support/waiting.py); say why a test skips (support/skips.py)"


def test_what_is_known_to_fail_rarely_exists_and_was_counted() -> None:
    for flake in tomllib.loads((TESTS / "flakes.toml").read_text()).get("flake", []):
        path, name = flake["test"].split("::")
        tree = ast.parse((TESTS.parent / path).read_text())
        defined = {
            node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert name.partition("[")[0] in defined
        assert 0 < flake["failures"] <= flake["runs"]
        assert flake["known"]


def test_the_interval_of_a_rate_is_wilsons() -> None:
    # The worked example of Agresti and Coull, The American Statistician 52 (1998): 0 of 10, and the textbook's 5 of 10.
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)


def test_the_sum_of_a_run_names_its_longest_tests_and_why_others_skipped(tmp_path: Path) -> None:
    log = tmp_path / "tests.jsonl"
    log.write_text(
        '{"took_s": {"a": 1.0, "b": 9.5}, "skipped": {"c": "no npm"}}\n{"took_s": {"d": 0.1}, "skipped": {}}\n'
    )
    assert summary(log).splitlines() == [
        "== 3 tests; the longest:",
        "    9.5 s  b",
        "    1.0 s  a",
        "    0.1 s  d",
        "== 1 skipped:",
        "   1 x  no npm (c)",
    ]
