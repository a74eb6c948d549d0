"""What an operator does to a group of PostgreSQL servers, as far as it is the same whoever manages them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from outlast.config.cluster import NodeSpec
from outlast.errors import ClusterError
from outlast.hosts.base import Host
from outlast.systems import credentials, maintenance
from outlast.systems.postgres.server_group import ServerGroup
from outlast.systems.postgres.settings import POSTGRES_PORT


class OperableServers(ServerGroup, ABC):
    """Servers that can be taken out, copied anew, and joined by others. A subclass says how its manager is asked."""

    @abstractmethod
    async def require_standby(self, node: str, act: str, *, must_be_on: bool = True) -> Host:
        """Return the host of a node that is to be ``act`` ("reseeded").

        must_be_on: whether its host has to be on. Raises ClusterError for the primary, while there is none to follow,
        and when whoever decides does not answer.
        """

    @abstractmethod
    async def start_node(self, node: str) -> None:
        """Start what belongs on a node and does not run there."""

    @abstractmethod
    async def stop_node(self, node: str) -> None:
        """Stop a node's processes in order; nothing where its host is off. Raises ClusterError."""

    @abstractmethod
    async def wait_until_streaming(self, node: str) -> None:
        """Wait until a standby streams, bounded. Raises ClusterError."""

    async def require_reseedable(self, node: str) -> Host:
        """Return the host of a standby that is not in maintenance. Raises ClusterError."""
        host = await self.require_standby(node, "reseeded")
        if node in await self.in_maintenance():
            raise ClusterError(f"{node} is in maintenance", hint=f"outlast maintenance {node} off")
        return host

    async def set_maintenance(self, node: str, on: bool) -> None:
        """Stop a standby and keep it out, or start it and wait until it streams. Raises ClusterError."""
        host = self.lab.hosts[node]
        if on:
            await self.require_standby(node, "taken out")
            await maintenance.take_out(host)
            await self.stop_node(node)
            return
        if not host.is_on:
            raise ClusterError(f"the host of {node} is off", hint="outlast heal")
        maintenance.put_back(host)
        await self.start_node(node)
        await self.wait_until_streaming(node)

    def node_files(self, node: NodeSpec, host: Host) -> Mapping[str, bytes]:
        """Return what programs on a node's host read, by path below the host's folder."""
        return {credentials.PASSFILE: self.credentials.passfile.read_bytes()}

    async def make_host(self, node: NodeSpec) -> Host:
        """Make a node's host, switched off, with its files on it; go on with one that is there. Raises HostError."""
        host = self.lab.hosts.get(node.name) or await self.lab.add_host(node.name, node.address, power=False)
        for path, content in self.node_files(node, host).items():
            await host.put(path, content)
        return host

    async def join_host(self, node: NodeSpec) -> None:
        """Make a new node's host, switch it on and publish it; go on from where an earlier try ended."""
        host = await self.make_host(node)
        if not host.is_on:
            await host.power_on()
        if node.name not in self.lab.published:
            await self.lab.publish(node.name, node.address, POSTGRES_PORT, node.port)
