"""Faults that are one signal to a process and all that belong to it: kill, stop, pause.

One mechanism, three meanings: SIGKILL is a crash, SIGTERM an orderly end that nobody asked for, SIGSTOP a process that
hangs while its host, and so its TCP connections, live on.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Mapping
from typing import Final

from outlast.clusters.service_registry import process_ids, process_names
from outlast.errors import ConfigError
from outlast.faults.base import Effect, Fault, Injection, Mechanism, Param, pids_of
from outlast.faults.host_state import bring_back, end_in_order
from outlast.history.history import JSON
from outlast.systems.base import Cluster, Killable

MANAGER: Final = "manager"
"""A word for whatever manages the server on a node: patroni, pg_autoctl."""

SERVER: Final = "server"
"""A word for whatever serves a node: postgres, raftlog, etcd."""

END_TIMEOUT_S: Final = 20.0

_WHICH = Param(
    "process",
    "postgres",
    "",
    "which: postgres with its backends, manager (patroni, pg_autoctl), etcd, or server: what serves the node",
)


class ProcessSignal(Fault):
    """Send number to a process; it bit when the processes that were there are gone, or stopped."""

    mechanism = Mechanism.SIGNAL
    params: tuple[Param, ...] = (_WHICH,)

    def __init__(self, name: str, about: str, number: signal.Signals) -> None:
        self.name = name
        self.about = about
        self.number = number
        self.lasts = number is signal.SIGSTOP

    def available(self, cluster: Cluster) -> str | None:
        """Needs a system that can tell its processes apart."""
        return None if isinstance(cluster, Killable) else f"{cluster.spec.system} has no process to name"

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Find the process on each target."""
        found: dict[str, JSON] = {}
        for target in targets:
            found[target] = list(await find(cluster, target, str(params["process"])))
        return Injection(self.name, targets, params, {"pids": found})

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Signal the process on each target."""
        for target in injection.targets:
            await cluster.lab.hosts[target].signal(self.number, pids=pids_of(injection, "pids", target))

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """Look at the state of the processes that were there."""
        count = 0
        for target in injection.targets:
            pids = pids_of(injection, "pids", target)
            if not pids:
                return Effect(False, f"{injection.params['process']} did not run on {target}")
            states = {process.pid: process.state for process in await cluster.lab.hosts[target].processes()}
            spared = sorted(pid for pid in pids if not self._shows(states.get(pid)))
            if spared:
                return Effect(False, f"{target}: pids {spared} still run")
            count += len(pids)
        ended = "stopped" if self.number is signal.SIGSTOP else "gone"
        return Effect(True, f"{count} processes of {injection.params['process']} are {ended}")

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """Let stopped processes go on; start what belongs on the nodes and does not run, or is about to end."""
        if self.number is signal.SIGTERM:
            pids = {target: pids_of(injection, "pids", target) for target in injection.targets}
            await end_in_order(cluster, pids, pids, END_TIMEOUT_S)
        for target in injection.targets:
            host = cluster.lab.hosts[target]
            if self.number is signal.SIGSTOP and host.is_on:
                await host.signal(signal.SIGCONT, pids=pids_of(injection, "pids", target))
        await bring_back(cluster, injection.targets)

    def _shows(self, state: str | None) -> bool:
        """Whether a process in this state (None: gone, Z: gone but for its entry) shows the signal's effect."""
        return state in (None, "Z") or (self.number is signal.SIGSTOP and state in ("T", "t"))


async def find(cluster: Cluster, node: str, process: str) -> list[int]:
    """Return the pids of a named process on a node. Raises ConfigError for a name the system does not know."""
    name = process_name(cluster, node, process)
    return await process_ids(cluster, node, name)


def process_name(cluster: Cluster, node: str, process: str) -> str:
    """Return the name that a node knows a process by: manager and server on any system, others by name.

    Raises ConfigError for a name the system does not know.
    """
    names = process_names(cluster, node)
    if process == MANAGER and names:
        return names[0]
    if process == SERVER and names:
        return names[-1]  # a manager is named before what it manages
    if process not in names:
        has = f"it has: {', '.join(names)}" if names else None
        raise ConfigError(f"{node} has no process {process}", hint=has)
    return process


PROCESS_KILL = ProcessSignal(
    "process_kill", "a process and all that belong to it get SIGKILL, as after a crash", signal.SIGKILL
)
PROCESS_STOP = ProcessSignal(
    "process_stop", "a process and all that belong to it get SIGTERM and may end in order", signal.SIGTERM
)
PROCESS_PAUSE = ProcessSignal(
    "process_pause",
    "a process and all that belong to it get SIGSTOP: they hang, their host lives",
    signal.SIGSTOP,
)
FAULTS: Final[tuple[Fault, ...]] = (PROCESS_KILL, PROCESS_STOP, PROCESS_PAUSE)
