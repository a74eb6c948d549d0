"""One of our labs, looked at as if it were anybody's: over its published ports."""

from __future__ import annotations

import os

import pytest

from outlast.clusters.foreign_cluster import look
from outlast.systems.base import Cluster
from outlast.systems.wait import wait_until_ready

pytestmark = pytest.mark.lab


def dsn(cluster: Cluster, *nodes: str, user: str = "postgres") -> str:
    ports = [str(cluster.lab.published[node].port) for node in nodes]
    return f"host={','.join(['127.0.0.1'] * len(ports))} port={','.join(ports)} user={user} dbname=postgres"


async def test_a_lab_is_told_as_status_tells_it_and_a_failover_to_the_synchronous_standby_is_safe(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSFILE", os.fspath(cluster.credentials.passfile))
    await wait_until_ready(cluster, 60)
    ours = await cluster.view()
    names = [node.name for node in cluster.spec.nodes]
    found = await look(dsn(cluster, *names))
    assert found.ready, found.missing
    told = {node.port: node for node in found.nodes}
    for name in names:
        node = ours.node(name)
        seen = told[cluster.lab.published[name].port]
        assert (seen.role, seen.timeline, seen.sync) == (node.role, node.timeline, node.sync)
        assert seen.name == name or node.name == ours.primary
    (sync,) = [node.name for node in ours.nodes if node.sync == "sync"]
    assert (found.failover.to, found.failover.acked_safe) == (sync, True)
    assert {loss.to: loss.acked_safe for loss in found.failovers} == {
        name: name == sync for name in names if name != ours.primary
    }
    headless = await look(dsn(cluster, sync))
    assert "no primary was reached" in headless.missing
    humble = await look(dsn(cluster, *names, user=cluster.spec.user))
    assert any("pg_monitor" in remark for remark in humble.remarks)
    assert not any("hang" in remark for remark in humble.remarks)
