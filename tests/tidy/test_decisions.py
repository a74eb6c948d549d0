"""Decisions are dated, say whether they still hold, and stand in the index."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs/adr"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
DATE_LINE = re.compile(r"(\d{4}-\d{2}-\d{2})\. Status: (proposed|accepted|superseded by \S+\.md)\.")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_decision_has_a_date_and_a_status_and_the_index_shows_them(page: Path) -> None:
    title, blank, dated_line, *_ = page.read_text(encoding="utf-8").splitlines()
    dated = DATE_LINE.fullmatch(dated_line)
    assert title.startswith("# ")
    assert blank == ""
    assert dated, (
        f"{page.name}: its third line must be 'YYYY-MM-DD. Status: accepted.', and is {dated_line!r}"
    )
    row = f"| {dated[1]} | [{title.removeprefix('# ')}]({page.name}) | {dated[2]} |"
    assert row in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_the_index_is_in_the_order_of_time() -> None:
    dates = re.findall(r"^\| (\d{4}-\d{2}-\d{2}) ", (FOLDER / "README.md").read_text(encoding="utf-8"), re.M)
    assert dates == sorted(dates)
    assert len(dates) == len(PAGES)
