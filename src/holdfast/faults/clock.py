"""A wall clock that jumps or drifts. Refused in labs of namespaces, and this says why.

Linux has namespaces for the monotonic and the boot-time clock (time_namespaces(7)), set when a process is made, and
none for the wall clock: to move it for one host moves it for the machine and everybody on it. A host of its own
kernel (a remote one) could offer it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final

from holdfast.errors import UnavailableError
from holdfast.faults.base import Effect, Fault, Injection, Param, Staged
from holdfast.history.history import JSON
from holdfast.systems.base import Cluster

REASON: Final = (
    "the wall clock belongs to the whole machine: Linux has no namespace for it (time_namespaces(7))"
)


class WallClock(Staged):
    """Listed, so that whoever looks for it finds the reason."""

    def __init__(self, name: str, about: str, param: Param) -> None:
        self.name = name
        self.about = about
        self.params = (param,)

    def available(self, cluster: Cluster) -> str | None:
        """Never, in a lab of namespaces."""
        return REASON

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Refuse."""
        raise UnavailableError(f"{self.name}: {REASON}")

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Refuse."""
        raise UnavailableError(f"{self.name}: {REASON}")

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """Nothing was moved."""
        return Effect(False, REASON)

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """Nothing was moved."""


FAULTS: Final[tuple[Fault, ...]] = (
    WallClock(
        "clock_jump", "the wall clock of a host jumps", Param("by_s", 60.0, "s", "forward, or back below 0")
    ),
    WallClock(
        "clock_drift", "the wall clock of a host runs fast or slow", Param("rate", 1.1, "", "of its pace")
    ),
)
