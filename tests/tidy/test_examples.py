"""What a person may copy works here: CI files are YAML, and their commands and options are ours."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path

import click
import pytest
from ruamel.yaml import YAML
from usage import check_command

from outlast import pytest_plugin
from outlast.config import drill_suites

ROOT = Path(__file__).parents[2]
CI = sorted((ROOT / "examples/ci").glob("*.yml"))
PAGE = ROOT / "docs/testing-your-application.md"


def scripts(node: object) -> list[str]:
    """Return the shell lines of a CI file, wherever they stand."""
    if isinstance(node, dict):
        own = [
            text
            for key in ("run", "script", "before_script", "after_script")
            for text in texts(node.get(key))
        ]
        return own + [line for value in node.values() for line in scripts(value)]
    if isinstance(node, list):
        return [line for value in node for line in scripts(value)]
    return []


def texts(found: object) -> list[str]:
    """Return the lines of a script given as text or as a list of texts."""
    whole = found if isinstance(found, list) else [found] if isinstance(found, str) else []
    return [line.strip() for text in whole for line in str(text).splitlines()]


def check(line: str) -> None:
    """Parse a line as outlast or pytest would. Raises click.UsageError or AssertionError."""
    words = shlex.split(re.sub(r"\s*\|\| true$", "", line))
    if words[0] == "outlast":
        check_command(words[1:])
        if words[1] == "suite":
            assert words[2] in drill_suites(), line
    elif "pytest" in words and "install" not in words:
        ours = (ROOT / "src/outlast/pytest_plugin.py").read_text()
        for word in words:
            assert not word.startswith(("--ha-", "--run-")) or f'"{word}"' in ours, line
        settings = [word.partition("=")[0] for before, word in pairwise(words) if before == "-o"]
        assert all(name in pytest_plugin.INI for name in settings), line


@pytest.mark.parametrize("path", CI, ids=lambda path: path.name)
def test_ci_examples_are_yaml_and_run_commands_that_there_are(path: Path) -> None:
    lines = scripts(YAML(typ="safe").load(path.read_text()))
    ran = [line for line in lines if line.startswith(("outlast ", "python -m pytest"))]
    assert any(line.startswith("outlast suite") for line in ran)
    assert any("--junitxml" in line for line in ran)
    for line in ran:
        check(line)


@pytest.mark.parametrize(
    "line",
    [
        "outlast suit failover",
        "outlast suite nothing",
        "python -m pytest --ha-requird",
        "outlast down --al",
    ],
)
def test_a_line_that_is_wrong_is_seen(line: str) -> None:
    with pytest.raises((AssertionError, click.UsageError)):
        check(line)


def test_the_page_on_applications_names_every_setting_and_its_commands_are_ours() -> None:
    text = PAGE.read_text()
    assert all(f"`{name}`" in text for name in pytest_plugin.INI)
    for option in re.findall(
        r'addoption\(\s*"(--[a-z-]+)"', (ROOT / "src/outlast/pytest_plugin.py").read_text()
    ):
        assert option in text, option
    lines = re.findall(r"^ {4}((?:outlast|pytest) .+?)(?:  #.*)?$", text, re.M)
    assert lines
    for line in lines:
        check(line)


def test_the_python_of_the_page_compiles_and_its_names_are_offered() -> None:
    import outlast.api

    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    assert len(blocks) >= 3
    for block in blocks:
        compile(block, str(PAGE), "exec")
        for name in re.findall(r"\b(?:c|ha_cluster)\.([a-z_]+)", block):
            assert hasattr(outlast.api.OwnCluster, name), name
