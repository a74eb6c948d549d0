"""Which checkers judge a drill, and what they are held to."""

from __future__ import annotations

from typing import Final

from holdfast.checkers.availability import Availability
from holdfast.checkers.base import Checker
from holdfast.checkers.fault_effects import FaultEffects
from holdfast.checkers.lost_writes import LostWrites
from holdfast.checkers.outage import Outage
from holdfast.checkers.rejoin import Rejoin
from holdfast.checkers.replicas_equal import ReplicasEqual
from holdfast.checkers.split_brain import SplitBrain
from holdfast.errors import ConfigError
from holdfast.spec import DrillSpec

CHECKS: Final = ("acked_lost", "two_writers_s", "replicas_equal", "outage_s", "availability", "rejoin_s")
"""The figures that a drill's ``checks`` may hold to a limit."""


def make_checkers(drill: DrillSpec, model_outage_s: float, planned: int) -> tuple[Checker, ...]:
    """Return the checkers of a drill; every figure is always judged.

    Limits that the drill does not state: nothing lost, no two writers, replicas equal, and the outage that the
    system's own model allows (model_outage_s, seconds). planned: injections in its plan. Raises ConfigError for a
    check that does not exist.
    """
    for name in drill.checks:
        if name not in CHECKS:
            raise ConfigError(
                f"there is no check {name}",
                file=f"drill {drill.name}",
                key=f"checks.{name}",
                hint=f"there is: {', '.join(CHECKS)}",
            )
    limits = drill.checks
    made: list[Checker] = [FaultEffects(planned)]
    for workload in drill.workload:
        made += [
            LostWrites(workload, int(limits.get("acked_lost", 0))),
            Outage(workload, float(limits.get("outage_s", model_outage_s))),
            SplitBrain(workload, float(limits.get("two_writers_s", 0))),
        ]
        if "availability" in limits:
            made.append(Availability(workload, float(limits["availability"])))
    if "rejoin_s" in limits:
        made.append(Rejoin(float(limits["rejoin_s"])))
    if limits.get("replicas_equal", True):
        made.append(ReplicasEqual())
    return tuple(made)
