"""The pytest plugin on real clusters: as a person's project has it, under pytest-xdist, killed, and failing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from waiting import until

import outlast
from outlast.clusters import lifecycle
from outlast.pace import scaled

ROOT = Path(__file__).parents[2]

PROJECT = """
import outlast, psycopg, pytest

pytestmark = pytest.mark.ha_cluster("patroni", nodes=2, sync="on", profile="fast")

def test_writes_survive_a_crash(ha_cluster):
    with psycopg.connect(ha_cluster.dsn(), autocommit=True) as db:
        db.execute("CREATE TABLE orders (id int)")
    acknowledged = []
    with ha_cluster.history(rate="100/s") as load, ha_cluster.inject("process_kill", on="primary"):
        ha_cluster.wait_until("writable")
    with psycopg.connect(ha_cluster.dsn(), autocommit=True) as db:
        for number in range(10):
            db.execute("INSERT INTO orders VALUES (%s)", (number,))
            acknowledged.append(number)
    ha_cluster.assert_no_lost_writes(acknowledged, table="orders", column="id")
    ha_cluster.assert_no_lost_writes()
    assert load.result.acked > 0
    with outlast.cluster(dsn=ha_cluster.dsn("any")) as theirs:  # as if it were not ours
        assert (len(theirs.nodes), len(theirs.standbys)) == (2, 1)
        theirs.assert_no_lost_writes(acknowledged, query="SELECT id FROM orders")
        theirs.assert_lag()
        with pytest.raises(outlast.OutlastError, match="will not break"):
            theirs.inject("process_kill", on="primary")

@pytest.mark.ha_cluster("patroni", nodes=2, sync="on", profile="fast")
def test_a_fault_that_does_not_bite_is_no_proof(ha_cluster, monkeypatch):
    from outlast.faults.base import Effect
    from outlast.faults.registry import fault

    async def nothing(*_): return Effect(False, "all runs on")
    monkeypatch.setattr(fault("process_kill"), "effective", nothing)
    with pytest.raises(outlast.OutlastError, match="did not bite: all runs on"):
        with ha_cluster.inject("process_kill", on="one-standby"):
            raise AssertionError("never reached")
    with pytest.raises(AssertionError, match="1 of 1 acknowledged writes are lost: 7"):
        ha_cluster.assert_no_lost_writes([7], query="SELECT 8")
"""

FAILS = """

def test_that_fails(ha_cluster):
    with ha_cluster.inject("process_kill", on="one-standby"):
        pass
    with ha_cluster.history(rate="100/s"):
        assert ha_cluster.primary == "nobody"
"""


def run_pytest(
    folder: Path, *words: str, plugins: Sequence[str] = (), timeout_s: float = 280
) -> subprocess.CompletedProcess[str]:
    """Run pytest in folder as its user would, with the plugin of this tree."""
    named = [word for one in ("outlast.pytest_plugin", *plugins) for word in ("-p", one)]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *named, *words],
        cwd=folder, env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}, capture_output=True, text=True,
        check=False, timeout=timeout_s,
    )  # fmt: skip


def test_a_project_passes_beside_a_failing_test_whose_logs_and_history_are_kept(tmp_path: Path) -> None:
    (tmp_path / "test_orders.py").write_text(PROJECT)
    (tmp_path / "test_broken.py").write_text(PROJECT.split("def test_writes")[0] + FAILS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nha_artifacts = kept\n")
    done = run_pytest(
        tmp_path, "-n", "2", "--dist", "loadfile", "--junitxml", "junit.xml", plugins=["xdist.plugin"]
    )
    assert "1 failed, 2 passed" in done.stdout, done.stdout + done.stderr
    assert re.search(r"fault +process_kill on pg-node-\d", done.stdout)
    assert "--ha-keep" in done.stdout
    (kept,) = (tmp_path / "kept").iterdir()
    assert (kept / "cluster.json").exists() and list(kept.glob("pg-node-1-*.log"))
    (store,) = [one for one in kept.iterdir() if one.is_dir()]
    assert (store / "run.json").exists()
    assert 'name="outlast_acked_lost" value="0"' in (tmp_path / "junit.xml").read_text()
    assert lifecycle.labs() == ()


def test_a_system_without_a_manager_has_somebody_in_charge_of_it() -> None:
    with outlast.cluster("streaming", nodes=2, sync="on", profile="fast") as c:
        old = c.primary
        with c.history(rate="50/s") as load, c.inject("host_power_off", on="primary"):
            assert c.wait_until("failed-over") != old
        load.result.assert_no_lost_writes()
        c.wait_until("whole")
        assert old in c.standbys


@pytest.mark.slow
def test_a_killed_run_leaves_nothing_that_the_next_one_does_not_remove(tmp_path: Path) -> None:
    (tmp_path / "test_long.py").write_text(
        "import time\ndef test_a(ha_cluster):\n    print('UP', flush=True)\n    time.sleep(120)\n"
    )
    (tmp_path / "test_next.py").write_text("def test_b(ha_cluster): assert len(ha_cluster.nodes) > 2\n")
    words = [sys.executable, "-m", "pytest", "-s", "-p", "outlast.pytest_plugin", "test_long.py"]
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    with subprocess.Popen(words, cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert any("UP" in line for line in running.stdout)
        (lab,) = lifecycle.labs()
        running.send_signal(signal.SIGKILL)
    until(lambda: not _is_mentioned(lab), "the lab to end with the run")
    done = run_pytest(tmp_path, "test_next.py")
    assert done.returncode == 0, done.stdout
    assert lifecycle.labs() == ()


@pytest.mark.slow
def test_ctrl_c_while_a_cluster_comes_up_removes_it(tmp_path: Path) -> None:
    (tmp_path / "test_long.py").write_text("def test_a(ha_cluster): assert not 'reached'\n")
    words = [sys.executable, "-m", "pytest", "-p", "outlast.pytest_plugin", "test_long.py"]
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    with subprocess.Popen(words, cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True) as running:
        until(lifecycle.labs, "a lab", 60)
        running.send_signal(signal.SIGINT)
        out, _ = running.communicate(timeout=scaled(60))
    assert "KeyboardInterrupt" in out, out
    assert lifecycle.labs() == ()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_example_programs_survive_with_good_settings_and_not_with_bad_ones() -> None:
    done = run_pytest(ROOT, "-s", "examples/applications", timeout_s=800)
    assert "6 passed" in done.stdout, done.stdout + done.stderr
    assert lifecycle.labs() == ()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_wheel_in_an_empty_environment_is_all_that_a_stranger_needs(tmp_path: Path) -> None:
    """Build it, install it with pytest and xdist alone, and run a ten-line test on two workers."""
    wheels, project, python = tmp_path / "wheels", tmp_path / "project", tmp_path / "venv/bin/python"
    _run([sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", str(wheels), str(ROOT)])
    _run([sys.executable, "-m", "venv", str(tmp_path / "venv")])
    (wheel,) = wheels.glob("outlast-*.whl")
    _run([str(python), "-m", "pip", "install", "--quiet", str(wheel), "pytest", "pytest-xdist"])
    project.mkdir()
    (project / "test_mine.py").write_text(
        """import psycopg
import pytest

@pytest.mark.ha_cluster("patroni", nodes=3, sync="on", profile="fast")
@pytest.mark.parametrize("number", [1, 2])
def test_my_writes_survive(ha_cluster, number):
    with ha_cluster.inject("process_kill", on="primary"):
        name = ha_cluster.wait_until("writable")
    with psycopg.connect(ha_cluster.dsn()) as db:
        assert db.execute("SELECT pg_is_in_recovery()").fetchone() == (False,), name
"""
    )
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        [str(python), "-m", "pytest", "-n", "2"],
        cwd=project, env=env, capture_output=True, text=True, check=False, timeout=scaled(280),
    )  # fmt: skip
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    assert lifecycle.labs() == ()


def _run(words: list[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=scaled(600))
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}{done.stderr}"


def _is_mentioned(lab: str) -> bool:
    """Whether a process belongs to a lab of that name: its folder is on its command line."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"/labs/{lab}" in path.read_text(errors="replace"):
                return True
        except OSError:
            continue
    return False
