"""What a drill will do and when, decided from its file and seed before anything is touched."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from outlast.config import DrillSpec
from outlast.errors import ConfigError
from outlast.faults.base import with_defaults
from outlast.faults.registry import fault
from outlast.history.history import JSON


@dataclass(frozen=True, slots=True)
class PlannedInjection:
    """One planned injection. at_s: seconds from the start of the load. on: a symbolic target or a node's name.
    heal: ``after_failover``, ``end`` or seconds after the injection."""

    at_s: float
    fault: str
    on: str
    params: Mapping[str, JSON]
    heal: str | float

    def to_document(self) -> dict[str, JSON]:
        """Return it as it is printed and stored."""
        return {"at_s": self.at_s, "fault": self.fault, "on": self.on, "params": dict(self.params)}


def make_plan(drill: DrillSpec) -> tuple[PlannedInjection, ...]:
    """Return a drill's steps in order of time, repeated ones written out.

    Raises ConfigError, with the entry's place, for an unknown fault or parameter. The same drill gives the
    same plan.
    """
    steps = []
    for place, entry in enumerate(drill.timeline):
        name = entry.fault or str(entry.action)  # what an operator does is planned like a fault
        try:
            params = with_defaults(fault(name), entry.params)
        except ConfigError as error:
            raise ConfigError(
                error.reason, file=f"drill {drill.name}", key=f"timeline.{place}", hint=error.hint
            ) from error
        steps += [
            PlannedInjection(at_s, name, entry.on or "primary", params, entry.heal if entry.fault else 0.0)
            for at_s in entry.times_s(drill.duration_s)
        ]
    return tuple(sorted(steps, key=lambda step: step.at_s))


def step_rng(seed: int, place: int) -> random.Random:
    """Return the source of choices for a plan's step: its own, so that timing can't shift another's choices."""
    return random.Random(f"{seed}/{place}")
