"""The tests keep their own rules: no sleeps, no skips by the way, no test that fails now and then unaccounted for."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from flakes import wilson
from labs import SharedLab
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


SHARING = """
import pathlib
import pytest

@pytest.fixture(scope="module")
def costly():
    with pathlib.Path("brought-up").open("a") as file:
        file.write("once\\n")

@pytest.mark.parametrize("number", range(6))
def test_uses_it(number, costly):
    assert costly is None
"""


def test_what_tests_share_is_made_once_however_many_workers_there_are(tmp_path: Path) -> None:
    shutil.copytree(TESTS / "support", tmp_path / "tests" / "support")
    shutil.copy(TESTS / "conftest.py", tmp_path / "tests")
    for name in ("test_first.py", "test_second.py"):
        (tmp_path / "tests" / name).write_text(SHARING)
    (tmp_path / "pytest.ini").write_text("[pytest]\ntimeout = 60\npythonpath = tests/support\n")
    plugins = ["-p", "xdist.plugin", "-p", "pytest_timeout"]
    words = [sys.executable, "-m", "pytest", "-q", *plugins, "-n", "2", "--dist", "loadgroup", "tests"]
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "OUTLAST_TESTS"))
    }
    outer = {**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    ended = subprocess.run(words, cwd=tmp_path, env=outer, capture_output=True, text=True, check=False)
    assert "12 passed" in ended.stdout, ended.stdout
    assert (tmp_path / "brought-up").read_text().splitlines() == ["once", "once"]


def test_a_lab_on_which_a_test_failed_is_not_the_next_ones() -> None:
    history: list[str] = []

    @contextmanager
    def up() -> Iterator[str]:
        history.append("up")
        yield f"lab-{history.count('up')}"
        history.append("down")

    session = SimpleNamespace(testsfailed=0)
    lab = SharedLab(up)
    with lab.for_test(cast(pytest.Session, session)) as first:
        pass
    with lab.for_test(cast(pytest.Session, session)) as second:
        session.testsfailed += 1
    with lab.for_test(cast(pytest.Session, session)) as third:
        pass
    assert (first, second, third) == ("lab-1", "lab-1", "lab-2")
    lab.close()
    assert history == ["up", "down", "up", "down"]
