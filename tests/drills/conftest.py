"""One Patroni cluster with fast timing for all tests of this folder that may share it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from labs import lab_up

from outlast.clusters import lifecycle
from outlast.config import load_cluster, load_drill
from outlast.hosts.state import runs_folder
from outlast.run.conclude import RunResult
from outlast.run.drill import run_drill
from outlast.run.prepare import plan_drill, prepare_drill
from outlast.run.request import RunRequest
from outlast.systems.base import Cluster

QUICK = "\n".join(
    (
        "name: quick",
        "workload: {append: {clients: 8, rate: 100/s}}",
        "timeline:",
        "  - {at: 1s, fault: process_kill, on: primary}",
        "duration: 6s",
    )
)
"""A drill of a few seconds: PostgreSQL alone is killed, Patroni starts it again."""

Runner = Callable[..., Coroutine[Any, Any, RunResult]]


@pytest.fixture(scope="session")
def _session_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drills")


@pytest.fixture(autouse=True)
def _own_state_folder(_session_state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests of this folder share a state folder, because they share a lab."""
    monkeypatch.setenv("OUTLAST_STATE", str(_session_state))


@pytest.fixture(scope="session")
def _lab(_session_state: Path) -> Iterator[str]:
    with lab_up(_session_state, "shared", load_cluster("patroni", ["profile=fast"])) as name:
        yield name


@pytest.fixture
def cluster(_lab: str) -> Cluster:
    """A running cluster, whole again after whatever the last test did to it."""
    return lifecycle.attach(_lab)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Where the test's run is stored: below the folder of runs, the only other place that hosts may write to."""
    return runs_folder() / tmp_path.name


@pytest.fixture
def run(cluster: Cluster, tmp_path: Path, store: Path) -> Runner:
    """Run a drill given as YAML text on the shared cluster, or on another that is given as ``on``."""

    async def run_text(text: str = QUICK, **options: Any) -> RunResult:
        file = tmp_path / "drill.yaml"
        file.write_text(text)
        drill = load_drill(str(file))
        say, on = options.pop("say", print), options.pop("on", cluster)
        request = RunRequest(seed=1, say=say, new_folder=lambda _name: store)
        prepared = prepare_drill(plan_drill(drill, on.spec), on)
        return await run_drill(on, prepared, request, **options)

    return run_text
