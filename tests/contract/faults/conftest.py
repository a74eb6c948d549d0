"""One Patroni cluster with three members of its DCS and a light load, for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from labs import ODD_FOLDER, SharedLab, lab_up

from outlast.clusters import lifecycle
from outlast.config import ClientsSpec, ClusterSpec, WorkloadSpec, load_cluster
from outlast.hosts.netns import clocks, disks
from outlast.hosts.state import runs_folder
from outlast.run.load import Load
from outlast.systems.base import Cluster

LAB = "faults"
LIGHT = WorkloadSpec(name="append", clients=ClientsSpec(follow=3), rate_per_s=60.0)


@pytest.fixture(scope="session")
def _session_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults") / ODD_FOLDER


@pytest.fixture(autouse=True)
def _own_state_folder(_session_state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests of this folder share a state folder, because they share a lab."""
    monkeypatch.setenv("OUTLAST_STATE", str(_session_state))


def _spec() -> ClusterSpec:
    on_disks = "on" if disks.unavailable() is None else "off"
    on_clocks = "on" if clocks.unavailable() is None else "off"
    return load_cluster("patroni", ["profile=fast", "dcs=3", f"disks={on_disks}", f"clocks={on_clocks}"])


async def _load(cluster: Cluster) -> None:
    """Some faults are about clients. The load ends with its lab."""
    await Load(cluster, runs_folder() / "background" / "ops", seed=1).start((LIGHT,))


@pytest.fixture(scope="session")
def _lab(_session_state: Path) -> Iterator[SharedLab]:
    lab = SharedLab(lambda: lab_up(_session_state, LAB, _spec(), _load))
    yield lab
    lab.close()


@pytest.fixture
def cluster(_lab: SharedLab, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The running cluster; each test leaves it whole."""
    with _lab.for_test(request.session) as name:
        yield lifecycle.attach(name)
