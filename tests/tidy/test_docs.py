"""The commands that the documentation shows are commands that there are, with options that they take."""

from __future__ import annotations

import re
import shlex
from contextvars import copy_context
from pathlib import Path

import click
import pytest

from outlast.cli.main import outlast_command

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


def check(words: list[str]) -> None:
    """Parse a command line as the program would. Raises click.UsageError."""
    context = click.Context(outlast_command)
    command = outlast_command.get_command(context, words[0])
    assert command is not None, f"there is no command {words[0]}"
    # In a context of its own: a webhook that is chosen there is chosen for no other test.
    copy_context().run(command.make_context, words[0], words[1:], parent=context)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_can_be_given(page: str) -> None:
    found = commands(page)
    assert found
    for words in found:
        check(words)


def test_a_command_that_there_is_not_is_seen() -> None:
    with pytest.raises(click.UsageError):
        check(["up", "--with", "nothing"])
    with pytest.raises(AssertionError):
        check(["nothing"])


def test_the_page_on_monitoring_names_every_alert_and_dashboard_metric() -> None:
    from outlast.monitoring.exporter.managers.pg_auto_failover import STATE_CODES
    from outlast.monitoring.prometheus import alerts

    text = (ROOT / "docs/monitoring.md").read_text()
    assert all(f"`{alert.name}`" in text for alert in alerts())
    assert all(f"{code} {state}" in text for state, code in STATE_CODES.items())
