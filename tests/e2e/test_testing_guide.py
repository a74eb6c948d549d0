"""docs/testing-guide.md: its commands, run as they stand there and in their order."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from program import outlast

from raftlog.testing.local_cluster import LocalCluster

GUIDE = Path(__file__).parents[2] / "docs" / "testing-guide.md"
SECTIONS = (
    "Overview", "Prerequisites", "Setup", "Suites", "Reading results", "Debugging", "Benchmarking", "CI",
    "Best practice", "Troubleshooting",
)  # fmt: skip
FAILS = {"drill raft-power-loss --set fsync=off"}
"""Commands that the guide says must fail."""

QUICK = (
    "doctor",
    "ls suites",
    "up",
    "status",
    "logs",
    "switchover",
    "load log --lab",
    "inject",
    "heal",
    "down",
)


def commands() -> list[str]:
    lines = (line.strip() for line in GUIDE.read_text().splitlines() if line.startswith("    outlast "))
    return [line.removeprefix("outlast ") for line in lines]


def test_the_guide_has_every_section_and_commands_in_it() -> None:
    text = GUIDE.read_text()
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == list(SECTIONS)
    assert len(commands()) > 20


@pytest.fixture(scope="module")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with LocalCluster(tmp_path_factory.mktemp("own"), 3) as nodes:
        nodes.start()
        nodes.leader()
        yield nodes.bootstrap


def _run(line: str, bootstrap: str, store: list[str], folder: Path) -> None:
    words = shlex.split(line.replace("127.0.0.1:9092", bootstrap))
    words = [store[-1] if word == "RUN" and store else word for word in words]
    words = [str(folder / word) if word.endswith(".xml") else word for word in words]
    if words[0] == "chaos":
        words += ["--log", str(folder)]
    if words[0] == "load":
        words.append("--json")
    done = outlast(*words, timeout_s=1200)
    assert done.code == (1 if line in FAILS else 0), (line, done.out[-1500:], done.err[-1500:])
    if words[0] == "load":
        store.append(json.loads(done.out)["store"])


@pytest.mark.slow
def test_a_first_look_at_a_lab_goes_as_the_guide_says(bootstrap: str, tmp_path: Path) -> None:
    for line in commands():
        if line.startswith(QUICK):
            _run(line, bootstrap, [], tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(5400)
def test_every_command_of_the_guide_does_what_it_says(bootstrap: str, tmp_path: Path) -> None:
    store: list[str] = []
    for line in commands():
        if "power-loss" in line and os.geteuid() != 0:
            continue
        _run(line, bootstrap, store, tmp_path)
