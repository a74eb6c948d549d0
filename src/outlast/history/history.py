"""A run's history: the ops of its clients and everything they must be read against.

Frozen, and free of any live thing: it is read from a store and can be judged years later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # numpy: most commands look at no op
    from outlast.history.lateness import Lateness
    from outlast.history.op import I64, Ops

JSON = str | int | float | bool | None | list["JSON"] | dict[str, "JSON"]
"""Any JSON value."""


POWER_LOSS: Final = "power_loss"
"""The fault that takes with it what was not synced to a disk."""


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """One injection of a fault.

    targets: nodes or hosts it was applied to. planned_ns: when the plan wanted it; at_ns: when its
    injection had returned; healing_ns, healed_ns: when its healing began and had returned, None if never.
    effective: whether ``evidence`` shows that it bit; None when that could not be told. details: what the
    injection decided.
    """

    fault: str
    targets: tuple[str, ...]
    planned_ns: int
    started_ns: int
    at_ns: int
    healed_ns: int | None
    effective: bool | None
    evidence: str
    params: Mapping[str, JSON] = field(default_factory=dict)
    healing_ns: int | None = None
    details: Mapping[str, JSON] = field(default_factory=dict)

    @property
    def means(self) -> tuple[str, ...]:
        """By what it was done, where kernels differ in what they have."""
        return means(self.details)


def means(details: Mapping[str, JSON]) -> tuple[str, ...]:
    """Return what a fault noted as its ``mechanisms``."""
    mechanisms = details.get("mechanisms")
    return tuple(str(name) for name in mechanisms) if isinstance(mechanisms, list) else ()


@dataclass(frozen=True, slots=True)
class NodeObservation:
    """What one node showed at one moment, sampled during the run.

    role: ``primary``, ``standby`` or ``""`` when the node did not answer. timeline, lsn: 0 when unknown.
    source: who said so (``node`` itself, ``manager``, ``dcs``, ``replication``: the primary of its standbys,
    ``consensus``: which member leads the store, role ``leader``).
    durability: what a primary waits for before it acknowledges: ``off`` (nothing), ``local`` (its own disk, by
    synchronous_commit), ``async`` (its own disk, since no standby is named) or ``sync`` (a standby); "" for others.
    replay_lag_s: with the source ``replication``, what the
    primary says of this standby: the longest lag since the observation before; state is the standby's then.
    lag_bytes: likewise, what it has not replayed now. synced: False for a server that syncs nothing to its disk
    (fsync=off), so that what it waits for is in memory only.
    """

    at_ns: int
    node: str
    source: str
    role: str
    timeline: int
    lsn: int
    state: str = ""
    durability: str = ""
    replay_lag_s: float | None = None
    lag_bytes: int | None = None
    synced: bool = True


NO_TABLE = "no such table"
"""What a node's content hash says of a table that it does not have."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a program said in its log: the first of ``times`` lines that differ in figures only. log: its name."""

    at_ns: int
    node: str
    log: str
    text: str
    times: int = 1

    @property
    def words(self) -> str:
        """Who said what, how often, in a clause."""
        often = f" ({self.times} times)" if self.times > 1 else ""
        return f"{self.log} on {self.node} says: {self.text}{often}"


@dataclass(frozen=True, slots=True)
class NodeContent:
    """What one node held in the final read: a content hash per table, at one LSN it had replayed to."""

    node: str
    lsn: int
    table_hashes: Mapping[str, str]
    row_counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class FinalRead:
    """The read that ends a run: after everything is healed, writers have stopped, and each node has
    replayed the primary's last LSN, taken from the surviving timeline.

    at_ns: when it began. primary: the node read. values: what a workload's table holds, by workload name, sorted
    int64; what else a workload keeps there is named after it. contents:
    one entry a node that took part; missing: nodes that did not come back or did not catch up.
    timeline_starts: (timeline, LSN at which it branched off its parent) of the surviving history. strays: what
    nodes hold, by workload, that answer and do not hold what the primary does. removed: nodes that were taken out of
    the cluster during the run.
    """

    primary: str
    timeline: int
    lsn: int
    at_ns: int
    values: Mapping[str, I64]
    contents: tuple[NodeContent, ...]
    missing: tuple[str, ...] = ()
    timeline_starts: tuple[tuple[int, int], ...] = ()
    strays: Mapping[str, Mapping[str, I64]] = field(default_factory=dict)
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RestoredRead:
    """What a server held that was restored from a backup and the archive, once the load was over.

    target: in words. backup: its label. timeline: its own; lsn: where that begins. took_s: until it took writes.
    before_ns, after_ns: monotonic; the instant that was restored to lies between them, None for the archive's end.
    values: what a workload's table held, by workload, sorted int64. trouble: why nothing was restored, or "".
    """

    target: str
    backup: str = ""
    timeline: int = 0
    lsn: int = 0
    took_s: float = 0.0
    before_ns: int | None = None
    after_ns: int | None = None
    values: Mapping[str, I64] = field(default_factory=dict)
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class History:
    """Everything that a checker may look at.

    start_ns, end_ns: the load's window, monotonic ns. complete: False when the run ended early. restored: None
    unless the drill restores. lateness: of the tool itself, None where not noted. said: the nodes' own words, from
    their logs. Foreign histories have ops only.
    """

    ops: Ops
    faults: tuple[FaultRecord, ...] = ()
    observations: tuple[NodeObservation, ...] = ()
    final: FinalRead | None = None
    start_ns: int = 0
    end_ns: int = 0
    complete: bool = True
    restored: RestoredRead | None = None
    lateness: Lateness | None = None
    said: tuple[Said, ...] = ()
