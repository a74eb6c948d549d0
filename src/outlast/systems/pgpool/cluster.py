"""A running Pgpool-II cluster: its servers, its balancer, and what can be asked of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final

from outlast.clock import timestamp
from outlast.config.cluster import ClusterSpec, NodeSpec, ServiceSpec
from outlast.errors import ClusterError, OutlastError
from outlast.hosts.base import Host, Lab, Program
from outlast.systems import http, maintenance
from outlast.systems.base import ClusterView, NodeView, Role, RouteView
from outlast.systems.credentials import Credentials
from outlast.systems.pgpool import agent, command, settings
from outlast.systems.pgpool.pcp import NodeInfo, Pcp, PcpError
from outlast.systems.pgpool.rest import program as rest
from outlast.systems.postgres import server
from outlast.systems.postgres.answering import answers_query
from outlast.systems.postgres.dsn import multi_host_dsn
from outlast.systems.postgres.seed import POSTGRES_UID
from outlast.systems.postgres.server import last_lines
from outlast.systems.postgres.server_group import POSTGRES
from outlast.systems.programs import program
from outlast.systems.streaming import settings as servers
from outlast.systems.streaming.replication import START_TIMEOUT_S, ReplicationCluster
from outlast.systems.wait import wait_for

PROCESS: Final = "pgpool"
LOOK_TIMEOUT_S: Final = 2.0
READY_TIMEOUT_S: Final = 30.0
MOVE_TIMEOUT_S: Final = 60.0
ATTACH_TIMEOUT_S: Final = 30.0


class PgpoolCluster(ReplicationCluster):
    """Servers behind a Pgpool-II, which decides who leads; the record lies on its host."""

    def __init__(self, lab: Lab, spec: ClusterSpec, credentials: Credentials) -> None:
        found = settings.balancer(spec)
        assert found is not None, "PgpoolSystem makes such a cluster only with a balancer"
        self.balancer: ServiceSpec = found
        host = lab.hosts.get(found.name)
        super().__init__(lab, spec, credentials, host.folder if host is not None else lab.folder)
        self.model = settings.outage_model(spec)

    @property
    def host(self) -> Host:
        """The balancer's host."""
        return self.lab.hosts[self.balancer.name]

    @property
    def pcp(self) -> Pcp:
        """The balancer's administration."""
        return Pcp(self.host)

    def number(self, node: str) -> int:
        """Return a node's backend number."""
        return settings.node_ids(self.spec)[node]

    # looking

    async def view(self) -> ClusterView:
        """Return what every node and the balancer show now."""
        view, backends, serves = await asyncio.gather(super().view(), self._backends(), self._serves())
        by_address = {backend.address: backend for backend in backends or ()}
        nodes = [
            replace(node, assigned_state=said.status if said else None)
            for node in view.nodes
            for said in [by_address.get(node.address)]
        ]
        balancer = NodeView(
            self.balancer.name,
            Role.BALANCER,
            self.balancer.address,
            settings.MAIN_PORT,
            self.published(self.balancer.name),
            "unreachable" if backends is None else "running" if serves else "refuses clients",
            backends is not None and serves,
        )
        missing = view.missing or self._balancing(nodes, view.primary, backends)
        if not missing and not serves:
            missing = f"{self.balancer.name} answers no client's query"
        return ClusterView(not missing, view.primary, (*nodes, balancer), missing)

    async def _serves(self) -> bool:
        """Return whether a query through the balancer is answered; while it is not published yet nobody can ask."""
        name = self.balancer.name
        return self.published(name) is None or await answers_query(self, [(name, self.spec.database)])

    async def _backends(self) -> tuple[NodeInfo, ...] | None:
        if not self.host.is_on:
            return None
        try:
            return await self.pcp.nodes()
        except OutlastError:
            return None

    def _balancing(
        self, nodes: list[NodeView], primary: str | None, backends: tuple[NodeInfo, ...] | None
    ) -> str:
        """Say what the balancer lacks; "" when it leads to every node and takes the primary for it."""
        if backends is None:
            return f"{self.balancer.name} does not answer"
        for node in nodes:
            if node.state != maintenance.STATE and node.assigned_state not in ("up", "waiting"):
                return f"{self.balancer.name} has {node.name} {node.assigned_state}"
        believed = [backend.address for backend in backends if backend.role == "primary"]
        if primary is not None and believed != [self.address(primary)]:
            return f"{self.balancer.name} takes {believed} for the primary, not {primary}"
        return ""

    def routes(self) -> tuple[RouteView, ...]:
        """Return the way through the balancer: it sends writes to the primary and spreads reads by itself."""
        hosts = [(self.balancer.address, settings.MAIN_PORT)]
        return tuple(
            RouteView(
                f"{settings.SERVICE}-{role}",
                settings.SERVICE,
                multi_host_dsn(hosts, self.spec.database, self.spec.user, "any"),
                self.published(self.balancer.name),
            )
            for role in (Role.PRIMARY, Role.STANDBY)
        )

    def log_files(self, node: str) -> Mapping[str, Path]:
        """Return the logs of a node or of the balancer by name."""
        folder = self.lab.hosts[node].folder
        if node == self.balancer.name:
            return {
                "pgpool": folder / settings.LOG,
                "failover": folder / command.LOG,
                "rest": folder / rest.LOG,
            }
        return {"postgresql": server.log_file(folder), "agent": folder / agent.LOG}

    def say(self, words: str) -> None:
        """Write beside what the failover commands did what was done by hand."""
        with (self.host.folder / command.LOG).open("a") as file:
            file.write(f"{timestamp()} {words}\n")

    # processes

    def process_names(self, node: str) -> tuple[str, ...]:
        """Return what process_ids can find on a node or on the balancer."""
        return (PROCESS, rest.PROCESS) if node == self.balancer.name else (POSTGRES,)

    async def start_node(self, node: str) -> None:
        """Start what belongs on a host: Pgpool-II, or an agent and a server, which leads only if the record says so."""
        if node == self.balancer.name:
            if rest.unavailable() is None:
                await rest.start(self.host)  # first: it takes a second to import what it needs
            await self.start_balancer()
            return
        if maintenance.is_out(self.lab.hosts[node]):
            return
        await self.start_agent(node)
        if "failover_command" in self.spec.pgpool:
            # Somebody else's command moves the primary and keeps no record: a server starts as its files say.
            if not await self.server_pids(node):
                await self.server_config(node).server.start(START_TIMEOUT_S)
            await self._attach(node)
            return
        async with self.leadership.held():
            record = self.leadership.read()
            if node == record.primary:
                await self.resume(node)
        if node != record.primary:
            # Without the lock, which the failover command needs: as a standby it harms nobody.
            await self.resume(node)
        await self._attach(node)

    async def _attach(self, node: str) -> None:
        """Have the balancer lead to a node again, once that follows; one whose primary is not there yet is left."""
        backends = await self._backends()
        if backends is None:
            return

        async def unmet() -> str:
            view = await super(PgpoolCluster, self).view()
            found = view.node(node)
            return "" if found.healthy else f"it is {found.state}"

        if any(backend.address == self.address(node) and not backend.attached for backend in backends):
            try:
                await wait_for(unmet, ATTACH_TIMEOUT_S, f"{node} to be fit for clients")
                await self.pcp.attach(self.number(node))
                await self._until_attached(node)
            except ClusterError as error:
                self.say(f"{node} is left detached: {error.message}")

    async def _until_attached(self, node: str) -> None:
        """Wait until the balancer leads clients to a node: it says yes to an attach before it does it, and then
        replaces the processes that answer clients.
        """

        async def unmet() -> str:
            found = [
                backend for backend in await self._backends() or () if backend.address == self.address(node)
            ]
            if not found or not found[0].attached:
                return f"it has it {found[0].status if found else 'nowhere'}"
            return "" if await self._serves() else "it answers no client's query"

        await wait_for(unmet, ATTACH_TIMEOUT_S, f"{self.balancer.name} to lead to {node}")

    async def start_agent(self, node: str) -> None:
        """Start a node's agent where it does not run."""
        host = self.lab.hosts[node]
        if any(process.name == agent.PROCESS and process.state != "Z" for process in await host.processes()):
            return
        await host.spawn(
            Program(
                agent.PROCESS,
                ["outlast.systems.pgpool.agent:main", str(host.folder)],
                agent.LOG,
                module=True,
            )
        )

    async def start_balancer(self) -> None:
        """Start Pgpool-II where it does not run, and wait until it knows its backends. Raises ClusterError."""
        host = self.host
        if await self.process_ids(self.balancer.name, PROCESS):
            return
        left = [f"{server.SOCKET_DIR}/{name}" for name in ("pgpool.pid", ".s.PGSQL.9999", ".s.PGSQL.9898")]
        await host.run(Program("rm", ["rm", "-f", *left], settings.LOG), timeout_s=10.0)
        argv = [program("pgpool"), "-n"]
        for option, name in (("-f", settings.CONF), ("-F", settings.PCP_CONF), ("-a", settings.HBA)):
            argv += [option, str(host.folder / name)]
        await host.spawn(Program(PROCESS, argv, settings.LOG, uid=POSTGRES_UID))

        async def unmet() -> str:
            if not await self.process_ids(self.balancer.name, PROCESS):
                return "it has ended"
            try:
                nodes = await self.pcp.nodes()
            except PcpError as error:
                return error.message
            return "" if any(node.role == "primary" for node in nodes) else "it knows no primary"

        try:
            await wait_for(unmet, READY_TIMEOUT_S, f"Pgpool-II on {self.balancer.name} to serve")
        except ClusterError as error:
            raise ClusterError(f"{error.message}\n{last_lines(host.folder / settings.LOG)}") from error

    async def rest_missing(self) -> str:
        """Return "" once the balancer's REST API answers: without a token, by refusing."""
        try:
            answer = await http.request(
                self.lab,
                (self.balancer.address, settings.REST_PORT),
                "GET",
                "/api/v1/status",
                timeout_s=LOOK_TIMEOUT_S,
            )
        except OSError as error:
            return f"no answer ({error})"
        return "" if answer.status == 401 else f"it says {answer.status}"

    async def write_files(self) -> None:
        """Write what the balancer and the agents read, as the spec is now."""
        spec, token = self.spec, self.credentials.password(settings.AGENT_USER)
        prefix = IPv4Network(spec.subnet).prefixlen
        for name, text in settings.files(spec, self.credentials, self.host.folder).items():
            await self.host.put(name, text.encode())
        nodes = {}
        for node in spec.nodes:
            config = self.server_config(node.name)
            install = config.server.install
            document = {
                "name": node.name,
                "address": node.address,
                "prefix": prefix,
                "token": token,
                "version": install.version,
                "bin_dir": str(install.bin_dir),
                "source": install.source,
                "parameters": dict(config.parameters),
                "hba": list(config.hba),
            }
            await self.lab.hosts[node.name].put(agent.CONFIG, json.dumps(document).encode())
            nodes[str(self.number(node.name))] = {
                "name": node.name,
                "address": node.address,
                "candidate": node.role != "read-only",
                "eligible": servers.eligible(spec, node.name),
            }
        document = {
            "token": token,
            "port": settings.AGENT_PORT,
            "sync": spec.sync,
            "pcp": program("pcp_attach_node"),
            "nodes": nodes,
        }
        await self.host.put(command.CONFIG, json.dumps(document).encode())
        await rest.write_config(self.host, self.credentials.password(rest.REST_USER), prefix)
        (self.host.folder / command.LOG).parent.mkdir(exist_ok=True)

    # acts

    async def add_node(self, node: NodeSpec) -> None:
        """Make a host for a node that follows the primary, and have the balancer lead to it."""
        await super().add_node(node)
        await self.write_files()
        await self.start_agent(node.name)
        await self._reload_balancer(node.name)
        await self._attach(node.name)

    async def remove_node(self, node: str) -> None:
        """Have the balancer lead nobody to a standby, then let it go, with its host."""
        numbers = settings.node_ids(self.spec)
        # The others keep the numbers under which the balancer knows them.
        nodes = tuple(
            replace(node, tags={**node.tags, "node_id": numbers[node.name]}) for node in self.spec.nodes
        )
        if node != await self.primary() and await self._backends():
            with contextlib.suppress(PcpError):
                await self.pcp.detach(numbers[node])
        before, self.spec = self.spec, replace(self.spec, nodes=nodes)
        try:
            await super().remove_node(node)
        except BaseException:
            self.spec = before
            if node in self.lab.hosts:
                await self._attach(node)
            raise
        await self.write_files()
        if await self._backends() is not None:
            await self.pcp.reload()

    async def set_maintenance(self, node: str, on: bool) -> None:
        """Take a standby out, so that the balancer leads nobody to it, or let it follow again."""
        await super().set_maintenance(node, on)
        if on:
            await self._detach(node)
        elif await self._backends() is not None:
            await self._attach(node)
            await self._until_attached(node)

    async def reseed(self, node: str) -> None:
        """Have the balancer lead nobody to a standby while its data are copied anew."""
        numbered = node in settings.node_ids(self.spec)
        if numbered and node not in (await self.primary(), self.leadership.read().primary):
            await self._detach(node)
        try:
            await super().reseed(node)
        finally:
            if node in self.lab.hosts and await self.server_pids(node):
                await self._attach(node)

    async def _detach(self, node: str) -> None:
        if await self._backends() is not None:
            with contextlib.suppress(PcpError):  # it may have noticed by itself
                await self.pcp.detach(self.number(node))

    async def _reload_balancer(self, node: str) -> None:
        """Have the balancer read its files, and wait until it knows node."""

        async def unmet() -> str:
            backends = await self._backends()
            known = any(backend.address == self.address(node) for backend in backends or ())
            return "" if known else f"it knows {[backend.address for backend in backends or ()]}"

        if await self._backends() is None:
            return
        await self.pcp.reload()
        await wait_for(unmet, ATTACH_TIMEOUT_S, f"{self.balancer.name} to know {node}")

    async def switchover(self, target: str | None) -> str:
        """Have Pgpool-II move a healthy primary to target, by default its synchronous standby; returns it."""
        view = await self.view()
        if view.primary is None:
            raise ClusterError("no node takes writes, so none can hand over", hint="outlast failover")
        if target == view.primary:
            raise ClusterError(f"{target} is the primary already")
        fit = [node for node in view.nodes if node.role is Role.STANDBY and node.state == "streaming"]
        if target is None:
            fit.sort(key=lambda node: node.sync not in ("sync", "quorum"))
            target = next((node.name for node in fit), None)
        if target is None or target not in [node.name for node in view.nodes if node.state == "streaming"]:
            raise ClusterError(f"{target or 'no standby'} streams", hint="outlast status")
        await self.pcp.promote(self.number(target), switchover=True)
        return await self._leads(lambda primary: primary == target, target)

    async def failover(self, target: str | None) -> str:
        """Have Pgpool-II promote a standby, also when there is no primary that takes writes; returns it."""
        record = self.leadership.read()
        if target == record.primary:
            raise ClusterError(f"{target} is the primary already")
        if target is not None:
            await self.pcp.promote(self.number(target), switchover=True)
            return await self._leads(lambda primary: primary == target, target)
        old = record.primary
        await self.pcp.detach(self.number(old))
        return await self._leads(lambda primary: primary not in (None, old), "another node")

    async def _leads(self, wanted: Callable[[str | None], bool], words: str) -> str:
        """Wait until the primary is as wanted, and Pgpool-II knows it too; returns it."""
        primary: str | None = None

        async def unmet() -> str:
            nonlocal primary
            primary = await self.primary()
            if not wanted(primary):
                return f"{primary} leads"
            backends = await self._backends() or ()
            known = any(
                backend.role == "primary" and backend.address == self.address(str(primary))
                for backend in backends
            )
            return "" if known else f"{self.balancer.name} does not know it yet"

        try:
            await wait_for(unmet, MOVE_TIMEOUT_S, f"{words} to lead")
        except ClusterError as error:
            raise ClusterError(f"{error.message}\n{last_lines(self.host.folder / command.LOG)}") from error
        assert primary is not None
        return primary

    async def obstacles(self) -> Mapping[str, str]:
        """Return why a standby would not be promoted: what it lacks itself, or that Pgpool-II leads nobody to it."""
        found = dict(await super().obstacles())
        for backend in await self._backends() or ():
            name = next((node.name for node in self.spec.nodes if node.address == backend.address), "")
            if name and not backend.attached and name != self.leadership.read().primary:
                found.setdefault(name, "Pgpool-II has it detached")
        return found
