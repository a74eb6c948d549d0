"""Each requirement names a command that can be given and files that exist; every row that is cited is there."""

from __future__ import annotations

import re
import subprocess
from itertools import groupby
from pathlib import Path

import pytest
from usage import check_command

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/requirements.md"
ROW = re.compile(r"^\| ([A-E]\d+) \| (.+) \| `outlast ([^`]+)` \| (.+) \|$", re.M)
ROWS = ROW.findall(PAGE.read_text(encoding="utf-8"))
ROWS_BY_PART = {"A": 17, "B": 20, "C": 9, "D": 12, "E": 11}


def test_no_row_is_missing() -> None:
    by_part = {part: [row[0] for row in rows] for part, rows in groupby(ROWS, lambda row: row[0][0])}
    assert by_part == {part: [f"{part}{at + 1}" for at in range(rows)] for part, rows in ROWS_BY_PART.items()}


@pytest.mark.parametrize(("row", "command"), [(row, command) for row, _, command, _ in ROWS])
def test_the_command_of_a_row_can_be_given(row: str, command: str) -> None:
    check_command(command.split())


@pytest.mark.parametrize(("row", "evidence"), [(row, evidence) for row, _, _, evidence in ROWS])
def test_what_shows_a_row_exists(row: str, evidence: str) -> None:
    names = re.findall(r"`([^`]+)`", evidence)
    assert names
    for name in names:
        assert (ROOT / name).is_file(), f"{row} is shown by {name}, which does not exist"


def test_every_row_that_is_cited_exists() -> None:
    known = {row[0] for row in ROWS}
    cited = subprocess.run(
        ["git", "grep", "-hoE", r"[Rr]equirements? [A-E][0-9]+", "--", "src", "docs", "tests"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    rows = set(re.findall(r"[A-E]\d+", cited))
    assert rows
    assert rows <= known
