"""What the page shows of a lab at one moment, and what happened between two moments. Plain values, no I/O."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Final

from outlast.history.history import JSON
from outlast.history.live import Live
from outlast.monitoring.exporter.sample import NodeSample


@dataclass(frozen=True, slots=True)
class NodeSnapshot:
    """A node. role: ``primary``, ``standby``, ``read-only``, ``dcs``, ``balancer``, … or ``silent``. state: its
    manager's word. lag_bytes: behind the primary, by the primary's word; None when it says nothing."""

    name: str
    role: str
    address: str = ""
    state: str = ""
    healthy: bool = True
    timeline: int = 0
    lag_bytes: int | None = None
    sync: str = ""


@dataclass(frozen=True, slots=True)
class LinkSnapshot:
    """Something that is done to the way from source to destination. kind: ``cut``, ``slow`` or ``lossy``."""

    source: str
    destination: str
    kind: str
    words: str


@dataclass(frozen=True, slots=True)
class OpenFault:
    """An open injection."""

    fault: str
    targets: tuple[str, ...]
    key: str


UNKNOWN: Final = "?"
"""Who holds the lock before anybody has looked."""


@dataclass(frozen=True, slots=True)
class LabSnapshot:
    """A lab at one moment. missing: what keeps it from being whole, "" when nothing does. lock: who holds the
    leader's lock, None where there is none or it is free."""

    lab: str
    system: str
    profile: str
    sync: str
    nodes: tuple[NodeSnapshot, ...] = ()
    primary: str | None = None
    missing: str = ""
    lock: str | None = UNKNOWN
    links: tuple[LinkSnapshot, ...] = ()
    faults: tuple[OpenFault, ...] = ()
    run: Live | None = field(default=None)

    def document(self) -> dict[str, JSON]:
        """Return it as JSON."""
        document: dict[str, JSON] = asdict(self)
        return document

    def with_node(self, node: NodeSnapshot) -> LabSnapshot:
        """Return the scene with one node as it is now."""
        nodes = tuple(node if one.name == node.name else one for one in self.nodes)
        leads = next((one.name for one in _by_timeline(nodes) if one.role == "primary"), None)
        return replace(self, nodes=nodes, primary=leads)


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A line of the event log. kind: ``fault``, ``heal``, ``role``, ``bad``, ``good`` or ``plain``."""

    kind: str
    text: str


def _by_timeline(nodes: tuple[NodeSnapshot, ...]) -> list[NodeSnapshot]:
    return sorted(nodes, key=lambda one: one.timeline, reverse=True)


def log_entries(before: LabSnapshot, now: LabSnapshot) -> Iterator[LogEntry]:
    """Yield what happened between two moments, in words."""
    was = {one.name: one for one in before.nodes}
    for node in now.nodes:
        yield from _node_entries(was.get(node.name), node)
    primaries = [one.name for one in now.nodes if one.role == "primary"]
    if len(primaries) > 1 and len([one for one in before.nodes if one.role == "primary"]) < 2:
        yield LogEntry("bad", f"several nodes take writes: {', '.join(primaries)}")
    if now.primary is None and before.primary is not None:
        yield LogEntry("bad", f"no node takes writes: {before.primary} was the last")
    if now.lock != before.lock and UNKNOWN not in (now.lock, before.lock):
        words = (
            f"the leader's lock goes to {now.lock}"
            if now.lock
            else f"the leader's lock of {before.lock} is free"
        )
        yield LogEntry("role", words)
    open_before, open_now = ({one.key: one for one in scene.faults} for scene in (before, now))
    for key, fault in open_now.items():
        if key not in open_before:
            yield LogEntry("fault", f"{fault.fault} on {', '.join(fault.targets)}")
    for key, fault in open_before.items():
        if key not in open_now:
            yield LogEntry("heal", f"{fault.fault} on {', '.join(fault.targets)} is healed")
    leaderless = now.primary is None and now.missing
    if bool(now.missing) != bool(before.missing) and not leaderless:
        yield LogEntry("bad", now.missing) if now.missing else LogEntry("good", "the cluster is whole")
    yield from _run_entries(before.run, now.run)


def _node_entries(before: NodeSnapshot | None, now: NodeSnapshot) -> Iterator[LogEntry]:
    if before is None or before.role == "":
        return
    if now.role == "silent" and before.role != "silent":
        yield LogEntry("bad", f"{now.name} stops answering")
    elif now.role == "primary" and (before.role != "primary" or now.timeline != before.timeline):
        yield LogEntry("role", f"{now.name} is primary, on timeline {now.timeline}")
    elif now.role != before.role:
        yield LogEntry(
            "role",
            f"{now.name} answers as {now.role}" + (f", on timeline {now.timeline}" if now.timeline else ""),
        )
    elif now.timeline > before.timeline > 0:
        yield LogEntry("role", f"{now.name} follows to timeline {now.timeline}")
    elif now.role not in ("primary", "standby", "read-only", "silent") and now.healthy != before.healthy:
        yield LogEntry("good" if now.healthy else "bad", f"{now.name} is {now.state or 'unreachable'}")


def _run_entries(before: Live | None, now: Live | None) -> Iterator[LogEntry]:
    if now is None:
        return
    if before is None or before.run != now.run:
        if now.verdict is None:
            yield LogEntry("plain", f"{now.drill} begins")
        return
    if now.verdict is not None and before.verdict is None:
        yield LogEntry("good" if now.verdict == "pass" else "bad", f"{now.drill}: {now.verdict}")
    elif now.phase != before.phase:
        yield LogEntry("plain", f"{now.drill}: {now.phase}")


@dataclass(frozen=True, slots=True)
class NodeFigures:
    """A node's figures of one second. Rates per second."""

    connections: int
    reading: int
    writing: int
    commits: float
    inserts: float
    rows_written: float
    rows_read: float
    scans: float


def figures(before: NodeSample, now: NodeSample, seconds: float) -> NodeFigures:
    """Return what a node did between two samples, seconds apart; a counter that was reset gives 0."""

    def rate(name: str) -> float:
        grown = int(getattr(now, name)) - int(getattr(before, name))
        return round(max(0, grown) / max(seconds, 1e-3), 1)

    return NodeFigures(
        connections=now.connections,
        reading=now.reading,
        writing=now.writing,
        commits=rate("committed"),
        inserts=rate("inserted"),
        rows_written=round(rate("inserted") + rate("updated") + rate("deleted"), 1),
        rows_read=rate("rows_read"),
        scans=rate("sequential_scans"),
    )
