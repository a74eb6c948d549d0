"""Which checkers judge a drill, and what they are held to."""

from __future__ import annotations

from holdfast.checkers.base import Checker
from holdfast.checkers.fault_effects import FaultEffects
from holdfast.spec import DrillSpec


def make_checkers(drill: DrillSpec, model_outage_s: float, planned: int) -> tuple[Checker, ...]:
    return (FaultEffects(planned),)
