"""``doctor`` names folders of the former name once, with the command that removes them, and the parts not installed."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from outlast import extras
from outlast.clusters.diagnosis import CheckState
from outlast.clusters.installation import FORMER_NAME, former_folders, optional_parts
from outlast.clusters.machine_checks import CHECKS


def test_old_folders_are_named_once_with_a_command_that_removes_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "a state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert former_folders in CHECKS
    assert former_folders() == []
    for place in ("a state", "cache"):
        (tmp_path / place / FORMER_NAME / "labs").mkdir(parents=True)
    diagnoses = former_folders()
    assert [(diagnosis.check, diagnosis.state) for diagnosis in diagnoses] == [
        ("former state folder", CheckState.NOTE),
        ("former cache folder", CheckState.NOTE),
    ]
    for diagnosis in diagnoses:
        assert diagnosis.remedy is not None
        subprocess.run(shlex.split(diagnosis.remedy), check=True)
    assert former_folders() == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a state", "cache"]


def test_a_part_that_is_not_installed_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert optional_parts in CHECKS
    monkeypatch.setitem(extras.EXTRAS, "web", ("fastapi_that_nobody_has",))
    said = {diagnosis.check: diagnosis for diagnosis in optional_parts()}
    assert said["extra web"].state is CheckState.MISSING
    assert said["extra web"].remedy == extras.install_command("web")
    assert {diagnosis.state for check, diagnosis in said.items() if check != "extra web"} == {CheckState.OK}
