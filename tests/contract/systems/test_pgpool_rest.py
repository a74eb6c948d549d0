# ruff: noqa: ASYNC212 - the API is asked from outside, by a client that waits
"""The REST API before a real Pgpool-II: what it says was done is looked up on the servers, past it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from labs import lab_up
from skips import needs

from outlast.clusters import lifecycle
from outlast.clusters.service_registry import start_member
from outlast.config import load_cluster
from outlast.pace import scaled
from outlast.systems.base import Cluster
from outlast.systems.pgpool.cluster import PgpoolCluster
from outlast.systems.pgpool.rest import program as rest
from outlast.systems.pgpool.system import TOOLS
from outlast.systems.wait import wait_until_ready

pytestmark = [
    pytest.mark.lab,
    needs(*TOOLS),
]


@pytest.fixture(scope="module")
def _state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    state = tmp_path_factory.mktemp("rest")
    with lab_up(state, "rested", load_cluster("pgpool", ["profile=fast"])):
        yield state


@pytest.fixture
def cluster(_state: Path, monkeypatch: pytest.MonkeyPatch) -> PgpoolCluster:
    monkeypatch.setenv("OUTLAST_STATE", str(_state))
    found = lifecycle.attach("rested")
    assert isinstance(found, PgpoolCluster)
    return found


@pytest.fixture
def api(cluster: PgpoolCluster) -> Iterator[httpx.Client]:
    """A client that is signed in."""
    port = cluster.published(f"{cluster.balancer.name}/rest")
    with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=scaled(120)) as client:
        given = {"username": rest.REST_USER, "password": cluster.credentials.password(rest.REST_USER)}
        client.headers["Authorization"] = (
            f"Bearer {client.post('/auth/login', json=given).json()['access_token']}"
        )
        yield client


async def writable(cluster: Cluster) -> list[str]:
    """Return the nodes that take writes, asked one by one past the balancer."""
    assert isinstance(cluster, PgpoolCluster)
    found = []
    for node in cluster.spec.nodes:
        try:
            async with await cluster.connect(node.name) as connection:
                row = await (await connection.execute("SELECT pg_is_in_recovery()")).fetchone()
        except (psycopg.Error, OSError):
            continue
        if row == (False,):
            found.append(node.name)
    return found


async def test_a_promotion_leaves_exactly_one_writable_node_and_bad_requests_change_nothing(
    cluster: PgpoolCluster, api: httpx.Client
) -> None:
    await wait_until_ready(cluster, 60)
    (old,) = await writable(cluster)
    shown = api.get("/status").json()
    assert shown["running"]
    assert shown["nodes"][shown["primary"]]["name"] == old
    target = next(node for node in shown["nodes"] if not node["writable"])
    for answer, code in (
        (api.post(f"/nodes/{target['id']}/promote", headers={"Authorization": "Bearer no"}), 401),
        (api.post("/nodes/77/promote"), 404),
        (api.post(f"/nodes/{shown['primary']}/promote"), 409),
        (api.post(f"/nodes/{target['id']}/recovery"), 501),
        (api.post("/control/stop", content=b"{", headers={"Content-Type": "application/json"}), 400),
    ):
        assert answer.status_code == code, answer.text
        assert answer.json()["error"]
    assert await writable(cluster) == [old]
    done = await asyncio.to_thread(api.post, f"/nodes/{target['id']}/promote")
    assert done.status_code == 200, done.text
    assert await writable(cluster) == [target["name"]]
    await wait_until_ready(cluster, 60)  # and the old primary follows, attached
    for secret in (rest.CONFIG, "pcppass", "pool_passwd", "failover.json"):
        assert (cluster.host.folder / secret).stat().st_mode & 0o077 == 0


async def test_a_stopped_pgpool_is_told_and_started_again(cluster: PgpoolCluster, api: httpx.Client) -> None:
    await wait_until_ready(cluster, 60)
    assert api.post("/control/stop").status_code == 200
    assert await cluster.process_ids(cluster.balancer.name, "pgpool") == []
    assert api.get("/status").json()["running"] is False
    for answer in (api.get("/nodes"), api.post("/nodes/1/promote"), api.post("/control/stop")):
        assert answer.status_code == 503, answer.text
    await start_member(cluster, cluster.balancer.name)
    await wait_until_ready(cluster, 60)
    assert api.get("/status").json()["running"] is True


@pytest.mark.slow
async def test_it_keeps_to_its_own_description_whatever_is_asked(
    cluster: PgpoolCluster, api: httpx.Client, tmp_path: Path
) -> None:
    """Also while Pgpool-II is stopped; and all that was asked leaves one writable node."""
    await wait_until_ready(cluster, 60)
    explore(api, tmp_path, "--exclude-path", "/api/v1/control/stop")
    await back(cluster)
    assert len(await writable(cluster)) == 1
    assert api.post("/control/stop").status_code == 200
    explore(api, tmp_path)
    await back(cluster)
    assert len(await writable(cluster)) == 1


async def back(cluster: PgpoolCluster) -> None:
    """Start what was stopped: a primary that somebody detaches is replaced, and fenced until it is started again."""
    for name in (cluster.balancer.name, *(node.name for node in cluster.spec.nodes)):
        await start_member(cluster, name)
    await wait_until_ready(cluster, 120)


def explore(api: httpx.Client, folder: Path, *words: str) -> None:
    """Have schemathesis ask all that the API's own description allows, and what it does not."""
    url = f"{str(api.base_url).removesuffix('/api/v1/')}/openapi.json"
    options = {
        "--header": f"Authorization: {api.headers['Authorization']}",
        "--max-examples": "2",
        "--max-time": "90",
        "--request-timeout": "90",
        "--seed": "1",
        # 501 and the like are answers here, and a node that is there may not be fit to be promoted.
        "--exclude-checks": "not_a_server_error,positive_data_acceptance",
    }
    argv = [str(Path(sys.executable).with_name("st")), "run", url, "--no-color", *words]
    argv += [word for option in options.items() for word in option]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=scaled(280), check=False, cwd=folder)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
