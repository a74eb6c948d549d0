"""What a machine can hold of the house's order: one claim a test, over every module of ``src``."""

from __future__ import annotations

import ast
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import pytest

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("raftlog",)
FUNCTION_LINES_MAX: Final = 70
FILE_LINES_MAX: Final = 450
DOCUMENTED: Final = {"D100", "D101", "D102", "D103", "D104"}
"""Ruff's rules that modules, classes, methods, functions and packages have a docstring."""

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Module:
    """A parsed file of ``src``. name: as it is imported."""

    name: str
    path: Path
    text: str
    tree: ast.Module


def read_module(path: Path) -> Module:
    """Parse a file below ``src``."""
    text = path.read_text(encoding="utf-8")
    name = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
    return Module(name, path, text, ast.parse(text))


MODULES: Final = [read_module(path) for path in sorted((ROOT / "src").rglob("*.py"))]


def functions(tree: ast.AST) -> Iterator[Function]:
    """Yield every function and method, nested ones among them."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


@pytest.mark.parametrize("package", PACKAGES)
def test_a_class_name_stands_for_one_class(package: str) -> None:
    places = defaultdict(list)
    for module in MODULES:
        if module.name.split(".")[0] == package:
            for node in ast.walk(module.tree):
                if isinstance(node, ast.ClassDef):
                    places[node.name].append(module.name)
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_a_function_can_be_seen_at_once() -> None:
    lengths = {
        f"{module.name}.{node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for module in MODULES
        for node in functions(module.tree)
    }
    assert {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES_MAX} == {}


def test_a_file_holds_one_idea() -> None:
    lengths = {module.name: module.text.count("\n") for module in MODULES}
    assert {name: lines for name, lines in lengths.items() if lines > FILE_LINES_MAX} == {}


def test_every_public_name_is_documented() -> None:
    """Ruff sees to it in ``make check``; this sees to it that nobody tells ruff not to."""
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["lint"]
    assert set(ruff["select"]) >= DOCUMENTED
    assert not DOCUMENTED & set(ruff["ignore"])
    assert not [files for files in ruff["per-file-ignores"] if files.startswith("src")]
    assert [module.name for module in MODULES if "noqa: D" in module.text] == []
