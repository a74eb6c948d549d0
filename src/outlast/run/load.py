"""Clients of a run: worker processes on hosts of the lab, so that a partition can cut them off too."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import psycopg

from outlast.clock import now_ns
from outlast.config import ClusterSpec, NodeSpec, WorkloadSpec
from outlast.errors import ClusterError, HarnessError, HostError, UnavailableError
from outlast.history.reading import live_counts
from outlast.hosts.base import Host, Process, Program
from outlast.hosts.state import runs_folder
from outlast.pace import scaled, scaled_deadline_ns
from outlast.routes.registry import carries_prepared, route
from outlast.run.program_files import stage_program
from outlast.run.routed_load import routed_configs
from outlast.systems.base import Cluster, HasServers, Role
from outlast.systems.credentials import PASSFILE
from outlast.systems.postgres.dsn import multi_host_dsn
from outlast.systems.postgres.server import last_lines
from outlast.systems.postgres.settings import POSTGRES_PORT
from outlast.systems.postgres.views import Connection
from outlast.workloads import WORKLOADS
from outlast.workloads.base import NeedsSuperuser, OnReadOnly, OwnProgram, Paced, Workload, with_defaults
from outlast.workloads.config import WorkerConfig
from outlast.workloads.protocol_client import Routed

CLIENT_HOST: Final = "client-1"
FIRST_ACK_TIMEOUT_S: Final = 20.0
SETUP_TIMEOUT_S: Final = 10.0
STOP_MARGIN_S: Final = 10.0
PACED_LATE_MAX_S: Final = 2.0
"""A workload with a rhythm of its own sends its ops in bursts, so some wait for those before them; like the program
that it stands for, it is late when a commit takes long, and catches up."""

POLL_S: Final = 0.02
USAGE_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class _Worker:
    config: WorkerConfig
    process: Process


@dataclass(frozen=True, slots=True)
class Usage:
    """What a program has used: seconds of processor time so far, bytes of resident memory now."""

    cpu_s: float
    rss_bytes: int


class Load:
    """The workers of one run. ops_folder: where they record."""

    def __init__(self, cluster: Cluster, ops_folder: Path, seed: int) -> None:
        self._cluster = cluster
        self._ops_folder = ops_folder
        self._seed = seed
        self._workers: list[_Worker] = []
        self._next_process = 0
        self._route = "libpq"
        self.routed: list[WorkerConfig] = []
        """Of the loads that take a route of the system's own: what their final read needs."""

    @property
    def running(self) -> bool:
        """Whether workers were started and not stopped."""
        return bool(self._workers)

    async def start(
        self, workloads: tuple[WorkloadSpec, ...], level: str = "read-committed", route: str = "libpq"
    ) -> int:
        """Make the tables and start the workers; returns the monotonic ns at which each had its first ack.

        level: isolation of workloads whose ops are transactions. route: the kind that clients take who are not
        pinned to a node. Raises ClusterError with a worker's own words when one gets none.
        """
        self._route = route
        if not self._ops_folder.is_relative_to(runs_folder()):
            raise HarnessError(
                f"hosts of a lab cannot write to {self._ops_folder}, only below {runs_folder()}"
            )
        self._ops_folder.mkdir(parents=True, exist_ok=True)
        host = await self._client_host()
        for spec in workloads:
            if not isinstance(WORKLOADS[spec.name], Routed):
                await self._set_up(WORKLOADS[spec.name])
            for config in self._configs(spec, host, level):
                await self._spawn(host, config)
        await self._first_acks(host)
        return now_ns()

    async def stop(self) -> None:
        """Have the workers end: open ops may finish, within a bound; whoever does not end is killed."""
        if not self._workers:
            return  # the start failed before there was a host for them
        host = self._cluster.lab.hosts[CLIENT_HOST]
        for worker in self._workers:
            await host.signal(signal.SIGTERM, pids=[worker.process.pid])
        for worker in self._workers:
            try:
                await worker.process.wait(worker.config.drain_s + scaled(STOP_MARGIN_S))
            except TimeoutError:
                await host.signal(signal.SIGKILL, pids=[worker.process.pid])
                await worker.process.wait(scaled(STOP_MARGIN_S))
        self._workers.clear()

    def last_acks(self) -> dict[str, int]:
        """Return when each worker that follows the primary had its last acknowledgement, monotonic ns; 0 for none."""
        following = {worker.config.name for worker in self._following()}
        counts = live_counts(self._ops_folder) if following else ()
        return {one.worker: one.last_ack_ns for one in counts if one.worker in following}

    def _following(self) -> list[_Worker]:
        return [worker for worker in self._workers if "-at-" not in worker.config.name]

    async def usage(self) -> Mapping[str, Usage]:
        """Return what each worker that runs has used, by its name; {} when that cannot be told."""
        if not self._workers:
            return {}
        paths = [f"/proc/{worker.process.pid}/stat" for worker in self._workers]
        asked = Program("usage", ["cat", *paths], "log/usage.log")
        try:
            told = await self._cluster.lab.hosts[CLIENT_HOST].run(asked, timeout_s=USAGE_TIMEOUT_S)
        except (HostError, TimeoutError):
            return {}
        found = dict(_usage(line) for line in told.stdout.splitlines())
        return {
            worker.config.name: found[worker.process.pid]
            for worker in self._workers
            if worker.process.pid in found
        }

    async def _client_host(self) -> Host:
        lab = self._cluster.lab
        if CLIENT_HOST in lab.hosts:
            return lab.hosts[CLIENT_HOST]
        used = {host.address for host in lab.hosts.values()}
        for address in self._cluster.spec.spare_addresses():
            if address in used:
                continue
            try:
                host = await lab.add_host(CLIENT_HOST, address)
            except HostError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                continue  # another command, which adds a node meanwhile, took this address
            await host.put(PASSFILE, self._cluster.credentials.passfile.read_bytes())
            return host
        raise ClusterError(f"the subnet {self._cluster.spec.subnet} has no address left for the clients")

    async def _set_up(self, workload: Workload) -> None:
        cluster = self._cluster
        assert isinstance(cluster, HasServers)
        primary = (await cluster.view()).primary
        if primary is None:
            raise ClusterError("no node accepts writes, so the workload's tables cannot be made")
        database, user = cluster.spec.database, cluster.spec.user
        try:
            if isinstance(workload, NeedsSuperuser):
                above = await cluster.connect(primary, database=database, timeout_s=scaled(SETUP_TIMEOUT_S))
                async with above:
                    await _execute(above, workload.superuser_setup)
            connection = await cluster.connect(
                primary, database=database, user=user, timeout_s=scaled(SETUP_TIMEOUT_S)
            )
            async with connection:
                await _execute(connection, workload.setup)
        except psycopg.errors.FeatureNotSupported as error:  # an extension that this PostgreSQL comes without
            raise UnavailableError(
                f"the workload {workload.name} needs what {primary} lacks: {error.diag.message_primary}",
                hint="outlast ls workloads says what each needs",
            ) from error
        except psycopg.Error as error:
            raise ClusterError(
                f"the tables of the workload {workload.name} cannot be made on {primary}: {str(error).strip()}",
                hint="outlast ls workloads says what each needs",
            ) from error

    def _configs(self, spec: WorkloadSpec, host: Host, level: str) -> list[WorkerConfig]:
        cluster = self._cluster
        workload = WORKLOADS[spec.name]
        params = with_defaults(workload, spec.params)
        base = WorkerConfig(
            name=spec.name,
            ops_folder=str(self._ops_folder),
            dsn="" if isinstance(workload, Routed) else route(cluster, self._route, Role.PRIMARY).dsn,
            clients=spec.clients.follow,
            workload=spec.name,
            seed=self._seed,
            rate_per_s=spec.rate_per_s,
            passfile=str(host.folder / PASSFILE),
            level=level,
            params=params,
            epoch_ns=now_ns(),
            pause_s=params.get("pause_ms", 0) / 1000,
            prepared=carries_prepared(self._route),
        )
        if isinstance(workload, Routed):
            configs = routed_configs(cluster, workload, spec, base)
            self.routed.append(configs[0])
            return self._numbered(configs)
        if isinstance(workload, Paced):
            paced = spec.rate_per_s or workload.rate_per_s
            base = replace(base, rate_per_s=paced, late_max_s=PACED_LATE_MAX_S)
        if isinstance(workload, OwnProgram):
            words = workload.argv(spec.params, spec.clients.follow)
            argv, folder = stage_program(words, Path.cwd(), host.folder / f"{spec.name}-files")
            return self._numbered([replace(base, argv=argv, folder=str(folder), clients=1)])
        if isinstance(workload, OnReadOnly):
            return self._numbered([self._pinned(base, node, "on") for node in read_only_nodes(cluster.spec)])
        configs = [base] if spec.clients.follow else []
        if params.get("readers"):  # they start at different hosts of the route, so that every node is read
            name, dsn = f"{spec.name}-readers", route(cluster, self._route, Role.STANDBY).dsn
            readers = params["readers"]
            configs.append(replace(base, name=name, dsn=dsn, clients=readers, reads_only=True))
        if spec.clients.pinned:
            share = max(1, spec.clients.follow)
            for node in cluster.spec.nodes:
                rate = None if spec.rate_per_s is None else spec.rate_per_s / share
                configs.append(replace(self._pinned(base, node, "at"), clients=1, rate_per_s=rate))
        return self._numbered(configs)

    def _pinned(self, base: WorkerConfig, node: NodeSpec, word: str) -> WorkerConfig:
        spec = self._cluster.spec
        dsn = multi_host_dsn([(node.address, POSTGRES_PORT)], spec.database, spec.user, "any")
        return replace(base, name=f"{base.name}-{word}-{node.name}", dsn=dsn, prepared=True)

    def _numbered(self, configs: Sequence[WorkerConfig]) -> list[WorkerConfig]:
        """Give each worker process numbers of its own."""
        numbered = []
        for config in configs:
            numbered.append(replace(config, first_process=self._next_process))
            self._next_process += config.processes
        return numbered

    async def _spawn(self, host: Host, config: WorkerConfig) -> None:
        path = host.folder / f"{config.name}.json"
        config.write(path)
        process = await host.spawn(
            Program(
                f"load:{config.name}",
                [
                    sys.executable,
                    "-m",
                    f"outlast.workloads.{'own_program' if config.argv else 'worker'}",
                    str(path),
                ],
                f"log/{config.name}.log",
            )
        )
        self._workers.append(_Worker(config, process))

    async def _first_acks(self, host: Host) -> None:
        deadline = scaled_deadline_ns(FIRST_ACK_TIMEOUT_S)
        following = self._following()
        while True:
            acked = {counts.worker for counts in live_counts(self._ops_folder) if counts.ok}
            late = [worker.config.name for worker in following if worker.config.name not in acked]
            if not late:
                return
            if now_ns() > deadline:
                words = last_lines(host.folder / f"log/{late[0]}.log")
                raise ClusterError(
                    f"the load {late[0]} had no write acknowledged in {scaled(FIRST_ACK_TIMEOUT_S):g} s"
                    + (f"; it says:\n{words}" if words else "")
                )
            await asyncio.sleep(POLL_S)


async def _execute(connection: Connection, statements: Sequence[str]) -> None:
    for statement in statements:
        await connection.execute(statement.encode())


def _usage(line: str) -> tuple[int, Usage]:
    """Read a line of proc_pid_stat(5): the process, and what it and its ended children have used."""
    pid, rest = line.split(" ", 1)
    fields = rest.rpartition(")")[2].split()
    ticks, pages = sum(map(int, fields[11:15])), int(fields[21])
    return int(pid), Usage(ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE"))


def read_only_nodes(spec: ClusterSpec) -> tuple[NodeSpec, ...]:
    """Return the nodes that only serve reads; where there are none, all that start as standbys."""
    read_only = tuple(node for node in spec.nodes if node.role == "read-only")
    return read_only or tuple(node for node in spec.nodes if node.role == "standby")
