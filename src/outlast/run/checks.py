"""Which checkers judge a drill, and what they are held to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from outlast.checkers.acknowledged import Acknowledged
from outlast.checkers.availability import Availability
from outlast.checkers.bank import Bank
from outlast.checkers.base import Checker
from outlast.checkers.command import CommandEnded
from outlast.checkers.counter import CounterBounds
from outlast.checkers.errors_outside import ErrorsOutside
from outlast.checkers.fault_effects import FaultEffects
from outlast.checkers.linearizable.check import Linearizable
from outlast.checkers.log_order import LogOrder
from outlast.checkers.long_fork import LongFork
from outlast.checkers.lost_writes import LostWrites
from outlast.checkers.outage import Outage
from outlast.checkers.priorities import Priorities
from outlast.checkers.promotions import UnplannedPromotions
from outlast.checkers.quorum import NoMajority, WritableAgain
from outlast.checkers.rejoin import Rejoin
from outlast.checkers.replay_lag import ReplayLag
from outlast.checkers.replicas_equal import ReplicasEqual
from outlast.checkers.restorable import Restorable
from outlast.checkers.rows_as_acked import RowsAsAcked
from outlast.checkers.set_full import SetFull
from outlast.checkers.split_brain import SplitBrain
from outlast.checkers.transactions.check import ListAppend, RwRegister
from outlast.config import DrillSpec
from outlast.config.drill import Limit
from outlast.errors import ConfigError
from outlast.history.soak_rows import INSERT, UPDATE
from outlast.workloads import WORKLOADS
from outlast.workloads.bank import TOTAL

CHECKS: Final = (
    "acked_lost",
    "two_writers_s",
    "replicas_equal",
    "outage_s",
    "availability",
    "rejoin_s",
    "accepted_without_majority",
    "writable_again_s",
    "replay_lag_s",
    "read_errors",
    "write_errors",
    "unplanned_promotions",
    "altered_rows",
    "by_priority",
    "restorable",
)
"""The figures that a drill's ``checks`` may hold to a limit."""

CONSISTENCY: Final[Mapping[str, str]] = {
    "read-committed": "read-committed",
    "repeatable-read": "snapshot-isolation",
    "serializable": "serializable",
}
"""What PostgreSQL promises at each isolation level. Source: its manual, "Transaction Isolation": its repeatable read
is snapshot isolation, its serializable adds the detection of dangerous structures (Ports, Grittner, VLDB 2012)."""


@dataclass(frozen=True, slots=True)
class _Held:
    """What the checkers of one workload are held to."""

    workload: str
    limits: Mapping[str, Limit]
    model_outage_s: float
    consistency: str


_MAKERS: Final[Mapping[str, Callable[[_Held], Checker]]] = {
    "lost_writes": lambda held: LostWrites(held.workload, int(held.limits.get("acked_lost", 0))),
    "outage": lambda held: Outage(held.workload, float(held.limits.get("outage_s", held.model_outage_s))),
    "split_brain": lambda held: SplitBrain(held.workload, float(held.limits.get("two_writers_s", 0))),
    "log_order": lambda held: LogOrder(held.workload),
    "list_append": lambda held: ListAppend(held.consistency),
    "rw_register": lambda held: RwRegister(held.consistency),
    "long_fork": lambda _: LongFork(),
    "cas_register": lambda _: Linearizable("cas-register"),
    "bank": lambda _: Bank(TOTAL),
    "counter_bounds": lambda _: CounterBounds(),
    "set_full": lambda _: SetFull(),
    "command_ended": lambda held: CommandEnded(held.workload),
    "command_outage": lambda held: Outage(
        held.workload, float(held.limits.get("outage_s", held.model_outage_s)), lasting=False
    ),
    "restorable": lambda held: Restorable(held.workload),
    "rows_as_acked": lambda held: RowsAsAcked(held.workload, int(held.limits.get("altered_rows", 0))),
    "read_errors": lambda held: ErrorsOutside(
        "read_errors", (held.workload,), int(held.limits.get("read_errors", 0))
    ),
}
"""How the checkers that workloads name are made."""

_AFTER_A_MISTAKE: Final[Mapping[str, str]] = {"lost_writes": "restorable", "outage": "command_outage"}
"""What judges a workload whose rows were deleted on purpose: what is left of them says nothing about the cluster."""

_WRITES_APART: Final = frozenset(
    {
        "lost_writes",
        "outage",
        "split_brain",
        "rows_as_acked",
        "read_errors",
        "command_ended",
        "command_outage",
    }
)
"""Checkers that look at the ops of their own workload alone, so that another may share the history."""


def make_checkers(
    drill: DrillSpec,
    model_outage_s: float,
    planned: int,
    priorities: Mapping[str, int] | None = None,
    relink_s: float = 0.0,
) -> tuple[Checker, ...]:
    """Return the checkers of a drill; every figure that its workloads give is always judged.

    Limits that the drill does not state: nothing lost, no two writers, replicas equal, and the outage that the
    system's own model allows (model_outage_s, seconds). planned: injections in its plan. priorities: for promotion, by
    node. relink_s: see Rejoin. Raises ConfigError for a check that does not exist, and for workloads that one history
    cannot hold.
    """
    for name in drill.checks:
        if name not in CHECKS:
            raise ConfigError(
                f"there is no check {name}",
                file=f"drill {drill.name}",
                key=f"checks.{name}",
                hint=f"there is: {', '.join(CHECKS)}",
            )
    if len(drill.workload) > 1 and any(
        not _WRITES_APART.issuperset(WORKLOADS[name].checkers) for name in drill.workload
    ):
        raise ConfigError(
            "transactions have a drill to themselves: their checkers read the whole history",
            file=f"drill {drill.name}",
            key="workload",
        )
    limits = drill.checks
    made: list[Checker] = [FaultEffects(planned)]
    restores = bool(limits.get("restorable", False))
    mistaken = restores and any("mistake" in (entry.action, entry.fault) for entry in drill.timeline)
    for name in drill.workload:
        workload = WORKLOADS[name]
        if not workload.statement and not _WRITES_APART.issuperset(workload.checkers):
            made.append(Acknowledged())
        held = _Held(name, limits, model_outage_s, CONSISTENCY[drill.level])
        made += [
            _MAKERS[_AFTER_A_MISTAKE.get(checker, checker) if mistaken else checker](held)
            for checker in workload.checkers
        ]
        if restores and "lost_writes" in workload.checkers and not mistaken:
            made.append(Restorable(name))
        writes = "lost_writes" in workload.checkers or "command_ended" in workload.checkers
        if "availability" in limits and writes:
            made.append(Availability(name, float(limits["availability"])))
        if "write_errors" in limits and writes:
            functions = (name, UPDATE) if name == INSERT else (name,)
            made.append(ErrorsOutside("write_errors", functions, int(limits["write_errors"])))
        if "accepted_without_majority" in limits and writes:
            made.append(NoMajority(name, int(limits["accepted_without_majority"])))
        if "writable_again_s" in limits and writes:
            made.append(WritableAgain(name, float(limits["writable_again_s"])))
    if "rejoin_s" in limits:
        made.append(Rejoin(float(limits["rejoin_s"]), relink_s))
    if "replay_lag_s" in limits:
        made.append(ReplayLag(float(limits["replay_lag_s"])))
    if "unplanned_promotions" in limits:
        made.append(UnplannedPromotions(int(limits["unplanned_promotions"])))
    if limits.get("by_priority", False):
        made.append(Priorities(priorities or {}))
    if limits.get("replicas_equal", True):
        made.append(ReplicasEqual())
    return tuple(made)
