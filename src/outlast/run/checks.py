"""Which checkers judge a drill, and what they are held to: one table, from which they are validated, listed and made.

The limits themselves, and what may be written for each, are in ``config/limits.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
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
from outlast.checkers.promotions import LeaderChanges, UnplannedPromotions
from outlast.checkers.quorum import NoMajority, WritableAgain
from outlast.checkers.rejoin import Rejoin
from outlast.checkers.replay_lag import ReplayLag
from outlast.checkers.replicas_equal import ReplicasEqual
from outlast.checkers.restorable import Restorable
from outlast.checkers.rows_as_acked import RowsAsAcked
from outlast.checkers.set_full import SetFull
from outlast.checkers.split_brain import SplitBrain
from outlast.checkers.steady import Success, Throughput
from outlast.checkers.transactions.check import ListAppend, RwRegister
from outlast.config import DrillSpec
from outlast.config.limits import LIMITS, Limit
from outlast.errors import ConfigError
from outlast.history.soak_rows import INSERT, UPDATE
from outlast.workloads import WORKLOADS
from outlast.workloads.bank import TOTAL

CONSISTENCY: Final[Mapping[str, str]] = {
    "read-committed": "read-committed",
    "repeatable-read": "snapshot-isolation",
    "serializable": "serializable",
}
"""What PostgreSQL promises at each isolation level. Source: its manual, "Transaction Isolation": its repeatable read
is snapshot isolation, its serializable adds the detection of dangerous structures (Ports, Grittner, VLDB 2012)."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the checkers of a drill on one cluster are held to.

    model_outage_s: the outage that the system's own model allows, seconds. planned: injections in the drill's plan.
    priorities: for promotion, by node. relink_s: see Rejoin. workload: whose ops are judged, "" for the drill's checks.
    """

    drill: DrillSpec
    model_outage_s: float
    planned: int
    priorities: Mapping[str, int]
    relink_s: float = 0.0
    workload: str = ""

    def limit(self, name: str) -> Limit | None:
        """Return the limit that the drill states, else the default; None where there is neither."""
        return self.drill.checks.get(name, LIMITS[name].default)

    def number(self, name: str) -> float:
        """Return a limit that is a number."""
        limit = self.limit(name)
        assert limit is not None, f"{name} has no default"
        return float(limit)

    def count(self, name: str) -> int:
        """Return a limit that is a whole number."""
        return int(self.number(name))

    def outage_s(self) -> float:
        """Return the outage that is allowed, seconds: the drill's limit, else the model's."""
        return float(self.drill.checks.get("outage_s", self.model_outage_s))

    @property
    def consistency(self) -> str:
        """What transactions at the drill's isolation level are promised."""
        return CONSISTENCY[self.drill.level]


class Per(Enum):
    """How often, and when, a check is made for a drill."""

    DRILL = "once, where its limit has a value"
    WORKLOAD = "for each workload that lists it among its checkers"
    WRITES = "for each workload whose writes are judged, where its limit has a value"
    TRANSACTIONS = "for each workload of transactions"


@dataclass(frozen=True, slots=True)
class CheckDefinition:
    """One check. name: as workloads list it. limit: the key of a drill's ``checks`` that it is held to, or "".

    own_ops: whether it looks at the ops of its own workload alone, so that another may share the history. judges: of
    Per.WRITES, the checkers that a workload must list. after_mistake: what takes its place in a drill that deletes rows
    on purpose, because what is left of them says nothing about the cluster.
    """

    name: str
    make: Callable[[Terms], Checker]
    per: Per
    limit: str = ""
    own_ops: bool = False
    judges: frozenset[str] = frozenset({"lost_writes", "command_ended"})
    after_mistake: str = ""


def _write_errors(terms: Terms) -> Checker:
    functions = (terms.workload, UPDATE) if terms.workload == INSERT else (terms.workload,)
    return ErrorsOutside("write_errors", functions, terms.count("write_errors"))


CHECKS: Final[tuple[CheckDefinition, ...]] = (
    CheckDefinition("acknowledged", lambda _: Acknowledged(), Per.TRANSACTIONS),
    CheckDefinition(
        "lost_writes",
        lambda terms: LostWrites(terms.workload, terms.count("acked_lost")),
        Per.WORKLOAD,
        "acked_lost",
        own_ops=True,
        after_mistake="restorable",
    ),
    CheckDefinition(
        "outage",
        lambda terms: Outage(terms.workload, terms.outage_s()),
        Per.WORKLOAD,
        "outage_s",
        own_ops=True,
        after_mistake="command_outage",
    ),
    CheckDefinition(
        "split_brain",
        lambda terms: SplitBrain(terms.workload, terms.number("two_writers_s")),
        Per.WORKLOAD,
        "two_writers_s",
        own_ops=True,
    ),
    CheckDefinition(
        "rows_as_acked",
        lambda terms: RowsAsAcked(terms.workload, terms.count("altered_rows")),
        Per.WORKLOAD,
        "altered_rows",
        own_ops=True,
    ),
    CheckDefinition(
        "read_errors",
        lambda terms: ErrorsOutside("read_errors", (terms.workload,), terms.count("read_errors")),
        Per.WORKLOAD,
        "read_errors",
        own_ops=True,
    ),
    CheckDefinition("command_ended", lambda terms: CommandEnded(terms.workload), Per.WORKLOAD, own_ops=True),
    CheckDefinition(
        "command_outage",
        lambda terms: Outage(terms.workload, terms.outage_s(), lasting=False),
        Per.WORKLOAD,
        "outage_s",
        own_ops=True,
    ),
    CheckDefinition("log_order", lambda terms: LogOrder(terms.workload), Per.WORKLOAD),
    CheckDefinition("list_append", lambda terms: ListAppend(terms.consistency), Per.WORKLOAD),
    CheckDefinition("rw_register", lambda terms: RwRegister(terms.consistency), Per.WORKLOAD),
    CheckDefinition("long_fork", lambda _: LongFork(), Per.WORKLOAD),
    CheckDefinition("cas_register", lambda _: Linearizable("cas-register"), Per.WORKLOAD),
    CheckDefinition("bank", lambda _: Bank(TOTAL), Per.WORKLOAD),
    CheckDefinition("counter_bounds", lambda _: CounterBounds(), Per.WORKLOAD),
    CheckDefinition("set_full", lambda _: SetFull(), Per.WORKLOAD),
    CheckDefinition(
        "restorable",
        lambda terms: Restorable(terms.workload),
        Per.WRITES,
        "restorable",
        judges=frozenset({"lost_writes"}),
    ),
    CheckDefinition(
        "availability",
        lambda terms: Availability(terms.workload, terms.number("availability")),
        Per.WRITES,
        "availability",
    ),
    CheckDefinition(
        "success", lambda terms: Success(terms.workload, terms.number("success")), Per.WRITES, "success"
    ),
    CheckDefinition(
        "throughput",
        lambda terms: Throughput(terms.workload, terms.count("throughput")),
        Per.WRITES,
        "throughput",
    ),
    CheckDefinition("write_errors", _write_errors, Per.WRITES, "write_errors"),
    CheckDefinition(
        "accepted_without_majority",
        lambda terms: NoMajority(terms.workload, terms.count("accepted_without_majority")),
        Per.WRITES,
        "accepted_without_majority",
    ),
    CheckDefinition(
        "writable_again",
        lambda terms: WritableAgain(terms.workload, terms.number("writable_again_s")),
        Per.WRITES,
        "writable_again_s",
    ),
    CheckDefinition(
        "rejoin", lambda terms: Rejoin(terms.number("rejoin_s"), terms.relink_s), Per.DRILL, "rejoin_s"
    ),
    CheckDefinition(
        "replay_lag", lambda terms: ReplayLag(terms.number("replay_lag_s")), Per.DRILL, "replay_lag_s"
    ),
    CheckDefinition(
        "unplanned_promotions",
        lambda terms: UnplannedPromotions(terms.count("unplanned_promotions")),
        Per.DRILL,
        "unplanned_promotions",
    ),
    CheckDefinition(
        "leader_changes",
        lambda terms: LeaderChanges(terms.count("leader_changes"), terms.model_outage_s),
        Per.DRILL,
        "leader_changes",
    ),
    CheckDefinition("by_priority", lambda terms: Priorities(terms.priorities), Per.DRILL, "by_priority"),
    CheckDefinition("replicas_equal", lambda _: ReplicasEqual(), Per.DRILL, "replicas_equal"),
)
"""All checks; those of a drill are made, and reported, in this order."""

_BY_NAME: Final = {check.name: check for check in CHECKS}


def validate_checks(drill: DrillSpec) -> None:
    """Raise ConfigError for a limit that does not exist, and for workloads that one history cannot hold."""
    for name in drill.checks:
        if name not in LIMITS:
            raise ConfigError(
                f"there is no check {name}",
                file=f"drill {drill.name}",
                key=f"checks.{name}",
                hint=f"choose from: {', '.join(LIMITS)}",
            )
    if len(drill.workload) > 1 and not all(map(_shares_history, drill.workload)):
        raise ConfigError(
            "transactions have a drill to themselves: their checkers read the whole history",
            file=f"drill {drill.name}",
            key="workload",
        )


def make_checkers(terms: Terms) -> tuple[Checker, ...]:
    """Return the checkers of a drill that ``validate_checks`` accepts; every figure of its workloads is judged.

    Limits that the drill does not state are LIMITS' defaults, and for the outage the model's.
    """
    made: list[Checker] = [FaultEffects(terms.planned)]
    for workload in terms.drill.workload:
        judged = replace(terms, workload=workload)
        made += [check.make(judged) for check in _of_workload(judged)]
    made += [check.make(terms) for check in CHECKS if check.per is Per.DRILL and _is_asked_for(check, terms)]
    return tuple(made)


def _of_workload(terms: Terms) -> Iterator[CheckDefinition]:
    """Yield the checks of one workload, in order."""
    workload = WORKLOADS[terms.workload]
    drill = terms.drill
    is_mistaken = bool(terms.limit("restorable")) and any(
        "mistake" in (entry.action, entry.fault) for entry in drill.timeline
    )
    if not workload.statement and not _shares_history(terms.workload):
        yield _BY_NAME["acknowledged"]
    for name in workload.checkers:
        check = _BY_NAME[name]
        yield _BY_NAME[check.after_mistake] if is_mistaken and check.after_mistake else check
    for check in CHECKS:
        if check.per is not Per.WRITES or not check.judges.intersection(workload.checkers):
            continue
        is_done = is_mistaken and check.name == "restorable"
        if _is_asked_for(check, terms) and not is_done:
            yield check


def _is_asked_for(check: CheckDefinition, terms: Terms) -> bool:
    """Whether a drill's limit for a check has a value; False as a value asks for none."""
    limit = terms.limit(check.limit)
    return limit is not None and limit is not False


def _shares_history(workload: str) -> bool:
    """Whether the checkers of a workload look at its own ops alone."""
    return all(_BY_NAME[name].own_ops for name in WORKLOADS[workload].checkers)
