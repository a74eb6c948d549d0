"""What a machine can hold of the house's order: one claim a test, over every module of ``src``."""

from __future__ import annotations

import ast
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final, TypeAlias

import pytest

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("outlast", "raftlog")
FUNCTION_LINES_MAX: Final = 70
PARAMETERS_MAX: Final = 7
FILE_LINES_MAX: Final = 450
ORPHAN_CHARS_MAX: Final = 12
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


def parameters(function: Function) -> int:
    """Count a function's parameters without the object that a method belongs to."""
    given = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return len(given) - (given[:1] != [] and given[0].arg in ("self", "cls"))


def imports(module: Module, names: set[str]) -> set[str]:
    """Return the modules among names that a module imports, for the type checker alone among them."""
    found = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (parts & names) or {node.module}
    return (found & names) - {module.name}


def orphans(tree: ast.AST) -> Iterator[str]:
    """Yield each short word that is the last line of a docstring's paragraph all by itself."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        text = ast.get_docstring(node) if isinstance(node, documented) else None
        for paragraph in (text or "").split("\n\n"):
            *before, last = paragraph.splitlines() or [""]
            if before and len(last.split()) == 1 and len(last) <= ORPHAN_CHARS_MAX and last[0] != " ":
                yield last


@pytest.mark.parametrize("package", PACKAGES)
def test_a_class_name_stands_for_one_class(package: str) -> None:
    places = defaultdict(list)
    for module in MODULES:
        if module.name.split(".")[0] == package:
            for node in ast.walk(module.tree):
                if isinstance(node, ast.ClassDef):
                    places[node.name].append(module.name)
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_no_modules_import_each_other_in_a_circle() -> None:
    names = {module.name for module in MODULES}
    try:
        TopologicalSorter({module.name: imports(module, names) for module in MODULES}).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' → '.join(error.args[1])}")


def test_a_function_can_be_seen_at_once() -> None:
    lengths = {
        f"{module.name}.{node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for module in MODULES
        for node in functions(module.tree)
    }
    assert {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES_MAX} == {}


def test_a_function_takes_few_parameters() -> None:
    counts = {
        f"{module.name}.{node.name}": parameters(node)
        for module in MODULES
        for node in functions(module.tree)
    }
    assert {name: count for name, count in counts.items() if count > PARAMETERS_MAX} == {}


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


def test_no_paragraph_of_a_docstring_ends_in_a_line_of_one_word() -> None:
    words = {module.name: [*orphans(module.tree)] for module in MODULES}
    assert {name: found for name, found in words.items() if found} == {}
