"""A cluster in memory, for unit tests of faults: hosts, processes, disks and servers are state and nothing else.

Whatever is asked of it is done between two steps, and a test may interrupt at any step: before it nothing of that
request is done, after it all of it. ``in_force`` is what a fault could have left behind.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import itertools
import signal as signals
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from outlast.config import ClusterSpec
from outlast.errors import HostError
from outlast.hosts.base import Completed, DiskPace, ProcessInfo, Program
from outlast.systems.base import ClusterView, NodeView, Role
from outlast.testing.fake_net import FakeNet
from outlast.testing.simulated_server import SimulatedConnection, SimulatedServer

INIT: Final = 1
MANAGER, SERVER, RECEIVER, DCS = "patroni", "postgres", "walreceiver", "etcd"
DATA_FILE: Final = "data/base/1/2608"
BALLAST: Final = ".ballast"
PAGE_BYTES: Final = 8192

_sleep = asyncio.sleep  # tests put a step in its place


class Steps:
    """Counts the places at which the tool may be interrupted. at: is told each number, and may raise or cancel."""

    def __init__(self) -> None:
        self.count = 0
        self.at: Callable[[int], None] | None = None

    async def step(self) -> None:
        """Be at such a place."""
        self.count += 1
        if self.at is not None:
            self.at(self.count)
        await _sleep(0)


class Stepped:
    """Something whose coroutines have a step before and one after them."""

    def __init__(self, inner: object, steps: Steps) -> None:
        self._inner = inner
        self._steps = steps

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if not inspect.iscoroutinefunction(value):
            return value

        async def stepped(*words: Any, **named: Any) -> Any:
            await self._steps.step()
            result = await value(*words, **named)
            await self._steps.step()
            return result

        return stepped


@dataclass
class _Running:
    """A process. ending: it was told to end, and does so once it has been looked at again."""

    name: str
    state: str = "S"
    ending: bool = False


class SimulatedDisk:
    """A disk that is stopped or not, and held to a pace or not."""

    def __init__(self) -> None:
        self.is_stopped = False
        self.pace: DiskPace | None = None

    async def stop(self) -> None:
        """Nothing reaches it any more."""
        self.is_stopped = True

    async def fail(self) -> None:
        """The same: it can be read and not written."""
        self.is_stopped = True

    async def start(self) -> None:
        """It takes writes again."""
        self.is_stopped = False

    async def sync(self) -> None:
        """There is nothing to wait for."""

    async def set_pace(self, pace: DiskPace | None) -> None:
        """Hold it to a pace."""
        self.pace = pace


class SimulatedMemory:
    """A limit, or none."""

    def __init__(self) -> None:
        self.limit_bytes: int | None = None
        self.kills: int | None = None

    async def limit(self, pids: Sequence[int], limit_bytes: int) -> None:
        """Note the limit."""
        self.limit_bytes, self.kills = limit_bytes, self.kills or 0

    async def free(self) -> None:
        """Lift it."""
        self.limit_bytes = self.kills = None


@dataclass
class SimulatedClock:
    """A clock that shows what it was set to."""

    offset_s: float = 0.0
    pace: float = 1.0

    def set(self, offset_s: float, pace: float = 1.0) -> None:
        """Set it."""
        self.offset_s, self.pace = offset_s, pace


class SimulatedHost:
    """A machine: processes by pid, a cable, a disk, memory and a clock."""

    def __init__(
        self, name: str, address: str, folder: Path, belongs: tuple[str, ...], steps: Steps, pids: Any
    ) -> None:
        self.name, self.address, self.folder = name, address, folder
        self.belongs = belongs
        self.is_on = self.is_plugged = True
        self.boots = 1
        self._steps, self._pids = steps, pids
        self._running: dict[int, _Running] = {}
        self.real_disk, self.real_memory = SimulatedDisk(), SimulatedMemory()
        self.disk, self.memory = Stepped(self.real_disk, steps), Stepped(self.real_memory, steps)
        self.clock = SimulatedClock()
        self.server = SimulatedServer(self)
        self.start_missing()

    def start_missing(self) -> None:
        """Start what belongs here and does not run."""
        for name in self.belongs:
            if not self.pids_of(name):
                self._running[next(self._pids)] = _Running(name)

    def pids_of(self, name: str) -> list[int]:
        """Return the pids of what runs under a name."""
        return [pid for pid, process in self._running.items() if process.name == name]

    def end(self, pid: int) -> None:
        """End a process. A server takes its receiver with it, and starts another when that ends alone."""
        name = self._running.pop(pid).name
        if name == SERVER:
            self.server.crash()
            for receiver in self.pids_of(RECEIVER):
                del self._running[receiver]
        if name == RECEIVER and self.pids_of(SERVER):
            self._running[next(self._pids)] = _Running(RECEIVER)

    async def processes(self) -> list[ProcessInfo]:
        """Return what runs; what was told to end is seen once more."""
        if not self.is_on:
            raise HostError(f"{self.name} is off")
        seen = [ProcessInfo(pid, INIT, process.name, process.state) for pid, process in self._running.items()]
        for pid, process in list(self._running.items()):
            if process.ending and process.state != "T" and pid in self._running:
                self.end(pid)
        return [ProcessInfo(INIT, 0, f"host:{self.name}", "S"), *seen]

    async def signal(
        self,
        number: signals.Signals,
        *,
        name: str | None = None,
        pids: Sequence[int] = (),
        tree: bool = False,
    ) -> list[int]:
        """Stop, continue, kill, or tell to end."""
        if not self.is_on:
            raise HostError(f"{self.name} is off")
        reached = [pid for pid in pids if pid in self._running]
        for pid in reached:
            process = self._running.get(pid)
            if process is None:
                continue  # it went with one before it
            match number:
                case signals.SIGSTOP:
                    process.state = "T"
                case signals.SIGCONT:
                    process.state = "S"
                case signals.SIGKILL:
                    self.end(pid)
                case _:
                    process.ending = True
                    if process.name == MANAGER:
                        for server in self.pids_of(SERVER):
                            self._running[server].ending = True
        return reached

    async def spawn(self, program: Program) -> None:
        """Start a program; psql opens a session of its own."""
        if not self.is_on:
            raise HostError(f"{self.name} is off")
        self._running[next(self._pids)] = _Running(program.name)
        if program.name == "psql":
            words = " ".join(map(str, program.argv))
            self.server.sessions.append(words.partition("application_name=")[2].split()[0])

    async def run(self, program: Program, *, timeout_s: float, stdin: bytes = b"") -> Completed:
        """Answer the two programs that faults run: one tells when init was booted, one times the disk."""
        if not self.is_on:
            raise HostError(f"{self.name} is off")
        if program.name == "cat":
            return Completed(0, f"1 (init) S {'0 ' * 18}{self.boots}", "")
        assert program.name == "time-disk", program
        return Completed(0, "0.1 0.1 0.1 0.1", "")

    async def plug(self, plugged: bool) -> None:
        """Plug the cable in or pull it."""
        if plugged and not self.is_on:
            raise HostError(f"{self.name} has no cable")
        self.is_plugged = plugged

    async def power_off(self) -> None:
        """Pull the cable, then end everything."""
        self.is_plugged = False
        await self._steps.step()
        self.is_on = False
        self._running.clear()
        self.server.crash()

    async def power_on(self) -> None:
        """Boot; nothing runs yet."""
        if not self.is_on:
            self.is_on = self.is_plugged = True
            self.boots += 1

    @property
    def in_force(self) -> dict[str, object]:
        """What a fault could have left here."""
        shown = Counter((process.name, process.state) for process in self._running.values())
        data = self.folder / DATA_FILE
        return {
            "on": self.is_on,
            "plugged": self.is_plugged,
            "processes": {what: count for what, count in sorted(shown.items()) if what[0] != "psql"},
            "disk": (self.real_disk.is_stopped, self.real_disk.pace),
            "memory": self.real_memory.limit_bytes,
            "clock": (self.clock.offset_s, self.clock.pace),
            "ballast": (self.folder / BALLAST).exists(),
            "data": hashlib.sha256(data.read_bytes()).hexdigest() if data.exists() else "",
            "server": self.server.in_force,
        }


@dataclass
class SimulatedLab:
    """Hosts on a net of rules."""

    folder: Path
    hosts: dict[str, Any]
    net: Any
    name: str = "simulated"


@dataclass
class SimulatedCluster:
    """A Patroni cluster whose first node is its primary, with every capability that a fault may ask for.

    folder: of the lab, where the journal is. Cheap: no process is started and nothing waits.
    """

    spec: ClusterSpec
    folder: Path
    steps: Steps = field(default_factory=Steps)

    def __post_init__(self) -> None:
        pids = itertools.count(100)
        self.hosts: dict[str, SimulatedHost] = {}
        for member in self.spec.members():
            is_node = member in self.spec.nodes
            belongs = (MANAGER, SERVER, RECEIVER) if is_node else (DCS,)
            folder = self.folder / "hosts" / member.name
            self.hosts[member.name] = host = SimulatedHost(
                member.name, member.address, folder, belongs, self.steps, pids
            )
            data = folder / DATA_FILE
            data.parent.mkdir(parents=True)
            data.write_bytes(bytes([7]) * PAGE_BYTES)
            host.server.in_recovery = member != self.spec.nodes[0]
        self.real_net = FakeNet(self.hosts)
        stepped = {name: Stepped(host, self.steps) for name, host in self.hosts.items()}
        self.lab = SimulatedLab(self.folder, stepped, Stepped(self.real_net, self.steps))
        self._restarts = 0

    async def in_force(self) -> dict[str, object]:
        """Return all that a fault could have left in the cluster."""
        return {
            "rules": [rule.id for rule in await self.real_net.active()],
            **{name: host.in_force for name, host in self.hosts.items()},
        }

    async def primary(self) -> str | None:
        """Return the node whose server takes writes."""
        await self.steps.step()
        return next((node.name for node in self.spec.nodes if self._is_primary(node.name)), None)

    async def view(self) -> ClusterView:
        """Return a whole cluster."""
        primary = await self.primary()
        nodes = tuple(
            NodeView(
                node.name,
                Role.PRIMARY if node.name == primary else Role.STANDBY,
                node.address,
                5432,
                None,
                "running",
                True,
            )
            for node in self.spec.nodes
        )
        return ClusterView(True, primary, nodes)

    async def start_node(self, node: str) -> None:
        """Start what belongs on a node."""
        await self.steps.step()
        host = self.hosts[node]
        if host.is_on:
            host.start_missing()
        await self.steps.step()

    async def connect(self, node: str, **_options: object) -> Stepped:
        """Connect to a node's server."""
        await self.steps.step()
        return Stepped(SimulatedConnection(self.hosts[node].server), self.steps)

    def process_names(self, node: str) -> tuple[str, ...]:
        """Name what runs on a node, its manager first."""
        return tuple(name for name in self.hosts[node].belongs if name != RECEIVER)

    async def process_ids(self, node: str, process: str) -> list[int]:
        """Return the pids of a process."""
        if not self.hosts[node].is_on:
            return []
        found: list[ProcessInfo] = await self.lab.hosts[node].processes()
        return [info.pid for info in found if info.name == process]

    async def switchover(self, target: str | None) -> str:
        """Move the primary to the second node."""
        await self.steps.step()
        old, new = self.spec.nodes[0].name, self.spec.nodes[1].name
        self.hosts[old].server.in_recovery, self.hosts[new].server.in_recovery = True, False
        await self.steps.step()
        return new

    failover = switchover

    async def restart(self, node: str) -> None:
        """Restart a server."""
        await self.steps.step()
        self._restarts += 1

    async def started_at(self, node: str) -> str | None:
        """Return which start of the server this is."""
        return str(self._restarts)

    async def leader_record(self) -> str | None:
        """Return who holds the leader's lock."""
        return await self.primary()

    async def dcs_leader(self) -> str | None:
        """Return the first member of the DCS that runs."""
        return next((member.name for member in self.spec.dcs if self.hosts[member.name].pids_of(DCS)), None)

    def log_files(self, node: str) -> Mapping[str, Path]:
        """There are no logs."""
        return {}

    def _is_primary(self, node: str) -> bool:
        host = self.hosts[node]
        return host.is_on and not host.server.in_recovery
