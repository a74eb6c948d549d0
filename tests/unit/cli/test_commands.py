"""The table of commands and what asking for one costs."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import click
import pytest

from outlast.cli.main import COMMANDS, outlast_command


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_is_in_its_module(name: str) -> None:
    found = outlast_command.get_command(click.Context(outlast_command), name)
    assert found is not None and found.name == name


def test_every_command_of_a_module_is_in_the_table() -> None:
    for module in set(COMMANDS.values()):
        names = {command.name for command in import_module(f"outlast.cli.{module}").COMMANDS}
        assert names == {name for name, place in COMMANDS.items() if place == module}


LIBRARIES = {"numpy", "nanoarrow", "arro3", "psycopg", "pydantic", "scipy", "patroni", "fastapi"}


@pytest.mark.parametrize(
    ("words", "unneeded"),
    [
        (["--help"], LIBRARIES),
        (["ls", "labs"], LIBRARIES),
        (["status", "--help"], LIBRARIES - {"psycopg", "pydantic"}),
        (["drill", "--help"], {"scipy", "patroni", "fastapi"}),
    ],
)
def test_a_command_imports_no_library_that_it_does_not_need(words: list[str], unneeded: set[str]) -> None:
    code = f"import sys; from outlast.cli.main import run; run({words}); print({unneeded} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
