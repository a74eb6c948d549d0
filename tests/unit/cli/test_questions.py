"""``up -i`` asks on a terminal, asks again where an answer can't be, and writes down what was asked for."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from program import command, outlast
from terminal import Talk

from outlast.cli.questions import written
from outlast.config import load_cluster, preset_names
from outlast.pace import scaled

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("preset", preset_names())
@pytest.mark.parametrize("sets", [(), ("sync=off", "profile=fast", "version=15", "ports={}")])
def test_what_is_written_loads_to_the_same_cluster(
    tmp_path: Path, preset: str, sets: tuple[str, ...]
) -> None:
    spec = load_cluster(preset, sets)
    file = tmp_path / "cluster.yaml"
    file.write_text(written(spec))
    assert load_cluster(file) == spec


def test_without_a_terminal_it_refuses() -> None:
    done = subprocess.run(
        command("up", "-i"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=scaled(60),
        check=False,
    )
    assert (done.returncode, done.stdout) == (64, "")
    assert "asks on a terminal" in done.stderr


def test_answers_become_a_file_and_bad_ones_are_asked_again(tmp_path: Path) -> None:
    talk = Talk("up", "-i", "--set", "tls=off", cwd=str(tmp_path))
    talk.answers(
        [
            ("System", "oracle"),
            ("there is no system oracle", "streaming"),
            ("Nodes", "none"),
            ("no whole number", "99"),
            ("from 0 to 32", "4"),
            ("only serve reads", "4"),
            ("at most 3", "1"),
            ("Commits wait", "sometimes"),
            ("Commits wait", "quorum"),
            ("Timing", "fast"),
            ("Data to start with", ""),
            ("Archive", ""),
            ("Before the nodes", "none"),
            ("Prometheus", "n"),
            ("Published", "99999"),
            ("Published", "15432"),
            ("Name of the lab", "../x"),
            ("Name of the lab", "mine"),
            ("Keep this", "mine.txt"),
            ("ends with .yaml", "mine.yaml"),
            ("Bring it up", "n"),
        ]
    )
    assert talk.end() == (0, "")
    spec = load_cluster(tmp_path / "mine.yaml")
    assert (spec.system, spec.sync, spec.profile) == ("streaming", "quorum", "fast")
    assert [node.role for node in spec.nodes] == ["primary", "standby", "standby", "read-only"]
    assert list(spec.ports.values()) == [15432, 15433, 15434, 15435]
    assert "system: streaming" in talk.said
    assert "Traceback" not in talk.said
    assert outlast("ls", "labs", "--json").json == {"labs": []}


def test_what_is_given_as_an_option_is_not_asked_and_giving_up_leaves_nothing(tmp_path: Path) -> None:
    talk = Talk(
        "up", "etcd", "-i", "--profile", "fast", "--set", "nodes=1", "--set", "ports={}", cwd=str(tmp_path)
    )
    talk.answers([("System", ""), ("Commits", ""), ("Prometheus", "")])
    talk.answer("Name of the lab", "\x04")  # the end of what a person has to say
    code, out = talk.end()
    assert (code, out) == (130, "")
    assert "Timing" not in talk.said
    assert "Nodes" not in talk.said
    assert list(tmp_path.iterdir()) == [] or [one.name for one in tmp_path.iterdir()] == ["state"]


def test_ctrl_c_ends_it_at_a_question() -> None:
    talk = Talk("up", "-i")
    talk.answer("System", "")
    os.kill(talk.pid, signal.SIGINT)
    assert talk.end()[0] == 130
