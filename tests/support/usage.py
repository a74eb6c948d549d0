"""Command lines of documents, parsed as the program would parse them."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import copy_context

import click

from outlast.cli.main import outlast_command


def check_command(arguments: Sequence[str]) -> None:
    """Parse the arguments of ``outlast``. Raises click.UsageError, or AssertionError for an unknown command."""
    context = click.Context(outlast_command)
    command = outlast_command.get_command(context, arguments[0])
    assert command is not None, f"there is no command {arguments[0]}"
    # In a context of its own: a webhook that is chosen there is chosen for no other test.
    copy_context().run(command.make_context, arguments[0], list(arguments[1:]), parent=context)
