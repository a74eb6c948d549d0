"""The house is in order: what is shipped loads, what is documented exists, what exists is documented."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from outlast.cli.main import COMMANDS
from outlast.config import drill_names, load_cluster, load_drill, preset_names
from outlast.faults.registry import faults
from outlast.run.checks import Terms, make_checkers
from outlast.run.prepare import plan_drill

ROOT = Path(__file__).parents[2]
DOCS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


@pytest.mark.parametrize("name", drill_names())
def test_every_shipped_drill_can_be_planned_and_judged(name: str) -> None:
    drill = load_drill(name)
    planned = plan_drill(drill, None)
    assert drill.title
    assert make_checkers(Terms(drill, 30.0, len(planned.plan), {}))


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads(name: str) -> None:
    assert load_cluster(name).nodes


def test_every_example_can_be_run() -> None:
    assert load_cluster(str(ROOT / "examples/cluster.yaml")).nodes
    drill = load_drill(str(ROOT / "examples/drill.yaml"))
    assert make_checkers(Terms(drill, 30.0, len(plan_drill(drill, None).plan), {}))


def test_every_fault_says_what_it_does_and_each_parameter_too() -> None:
    for fault in faults():
        assert fault.about, fault.name
        assert all(param.about for param in fault.params), fault.name


def test_documents_name_only_commands_that_exist() -> None:
    for path in DOCS:
        for found in re.finditer(r"^\s*(?:\$ )?outlast ([a-z-]+)", path.read_text(), re.MULTILINE):
            assert found[1] in COMMANDS, f"{path.name}: outlast {found[1]}"


def test_links_between_documents_lead_somewhere() -> None:
    for path in DOCS:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_nothing_in_the_tree_names_a_machine_of_ours() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    for name in tracked:
        path = ROOT / name
        if path.suffix in (".py", ".md", ".yaml", ".toml", ".sh") and path != Path(__file__):
            text = path.read_text(errors="replace")
            for place in ("/root/", "/work/"):
                assert place not in text, f"{name} names {place}"
