"""The observer sees a node fall silent when it does, also one whose connections stay open."""

from __future__ import annotations

import signal

import pytest

from outlast.clusters.observation import Observer
from outlast.systems.base import Cluster
from outlast.systems.patroni.cluster import PatroniCluster
from outlast.systems.wait import wait_for

pytestmark = pytest.mark.lab

SEEN_WITHIN_S = 4.0
"""Without a bound on a query whose server is stopped it took psycopg over eight seconds to give up."""


async def test_a_stopped_server_is_seen_while_its_connection_stays_open(cluster: Cluster) -> None:
    assert isinstance(cluster, PatroniCluster)
    node = cluster.spec.nodes[-1].name
    host, observer = cluster.lab.hosts[node], Observer(cluster)

    async def not_all_seen() -> str:
        return "" if observer.answering() == len(cluster.spec.nodes) else f"{observer.answering()} answer"

    async def not_seen_silent() -> str:
        seen = [one.state for one in observer.observations if (one.node, one.source) == (node, "node")]
        return "" if seen[-1] == "unreachable" else f"{node} is {seen[-1]}"

    async with observer.running():
        await wait_for(not_all_seen, 10, "every node to be seen")
        pids = await cluster.server_pids(node)
        await host.signal(signal.SIGSTOP, pids=pids)
        try:
            await wait_for(not_seen_silent, SEEN_WITHIN_S, f"{node} to be seen silent")
        finally:
            await host.signal(signal.SIGCONT, pids=pids)
