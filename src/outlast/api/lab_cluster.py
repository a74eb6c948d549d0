"""A cluster of Outlast's own: everything that can be asked of any, and it may be broken."""

from __future__ import annotations

import asyncio
import logging
import random
import re
import secrets
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg

from outlast.api.acked_writes import READ_TIMEOUT_S
from outlast.api.base import ClusterHandle, Limits
from outlast.api.connection_info import ConnectionInfo
from outlast.api.loop_thread import LoopThread
from outlast.api.recording import LONGEST_S, SEED_BITS, Recorded, Recording
from outlast.clock import deadline_ns, now_ns
from outlast.clusters import lifecycle
from outlast.clusters import operation as operate
from outlast.clusters.service_registry import log_files, start_member, with_services
from outlast.config import ClusterSpec, DrillSpec, WorkloadSpec
from outlast.errors import ClusterError, ConfigError, FaultError, UnavailableError
from outlast.faults import journal
from outlast.faults.base import Fault, with_defaults
from outlast.faults.registry import fault as fault_named
from outlast.history.history import JSON
from outlast.routes.registry import route as route_to
from outlast.run.injections import Injections, OpenInjection
from outlast.run.nemesis import FAILOVER_GRACE_S
from outlast.run.operator import operator
from outlast.systems.base import Cluster, ClusterView, HasServers, Role, Switchable
from outlast.systems.postgres.views import Connection
from outlast.systems.wait import wait_until_ready
from outlast.units import parse_rate_per_s

LOG = logging.getLogger("outlast")


class Injected:
    """A fault that is there for the length of a with block. targets, evidence: known inside it."""

    def __init__(self, own: OwnCluster, kind: Fault, on: str, params: Mapping[str, JSON], seed: int) -> None:
        self._own = own
        self._kind = kind
        self._on = on
        self._params = params
        self._open: OpenInjection | None = None
        self.seed = seed
        self.targets: tuple[str, ...] = ()
        self.evidence = ""

    def __str__(self) -> str:
        where = ", ".join(self.targets) or self._on
        return f"{self._kind.name} on {where}" + (f" ({self.evidence})" if self.evidence else "")

    def __enter__(self) -> Injected:
        self._own._inject(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        try:
            self._own._heal(self)
        except FaultError as worse:
            if error is None:
                raise
            error.add_note(worse.message)


class OwnCluster(ClusterHandle):
    """A cluster on a lab. Made by ``outlast.cluster``; up inside its with block."""

    def __init__(self, spec: ClusterSpec | None, lab: str, limits: Limits, *, keep: bool) -> None:
        super().__init__(LoopThread(), lab, limits)
        self._wanted = spec
        self._running: Cluster | None = None
        self._injections: Injections | None = None
        self._operator: Future[None] | None = None
        self.keep = keep
        self.injected: list[Injected] = []
        self.recordings: list[Recording] = []

    def __enter__(self) -> OwnCluster:
        try:
            if self._wanted is None:
                running = lifecycle.attach(self.name)
                self._runner.run(wait_until_ready(running, self.limits.ready_s))
            else:
                running = self._runner.run(
                    lifecycle.bring_up(self._wanted, self.name, self._say, keep=False)
                ).cluster
        except BaseException:
            self._runner.close()
            raise
        self._running = running
        self.name = running.lab.name
        self._injections = Injections(running, now_ns(), self._say)
        self._operator = self._runner.start(self._operate())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        try:
            for one in self.recordings:
                if one.is_running:
                    one.abandon()
            if self._operator is not None:
                self._operator.cancel()
            self._runner.run(self._leave(), finish=True)
        finally:
            self._running = None
            self._runner.close()

    async def _operate(self) -> None:
        """Have somebody in charge of a system without a manager for as long as the block lasts."""
        async with operator(self.running, self._operator_acts):
            await asyncio.Event().wait()

    def _operator_acts(self, words: str) -> None:
        self._say(words)
        for one in self.recordings:
            one.operator_acts(words)

    async def _leave(self) -> None:
        if self._injections is not None and self.keep:
            await self._injections.heal_all()
        if self._wanted is None:
            return
        lab = self.running.lab
        if self.keep:
            await lifecycle.keep_lab(self.running)
            return
        removed = await lifecycle.take_down(lab.name)
        await lab.destroy()  # lets go of what this process held of it
        if removed.residue:
            raise ClusterError(f"lab {lab.name} left something behind: {', '.join(removed.residue)}")

    @property
    def running(self) -> Cluster:
        """The asynchronous cluster beneath. Raises ConfigError outside the with block."""
        if self._running is None:
            raise ConfigError(f"the cluster {self.name} is not up", hint="use it inside its with block")
        return self._running

    @property
    def spec(self) -> ClusterSpec:
        """What it was made from."""
        return self.running.spec

    @property
    def failover_timeout_s(self) -> float:
        """The limits' failover_s, else what the system's own settings promise, and some seconds."""
        return self.limits.failover_s or self.running.model.outage_s + FAILOVER_GRACE_S

    @property
    def endpoints(self) -> ConnectionInfo:
        """Where its servers are: the published ports."""
        running = self.running
        if not isinstance(running, HasServers):
            raise UnavailableError(f"{running.spec.system} has no PostgreSQL servers to connect to")
        published = running.lab.published
        return ConnectionInfo(
            {
                node.name: ("127.0.0.1", published[node.name].port)
                for node in running.spec.nodes
                if node.name in published
            },
            running.spec.database,
            running.spec.user,
            str(running.credentials.passfile),
        )

    def route(self, kind: str, role: str = "primary") -> str:
        """Return libpq's connection string through a balancer or pooler (``haproxy``, ``pgbouncer``, ``pgpool``)."""
        found = route_to(self.running, kind, Role(role))
        if found.published_port is None:
            raise UnavailableError(f"the route {kind} to a {role} is not published")
        through = replace(self.endpoints, servers={kind: ("127.0.0.1", found.published_port)})
        return through.dsn(role)

    # breaking it

    def inject(self, fault: str, on: str = "primary", *, seed: int | None = None, **params: JSON) -> Injected:
        """Return a fault as a context manager: injected when the block is entered, healed when it is left.

        on: ``primary``, ``one-standby``, ``sync-standby``, ``all``, … or a node's name. params: the fault's own
        (``outlast ls faults``). Entering raises FaultError when it did not bite, so no test passes on a fault that
        never was; leaving raises it when it could not be healed. Raises ConfigError, UnavailableError at once.
        """
        kind = fault_named(fault)
        complete = with_defaults(kind, params)
        if reason := kind.available(self.running):
            raise UnavailableError(f"the fault {fault} cannot be injected here: {reason}")
        return Injected(self, kind, on, complete, secrets.randbits(SEED_BITS) if seed is None else seed)

    def _inject(self, one: Injected) -> None:
        injections = self._injections
        assert injections is not None, "the cluster is up"

        async def inject() -> OpenInjection:
            self._before_fault = (await self._view()).primary
            deadline = deadline_ns(self.failover_timeout_s)
            found = await injections.inject(
                one._kind,
                one._on,
                one._params,
                random.Random(one.seed),
                planned_ns=now_ns(),
                deadline=deadline,
            )
            record = injections.records[found.place]
            one.targets, one.evidence = record.targets, record.evidence
            if record.effective is not True:
                await injections.heal(found)
                verb = "did not bite" if record.effective is False else "may or may not have bitten"
                raise FaultError(f"{one._kind.name} on {', '.join(record.targets)} {verb}: {record.evidence}")
            return found

        one._open = self._runner.run(inject())
        self.injected.append(one)

    def _heal(self, one: Injected) -> None:
        injections, found = self._injections, one._open
        if injections is None or found is None:
            return
        one._open = None
        self._runner.run(injections.heal(found), finish=True)
        record = injections.records[found.place]
        if record.healed_ns is None:
            raise FaultError(f"{one}: {record.evidence}", hint=f"outlast heal --lab {self.name}")

    # moving and mending it

    def switchover(self, to: str | None = None) -> str:
        """Move the primary while it is healthy; returns the new one, at once. Raises ClusterError when refused."""
        return self._moved(planned=True, to=to)

    def failover(self, to: str | None = None) -> str:
        """Have the manager promote a standby, whether or not there is a primary; returns the new one, at once."""
        return self._moved(planned=False, to=to)

    def _moved(self, *, planned: bool, to: str | None) -> str:
        running = self.running
        if not isinstance(running, Switchable):
            raise UnavailableError(f"{running.spec.system} cannot move its primary on demand")
        if to is not None:
            operate.known(running, to)

        async def move() -> str:
            self._before_fault = (await self._view()).primary
            return await (running.switchover(to) if planned else running.failover(to))

        return self._runner.run(move())

    def restart(self, *nodes: str) -> tuple[str, ...]:
        """Restart servers in order, one after another, standbys first; all without nodes. Waits for each."""
        everyone = [node.name for node in self.spec.nodes]
        return tuple(self._runner.run(operate.restart_all(self.running, nodes or everyone, self._say)))

    def heal(self) -> None:
        """Heal whatever was injected, start what does not run, and wait for a whole cluster. Raises ClusterError."""

        async def mend() -> None:
            if self._injections is not None:
                await self._injections.heal_all()
            _healed, failed = await journal.heal_all(self.running)
            if failed:
                raise FaultError(f"not healed: {'; '.join(failed)}")
            for member in self.spec.members():
                host = self.running.lab.hosts.get(member.name)
                if host is not None and host.is_on:
                    await start_member(self.running, member.name)
            await wait_until_ready(self.running, self.limits.ready_s)

        self._runner.run(mend())

    # recording it

    def history(
        self,
        workload: str = "append",
        *,
        clients: int = 4,
        rate: str | float | None = "200/s",
        name: str | None = None,
        route: str | None = None,
        limits: Mapping[str, Any] | None = None,
        **params: Any,
    ) -> Recording:
        """Return a recorded load, as a context manager or to be started: it runs beside the test and is then judged.

        workload: as ``outlast ls workloads`` lists them; clients of its own, on a host of the lab. rate: operations a
        second, None for as fast as answers come. limits: as a drill's checks (``outage_s``, ``availability``, …); the
        system's own promises without. params: the workload's own. name: under which the run is stored.
        """
        try:
            rate_per_s = None if rate is None else parse_rate_per_s(rate)
        except ValueError as error:
            raise ConfigError(str(error), key="rate") from error
        spec = WorkloadSpec(name=workload, clients=clients, rate_per_s=rate_per_s, params=params)  # type: ignore[arg-type]
        stem = re.sub(r"[^A-Za-z0-9]+", "-", name or f"test-{workload}").strip("-")[:60] or "test"
        drill = DrillSpec(
            name=stem,
            title=f"A test with the load {workload}",
            workload={workload: spec},
            duration_s=LONGEST_S,
            route=route,  # type: ignore[arg-type]
            checks=dict(limits or {}),
            settle_s=self.limits.ready_s,
            recovery_s=self.limits.ready_s,
        )
        running = lifecycle.reload(self.running)
        injections = self._injections
        assert injections is not None, "the cluster is up"
        if any(one.is_running for one in self.recordings):
            raise ConfigError("a recorded load is already running", hint="stop it first")
        made = Recording(self._runner, running, injections, drill)
        self.recordings.append(made)
        return made

    def assert_no_lost_writes(
        self,
        acknowledged: Iterable[Any] | None = None,
        *,
        table: str | None = None,
        column: str | None = None,
        query: str | None = None,
        exactly_once: bool = False,
    ) -> None:
        """Fail (AssertionError) unless every acknowledged write is there.

        Without arguments: those of the last recorded load, which is stopped if it runs. With: the application's own,
        see ``Cluster.assert_no_lost_writes``.
        """
        if acknowledged is not None or table is not None or query is not None:
            super().assert_no_lost_writes(
                acknowledged, table=table, column=column, query=query, exactly_once=exactly_once
            )
            return
        if not self.recordings:
            raise ConfigError(
                "there is no recorded load",
                hint="with c.history(): …; or say which values are acknowledged: (ids, table=…, column=…)",
            )
        recorded: Recorded = self.recordings[-1].stop()
        recorded.assert_no_lost_writes()

    def logs(self, node: str | None = None) -> dict[str, dict[str, Path]]:
        """Return the log files, by node and log. They go with the lab."""
        names = [member.name for member in self.spec.members()]
        if node is not None and node not in names:
            raise ConfigError(f"there is no node {node}", hint=f"nodes: {', '.join(names)}")
        found = {name: dict(log_files(self.running, name)) for name in ([node] if node else names)}
        return {name: logs for name, logs in found.items() if logs}

    # for the base

    async def _view(self) -> ClusterView:
        return await with_services(lifecycle.reload(self.running))

    async def _connect(self) -> Connection:
        running = self.running
        if not isinstance(running, HasServers):
            raise UnavailableError(f"{running.spec.system} has no PostgreSQL servers")
        primary = (await running.view()).primary
        if primary is None:
            raise ClusterError("no node accepts writes, so nothing can be read back")
        try:
            return await running.connect(primary, database=running.spec.database, timeout_s=READ_TIMEOUT_S)
        except (psycopg.Error, OSError, TimeoutError) as error:
            raise ClusterError(f"{primary} cannot be read back: {error}") from error

    def _say(self, words: str) -> None:
        LOG.info("%s: %s", self.name, words)
