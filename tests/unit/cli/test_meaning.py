"""A file whose words mean nothing is refused before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlast.cli.main import USAGE, run
from outlast.config import drill_names, load_drill, preset_names
from outlast.hosts.state import labs_folder
from outlast.run.prepare import plan_drill

DRILL = "duration: 3s\nworkload: {append: {}}\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("duration: 3s\nworkload: {none: {}}\n", "there is no workload none"),
        ("duration: 3s\nworkload: {append: {clints: 2}}\n", "clints: is no setting of this workload"),
        (DRILL + "timeline: [{at: 1s, fault: none, on: primary}]\n", "there is no fault none"),
        (DRILL + "timeline: [{at: 1s, fault: host_frozen, on: primary, params: {x: 1}}]\n", "x"),
        (DRILL + "checks: {none: 1}\n", "there is no check none"),
        (DRILL + "needs: [none]\n", "there is no capability none"),
        (DRILL + "cluster: {sync: none}\n", "must be one of off, on, strict, quorum"),
    ],
)
def test_a_drill_that_means_nothing_makes_nothing(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "drill.yaml"
    file.write_text(text)
    for command in ("validate", "drill"):
        assert run([command, str(file)]) == USAGE
        assert words in capsys.readouterr().err
    assert list(labs_folder().iterdir()) == []


def test_a_target_that_no_node_has_is_refused_before_a_lab_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "drill.yaml"
    file.write_text(DRILL + "timeline: [{at: 1s, fault: host_frozen, on: nobody}]\n")
    assert run(["drill", str(file)]) == USAGE
    assert "'nobody' is neither a symbolic target nor a member" in capsys.readouterr().err
    assert list(labs_folder().iterdir()) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("patroni: {ttl: soon}", "whole seconds"),
        ("tls: on", "tls is not set up for patroni by this version"),
        ("database: template0", "belongs to PostgreSQL"),
        ("user: postgres", "a role of the cluster itself"),
    ],
)
def test_a_cluster_that_no_machine_can_run_is_refused(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(f"system: patroni\n{text}\n")
    for command in ("validate", "up"):
        assert run([command, str(file)]) == USAGE
        assert words in capsys.readouterr().err
    assert list(labs_folder().iterdir()) == []


def test_an_empty_name_is_no_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["up", "--name", ""]) == USAGE
    assert "no name for a lab" in capsys.readouterr().err


@pytest.mark.parametrize("name", drill_names())
def test_every_drill_that_comes_along_means_something(name: str) -> None:
    plan_drill(load_drill(name), None)


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_valid(name: str) -> None:
    assert run(["validate", name]) == 0
