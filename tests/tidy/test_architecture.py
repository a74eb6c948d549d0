"""The map is the territory: the table of rooms, the folders and the order of imports agree."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "src/outlast"
TEXT: Final = (ROOT / "docs/ARCHITECTURE.md").read_text(encoding="utf-8")


def rooms() -> list[set[str]]:
    """Return the rooms of the table, row by row."""
    table = TEXT.split("| room | what it holds |")[1].split("\n\n")[0]
    return [set(re.findall(r"`(\w+)`", row)) for row in re.findall(r"^\| (`.+?`) \|", table, re.M)]


def layers() -> list[set[str]]:
    """Return the layers that import-linter holds, the lowest first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (rows,) = (
        contract["layers"] for contract in contracts["contracts"] if contract.get("containers") == ["outlast"]
    )
    return [set(re.findall(r"\w+", row)) for row in reversed(rows)]


def test_every_room_stands_in_the_table_and_every_row_is_a_room() -> None:
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert set().union(*rooms()) == modules | folders


def test_the_table_is_in_the_order_of_imports() -> None:
    unlayered = {"drills", "history", "checkers", "report", "testing"}
    assert [row for row in rooms() if not row <= unlayered] == layers()


def test_every_file_that_the_page_names_exists() -> None:
    for name in re.findall(r"`(\w+(?:/\w+)+(?:\.py)?)`", TEXT):
        assert (ROOT / name).exists() or (PACKAGE / name).exists(), name
