"""A standby whose WAL receiver hangs: its connection to the primary stands, and nothing is confirmed any more.

And what that makes possible: a commit whose wait for the synchronous standby is cancelled. PostgreSQL then warns that
the transaction is committed locally only, and reports success (manual, "Planning for High Availability").
"""

from __future__ import annotations

import random
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from outlast.errors import HostError
from outlast.faults.base import Effect, Fault, Injection, Mechanism, Param, number, of_target, pids_of
from outlast.faults.sql_fault import SqlFault, rows
from outlast.history.history import JSON
from outlast.systems.base import Cluster, HasLogs, Role
from outlast.systems.wait import wait_for

_RECEIVER: Final = "SELECT pid FROM pg_stat_wal_receiver WHERE pid IS NOT NULL"
_WAITERS: Final = """
SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND backend_type = 'client backend'
"""
CANCELLED: Final = b"canceling wait for synchronous replication due to user request"


class WalReceiverBlock(SqlFault):
    """SIGSTOP to the WAL receivers of the targets."""

    name = "walreceiver_block"
    about = "a standby's WAL receiver hangs: connected, but it takes and confirms nothing"
    mechanism = Mechanism.SIGNAL
    on = "one-standby"

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Find the receivers. Raises HostError for a target that has none."""
        found: dict[str, JSON] = {}
        for target in targets:
            found[target] = [pid for (pid,) in await rows(cluster, target, _RECEIVER)]
            if not found[target]:
                raise HostError(f"{target} has no WAL receiver")
        return Injection(self.name, targets, params, {"receivers": found})

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Stop them."""
        await _signal(cluster, injection, signal.SIGSTOP)

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """Look at their states."""
        for target in _blocked(injection):
            states = {process.pid: process.state for process in await cluster.lab.hosts[target].processes()}
            for pid in pids_of(injection, "receivers", target):
                if states.get(pid) not in ("T", "t"):
                    return Effect(False, f"{target}: its WAL receiver is in state {states.get(pid)}")
        return Effect(True, f"the WAL receivers of {', '.join(_blocked(injection))} are stopped")

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """Let them go on; one that has ended since was started again by its server."""
        await _signal(cluster, injection, signal.SIGCONT)


class StatementCancelInSyncWait(WalReceiverBlock):
    """Block the receivers of all standbys, and cancel the commits on the target that wait for them."""

    name = "statement_cancel_in_sync_wait"
    about = "commits that wait for a synchronous standby are cancelled: done locally, reported as success"
    params = (
        Param("commits", 5, "", "how many to cancel, at least"),
        Param("wait_s", 5.0, "s", "longest wait for commits to wait for a standby"),
    )
    on = "primary"
    lasts = False  # what was reported stays reported

    def available(self, cluster: Cluster) -> str | None:
        """Needs synchronous replication, and logs in which the server says what it did."""
        if cluster.spec.sync == "off":
            return "no commit waits for a standby while sync is off"
        return super().available(cluster) if isinstance(cluster, HasLogs) else "the server's log is needed"

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Find the standbys' receivers and where the targets' logs end."""
        number(params, "wait_s")
        number(params, "commits", least=1)
        view = await cluster.view()
        standbys = [
            node.name
            for node in view.nodes
            if node.role in (Role.STANDBY, Role.READ_ONLY) and node.name not in targets and node.healthy
        ]
        blocked = await super().prepare(cluster, tuple(standbys), params, rng)
        ends: dict[str, JSON] = {}
        for target in targets:
            sizes: dict[str, JSON] = {name: _size(path) for name, path in _logs(cluster, target).items()}
            ends[target] = sizes
        return Injection(self.name, targets, params, {**blocked.details, "log_ends": ends})

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Block, wait for commits that wait, cancel each of them."""
        await super().act(cluster, injection)
        wanted = number(injection.params, "commits", least=1)
        for target in injection.targets:
            count = 0

            async def too_few(target: str = target) -> str:
                nonlocal count
                count += len(
                    await rows(cluster, target, f"SELECT pg_cancel_backend(pid) FROM ({_WAITERS}) w")
                )
                return "" if count >= wanted else f"{count} did"

            await wait_for(too_few, number(injection.params, "wait_s"), f"commits to wait on {target}")

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """Count the server's own warnings since."""
        count = 0
        for target in injection.targets:
            ends = of_target(injection, "log_ends", target)
            found = 0
            for name, path in _logs(cluster, target).items():
                end = ends.get(name) if isinstance(ends, Mapping) else 0
                found += _read_from(path, int(str(end or 0))).count(CANCELLED)
            if not found:
                return Effect(False, f"{target}: its log tells of no cancelled wait")
            count += found
        return Effect(True, f"{count} commits were reported without their standby")

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """End the receivers; their servers start others.

        What the primary had sent and they had not read goes with their connections, as when a wire is cut.
        """
        await _signal(cluster, injection, signal.SIGTERM)
        await _signal(cluster, injection, signal.SIGCONT)


async def _signal(cluster: Cluster, injection: Injection, number: signal.Signals) -> None:
    for target in _blocked(injection):
        host = cluster.lab.hosts.get(
            target
        )  # not necessarily a target: a standby may have been removed since
        if host is not None and host.is_on:
            await host.signal(number, pids=pids_of(injection, "receivers", target))


def _blocked(injection: Injection) -> list[str]:
    found = injection.details["receivers"]
    return list(found) if isinstance(found, Mapping) else []


def _logs(cluster: Cluster, node: str) -> Mapping[str, Path]:
    assert isinstance(cluster, HasLogs)
    return cluster.log_files(node)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _read_from(path: Path, place: int) -> bytes:
    if not path.exists():
        return b""
    with path.open("rb") as file:
        file.seek(place)
        return file.read()


FAULTS: Final[tuple[Fault, ...]] = (WalReceiverBlock(), StatementCancelInSyncWait())
