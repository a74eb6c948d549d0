"""The commands that the documentation shows are commands that there are, with options that they take."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from usage import check_command

ROOT = Path(__file__).parents[2]
PAGES = tuple(
    str(path.relative_to(ROOT))
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if re.search(r"^ {4}outlast ", path.read_text(), re.M)
)


def commands(page: str) -> list[list[str]]:
    """Return the words of every indented command line of a page, without its comment."""
    lines = re.findall(r"^ {4}outlast (.+)$", (ROOT / page).read_text(), re.M)
    return [shlex.split(line, comments=True) for line in lines]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_can_be_given(page: str) -> None:
    lines = commands(page)
    assert lines
    for arguments in lines:
        check_command(arguments)


def test_a_command_that_there_is_not_is_seen() -> None:
    with pytest.raises(click.UsageError):
        check_command(["up", "--with", "nothing"])
    with pytest.raises(AssertionError):
        check_command(["nothing"])


def test_the_page_on_monitoring_names_every_alert_and_dashboard_metric() -> None:
    from outlast.monitoring.exporter.managers.pg_auto_failover import STATE_CODES
    from outlast.monitoring.prometheus import alerts

    text = (ROOT / "docs/monitoring.md").read_text()
    assert all(f"`{alert.name}`" in text for alert in alerts())
    assert all(f"{code} {state}" in text for state, code in STATE_CODES.items())
