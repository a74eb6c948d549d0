"""A lab of three hosts and a client, and just enough of a cluster for faults to be injected into it."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import pytest

from outlast.clusters.residue import find_residue, take_census
from outlast.config import ClusterSpec
from outlast.faults.base import Effect, Fault, Injection, with_defaults
from outlast.history.history import JSON
from outlast.hosts.base import Lab
from outlast.hosts.netns.lab import NetnsLab
from outlast.hosts.state import labs_folder

CLIENT = "client-1"


@dataclass
class Cluster:
    """Hosts without a database: the faults of the network ask for no more."""

    lab: Lab
    spec: ClusterSpec

    async def inject(self, fault: Fault, *targets: str, seed: int = 7, **params: JSON) -> Injection:
        injection = await fault.prepare(self, targets, with_defaults(fault, params), random.Random(seed))
        await fault.act(self, injection)
        return injection

    async def effect(self, fault: Fault, injection: Injection) -> Effect:
        return await fault.effective(self, injection)

    async def heal(self, fault: Fault, injection: Injection) -> None:
        await fault.heal(self, injection)
        await fault.heal(self, injection)  # twice is once
        assert await self.lab.net.active() == ()

    async def reaches(self, source: str, destination: str, port: int = 0) -> bool:
        found = await self.lab.net.probe(source, destination, count=3, patience_ms=150, port=port)
        return found.reaches


@contextlib.asynccontextmanager
async def cluster_of_three(name: str = "net") -> AsyncIterator[Cluster]:
    """Two nodes, one etcd member and one client."""
    spec = ClusterSpec(nodes=2, dcs=1)
    lab = await NetnsLab.create(labs_folder() / name, spec.subnet)
    try:
        for member in spec.members():
            await lab.add_host(member.name, member.address)
        await lab.add_host(CLIENT, next(iter(spec.spare_addresses())))
        census = take_census(lab.folder)
        yield Cluster(lab, spec)
        census = take_census(lab.folder)
    finally:
        await lab.destroy()
    # A namespace's number goes to the next one at once, be it another lab's: only processes are proof.
    assert [left for left in find_residue(census) if not left.startswith("namespace")] == []


ClusterMaker = Callable[..., AbstractAsyncContextManager[Cluster]]


@pytest.fixture
def make_cluster() -> ClusterMaker:
    """Make a cluster of hosts; nothing of it may be left afterwards."""
    return cluster_of_three
