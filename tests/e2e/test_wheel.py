"""The wheel in an empty environment, without extras: what a person has who installs Outlast beside her own tests."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import outlast

ROOT = Path(__file__).parents[2]
ENVIRONMENT_MB_MAX = 400
"""What an environment may take on disk: 627 MB before there were extras."""

PROJECT = """
import psycopg, pytest

@pytest.mark.ha_cluster("patroni", nodes=2, sync="on", profile="fast")
def test_orders_survive(ha_cluster):
    with ha_cluster.history(rate="100/s") as load, ha_cluster.inject("process_kill", on="primary"):
        ha_cluster.wait_until("writable")
    ha_cluster.assert_no_lost_writes()
    assert load.result.acked > 0
"""

pytestmark = [pytest.mark.lab, pytest.mark.slow]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the programs of an environment that has the wheel, pytest and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=True)
    pip = [str(folder / "venv/bin/pip"), "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, str(wheel), "pytest"], check=True, capture_output=True, timeout=240)
    return folder / "venv/bin"


def run(command: list[str | Path], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program of the environment in a folder of its own, with none of this checkout to be seen."""
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PYTEST"))
    }
    return subprocess.run(
        [*command], cwd=folder, env=environment, capture_output=True, text=True, timeout=200, check=False
    )


def test_the_command_has_the_version(installed: Path, tmp_path: Path) -> None:
    done = run([installed / "outlast", "--version"], tmp_path)
    assert done.stdout.strip().endswith(outlast.__version__), done.stderr


def test_a_test_of_ten_lines_breaks_a_cluster(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "test_orders.py").write_text(PROJECT)
    done = run([installed / "python", "-m", "pytest", "-q", "--ha-required", "test_orders.py"], tmp_path)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_what_an_extra_lacks_is_refused_with_the_command_that_installs_it(
    installed: Path, tmp_path: Path
) -> None:
    for arguments in (["suite", "raft-failure"], ["drill", "isolation"], ["serve"]):
        done = run([installed / "outlast", *arguments], tmp_path)
        assert done.returncode == 64, done.stderr
        assert "hint: pip install 'outlast[" in done.stderr
        assert ".whl" in done.stderr


def test_the_environment_stays_small(installed: Path) -> None:
    """A dependency that weighs more than it gives is noticed here."""
    files = (path for path in installed.parent.rglob("*") if path.is_file() and not path.is_symlink())
    size_mb = sum(path.stat().st_blocks * 512 for path in files) / 1e6
    assert size_mb < ENVIRONMENT_MB_MAX
