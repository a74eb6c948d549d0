"""The walks through the code lead along files that exist, to names that are in them, and past none twice."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WALKS = re.split(r"^## ", (ROOT / "docs/walkthrough.md").read_text(encoding="utf-8"), flags=re.M)[1:]


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.splitlines()[0])
def test_a_walk_enters_each_file_once_and_finds_there_what_it_names(walk: str) -> None:
    steps = re.findall(r"^(\d+)\. `(src/[^`]+)`: (.+)$", walk, re.M)
    files = [file for _, file, _ in steps]
    assert [int(number) for number, _, _ in steps] == list(range(1, len(steps) + 1))
    assert len(steps) == len(re.findall(r"^\d+\.", walk, re.M)) > 10
    assert len(set(files)) == len(files)
    for _, file, text in steps:
        source = (ROOT / file).read_text(encoding="utf-8")
        name = re.findall(r"`(\w+)`", text)[0]
        assert re.search(rf"(?:class|def) {name}\b|^{name}:", source, re.M), f"{file} has no {name}"
