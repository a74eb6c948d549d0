"""What a running cluster of a system is; ``system.py`` says what a system is that makes one.

``Cluster`` is small; what only some systems can do is a capability, a Protocol of its own. A drill that needs
a capability asks for it by name (``CAPABILITIES``) and is skipped, with that reason, where it lacks.
Shape after Jepsen's db.clj: a minimal protocol and optional extras.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from outlast.config.cluster import ClusterSpec, NodeSpec
from outlast.history.history import NodeContent
from outlast.hosts.base import Lab
from outlast.systems.credentials import Credentials
from outlast.systems.postgres.views import Connection


class Role(StrEnum):
    """What a node is for, as ``status`` prints it."""

    PRIMARY = "primary"
    STANDBY = "standby"
    READ_ONLY = "read-only"
    MONITOR = "monitor"
    DCS = "dcs"
    BALANCER = "balancer"
    EXPORTER = "exporter"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class NodeView:
    """What one node is and shows at one moment.

    address, port: in the lab; published_port: on 127.0.0.1 of the machine, None when not published. state:
    the manager's word for it (``running``, ``streaming``, ``stopped``). lsn: bytes, 0 unknown. The lag
    figures are the primary's view of this standby: seconds and bytes, None where there are none.
    sync: ``sync``, ``quorum``, ``potential`` or ``async`` as pg_stat_replication says, None for others.
    """

    name: str
    role: Role
    address: str
    port: int
    published_port: int | None
    state: str
    healthy: bool
    assigned_state: str | None = None
    priority: int | None = None
    timeline: int | None = None
    lsn: int | None = None
    write_lag_s: float | None = None
    flush_lag_s: float | None = None
    replay_lag_s: float | None = None
    lag_bytes: int | None = None
    sync: str | None = None
    slot_active: bool | None = None


@dataclass(frozen=True, slots=True)
class RouteView:
    """A way for clients to find a role. name: ``KIND-primary`` or ``KIND-standby`` for the one that clients of a
    run take; dsn: a libpq connection string for clients in the lab, without a password. published_port: of
    127.0.0.1, which leads to the same place; None where none does.
    """

    name: str
    kind: str
    dsn: str
    published_port: int | None


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How a balancer asks a node over HTTP whether it holds a role: OPTIONS path at port is answered with 200."""

    port: int
    path: str


@dataclass(frozen=True, slots=True)
class ClusterView:
    """What a cluster shows at one moment. ready: whole, as its system means it. primary: None or its name."""

    ready: bool
    primary: str | None
    nodes: tuple[NodeView, ...]
    missing: str = ""

    def node(self, name: str) -> NodeView:
        """Return the node of that name. Raises KeyError."""
        return next(node for node in self.nodes if node.name == name)

    @property
    def primaries(self) -> tuple[str, ...]:
        """The nodes that show themselves as primary: several, when brains are split."""
        return tuple(node.name for node in self.nodes if node.role is Role.PRIMARY)


@dataclass(frozen=True, slots=True)
class OutageModel:
    """What a manager's own settings promise.

    outage_s: the longest outage after the loss of a primary that its documentation allows, and reason: the
    sum behind it, for the report. relink_s: how long a member's dead connection to a peer may stay unnoticed after
    a partition, by the system's own time-outs, where that is long; a rejoin after one is given so much more.
    """

    outage_s: float
    reason: str
    relink_s: float = 0.0


Progress = Callable[[str], None]
"""Is told, in a few words, what a long piece of work is at."""


class Cluster(Protocol):
    """A running system on the hosts of a lab."""

    @property
    def lab(self) -> Lab:
        """The lab it runs in."""
        ...

    spec: ClusterSpec
    """What it was made from, as operators have changed it since."""

    @property
    def credentials(self) -> Credentials:
        """Its users' passwords."""
        ...

    @property
    def model(self) -> OutageModel:
        """What its settings promise."""
        ...

    async def view(self) -> ClusterView:
        """Return what it shows now; a node that does not answer is unhealthy, never an error."""
        ...

    async def start_node(self, node: str) -> None:
        """Start what belongs on a node whose host is on and which a fault has stopped."""
        ...


@runtime_checkable
class HasPrimary(Protocol):
    """Has one node that takes writes."""

    async def primary(self) -> str | None:
        """Return the primary's name, None while there is none."""
        ...


@runtime_checkable
class HasServers(Protocol):
    """Has PostgreSQL servers that the tool can connect to, past all routes and faults of the lab's wires."""

    async def connect(
        self, node: str, *, database: str = "postgres", user: str = "postgres", timeout_s: float = 2.0
    ) -> Connection:
        """Connect to a node; every statement is bounded by timeout_s. Raises psycopg.Error."""
        ...


@runtime_checkable
class HasMembers(Protocol):
    """Has members without SQL that can each be asked alone what they are."""

    async def node_view(self, node: str) -> NodeView:
        """Return what one member shows now; one that does not answer is unhealthy, never an error."""
        ...


@runtime_checkable
class HasContents(Protocol):
    """Has members without SQL that can say what they hold, so that replicas can be compared."""

    async def position(self) -> int:
        """Return up to where everything is committed. Raises ClusterError while nobody leads."""
        ...

    async def content(self, node: str, position: int) -> NodeContent | None:
        """Return what a member holds; None while it does not answer or has not applied position."""
        ...


@runtime_checkable
class HasKeys(Protocol):
    """Has members that each take keys, for the whole cluster."""

    async def put_key(self, node: str, key: str, value: str) -> None:
        """Have a member write a key. Raises ClusterError when it says no, or nothing in time."""
        ...

    async def get_key(self, node: str, key: str) -> str | None:
        """Return what a member says that a key holds, linearizably. Raises ClusterError as put_key does."""
        ...


@runtime_checkable
class Killable(Protocol):
    """Has processes that can be told apart and killed."""

    def process_names(self, node: str) -> tuple[str, ...]:
        """Return the names that process_ids knows on a node, for example patroni and postgres: its manager first."""
        ...

    async def process_ids(self, node: str, process: str) -> list[int]:
        """Return the pids, in the host's namespace, of a process and all below it; [] when it is not there."""
        ...


@runtime_checkable
class Switchable(Protocol):
    """Can move its primary on demand."""

    async def switchover(self, target: str | None) -> str:
        """Move a healthy primary to target (None: the manager's choice) and return the new one.

        Raises ClusterError when the manager refuses.
        """
        ...

    async def failover(self, target: str | None) -> str:
        """Have target (None: the healthiest standby) promoted, with or without a primary; returns it."""
        ...


@runtime_checkable
class Promotable(Protocol):
    """Can say what keeps its standbys from being promoted."""

    async def obstacles(self) -> Mapping[str, str]:
        """Return for each standby that the manager would not promote now the reason, in a few words."""
        ...


@runtime_checkable
class HasCandidates(Protocol):
    """Knows which nodes may become primary, and can change that while it runs."""

    async def is_candidate(self, node: str) -> bool:
        """Return whether the manager may promote a node. Raises ClusterError when it can't be told."""
        ...

    async def set_candidate(self, node: str, on: bool) -> None:
        """Let a node be promoted, or not; returns once its manager and the others know. Raises ClusterError."""
        ...


@runtime_checkable
class Restartable(Protocol):
    """Can restart one server in order."""

    async def restart(self, node: str) -> None:
        """Restart a node's server through its manager. Raises ClusterError when that fails."""
        ...

    async def started_at(self, node: str) -> str | None:
        """Return when a node's server started, as it says itself; None when it does not answer."""
        ...


@runtime_checkable
class Configurable(Protocol):
    """Can change settings of its PostgreSQL servers while they run."""

    async def set_parameters(self, parameters: Mapping[str, str]) -> None:
        """Give every node that runs these postgresql.conf parameters and have it read them; nothing restarts.

        A parameter that needs a restart is pending after that, as pg_settings.pending_restart says: the caller
        restarts (Restartable). Values were checked before. Raises ClusterError when a node does not take them.
        """
        ...


@runtime_checkable
class Reseedable(Protocol):
    """Can throw a standby's data away and copy the primary's anew."""

    async def reseed(self, node: str) -> None:
        """Replace all data of a node, whether or not its server runs, and return once it streams again.

        Raises ClusterError, before anything is touched, for the primary and while there is none.
        """
        ...


@runtime_checkable
class Resizable(Protocol):
    """Can take in a node and let one go while it runs.

    Both change ``spec``, so that what is asked next knows of it; the caller keeps it in the lab's folder
    (clusters/operation.py), before a node is made and after one is gone.
    """

    async def add_node(self, node: NodeSpec) -> None:
        """Make a host for node, which has a name and an address of its own, and return once it streams.

        Calling again after a failure goes on from there. Raises ClusterError, HostError.
        """
        ...

    async def remove_node(self, node: str) -> None:
        """Stop a standby, have its manager and the primary forget it (its slot too), and remove its host.

        Calling again after a failure goes on from there. Raises ClusterError, before anything is touched, for the
        primary and for a standby that writes could not do without.
        """
        ...


@runtime_checkable
class Maintainable(Protocol):
    """Can stop a node for a person's work on it, without its manager or this tool starting it again."""

    async def set_maintenance(self, node: str, on: bool) -> None:
        """Stop a standby's server in order and keep it out (on), or let it join again and wait until it streams.

        While it is out, view() shows its state as ``maintenance``, ready does not depend on it, and start_node leaves
        it alone. Raises ClusterError, before anything is touched, for the primary.
        """
        ...

    async def in_maintenance(self) -> frozenset[str]:
        """Return the nodes that are out."""
        ...


@runtime_checkable
class HasLeaderRecord(Protocol):
    """Writes down which node is to lead, in a consensus store or with a monitor, apart from what servers do."""

    async def leader_record(self) -> str | None:
        """Return who is to lead, None while nobody is. Raises OSError when whoever knows does not answer."""
        ...


@runtime_checkable
class OperatedByHand(Protocol):
    """Has no manager: when its primary is lost, somebody has to see it and act."""

    async def operate(self, say: Progress) -> None:
        """Be that somebody until cancelled; say is told of every act. The model says how long it may take."""
        ...


@runtime_checkable
class HasHealthChecks(Protocol):
    """Its nodes tell a balancer over HTTP what they are. For any other system with servers a program of our own asks
    the servers instead (routes/health.py)."""

    def health_check(self, role: Role) -> HealthCheck:
        """Return the check that only nodes of a role (primary, standby) pass."""
        ...


@runtime_checkable
class HasRoutes(Protocol):
    """Brings balancers of its own, which are services of its spec."""

    def routes(self) -> tuple[RouteView, ...]:
        """Return the ways that lead through them."""
        ...


@runtime_checkable
class HasConsensus(HasLeaderRecord, Protocol):
    """Keeps its leadership in a consensus store."""

    async def dcs_leader(self) -> str | None:
        """Return the node that leads the store, None while there is none."""
        ...


@runtime_checkable
class HasMonitor(Protocol):
    """Has one node that decides for all others and holds no data."""

    @property
    def monitor_node(self) -> str:
        """The monitor's name."""
        ...


@runtime_checkable
class HasLogs(Protocol):
    """Has logs that a person may read."""

    def log_files(self, node: str) -> Mapping[str, Path]:
        """Return a node's logs by name."""
        ...


CAPABILITIES: Final[Mapping[str, type]] = {
    "configurable": Configurable,
    "has-candidates": HasCandidates,
    "has-contents": HasContents,
    "has-keys": HasKeys,
    "has-members": HasMembers,
    "has-servers": HasServers,
    "killable": Killable,
    "maintainable": Maintainable,
    "promotable": Promotable,
    "reseedable": Reseedable,
    "resizable": Resizable,
    "restartable": Restartable,
    "switchable": Switchable,
    "has-primary": HasPrimary,
    "has-consensus": HasConsensus,
    "has-leader-record": HasLeaderRecord,
    "has-monitor": HasMonitor,
    "has-logs": HasLogs,
    "operated-by-hand": OperatedByHand,
}
"""Capabilities by the name a drill's ``needs`` uses."""
