"""The limits that a drill's ``checks`` may state: one table, from which files are validated and lists are made.

Which checker holds a figure to its limit is in ``run/checks.py``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from outlast.config.document import kind_of
from outlast.config.fields import problem
from outlast.units import parse_duration_s

Limit = bool | int | float


class LimitKind(StrEnum):
    """What a limit is a number of."""

    COUNT = "count"
    """A whole number."""
    SECONDS = "seconds"
    """A number, or a text such as ``30s``."""
    SHARE = "share"
    """From 0 to 1."""
    FACT = "true or false"
    """Whether it is checked at all."""


@dataclass(frozen=True, slots=True)
class LimitDefinition:
    """One limit. about: what is held to it, in a line. default: None where it holds only for a drill that states it."""

    name: str
    kind: LimitKind
    about: str
    default: Limit | None = None


LIMITS: Final[Mapping[str, LimitDefinition]] = {
    limit.name: limit
    for limit in (
        LimitDefinition("acked_lost", LimitKind.COUNT, "acknowledged writes that are gone", 0),
        LimitDefinition("two_writers_s", LimitKind.SECONDS, "time in which two nodes took writes", 0),
        LimitDefinition("replicas_equal", LimitKind.FACT, "the same content on every node", True),
        LimitDefinition(
            "outage_s",
            LimitKind.SECONDS,
            "the longest time without an acknowledgement that lasted; the system's own model by default",
        ),
        LimitDefinition("availability", LimitKind.SHARE, "share of operations acknowledged, at least"),
        LimitDefinition(
            "success", LimitKind.SHARE, "share of the operations between faults acknowledged, at least"
        ),
        LimitDefinition(
            "throughput", LimitKind.COUNT, "acknowledged operations a second between faults, at least"
        ),
        LimitDefinition("leader_changes", LimitKind.COUNT, "changes of leader, at least"),
        LimitDefinition("rejoin_s", LimitKind.SECONDS, "from a fault's healing until its node follows again"),
        LimitDefinition(
            "accepted_without_majority", LimitKind.COUNT, "writes accepted while no majority was up"
        ),
        LimitDefinition(
            "writable_again_s", LimitKind.SECONDS, "from the return of a majority to the next acknowledgement"
        ),
        LimitDefinition(
            "replay_lag_s", LimitKind.SECONDS, "a standby's lag, outside the recovery windows of faults"
        ),
        LimitDefinition(
            "read_errors", LimitKind.COUNT, "reads not acknowledged while no fault was under way", 0
        ),
        LimitDefinition(
            "write_errors", LimitKind.COUNT, "writes not acknowledged while no fault was under way"
        ),
        LimitDefinition(
            "unplanned_promotions",
            LimitKind.COUNT,
            "primaries that appeared while no fault was under way",
        ),
        LimitDefinition(
            "altered_rows", LimitKind.COUNT, "rows of the soak's table that are not as acknowledged", 0
        ),
        LimitDefinition(
            "by_priority", LimitKind.FACT, "of the standbys that could take over, the highest priority did"
        ),
        LimitDefinition("restorable", LimitKind.FACT, "backup and archive bring back what was acknowledged"),
    )
}
"""By name."""


def parse_limit(name: str, value: object) -> Limit:
    """Return a limit as a drill states it. Raises ValueError in words for the person who wrote it.

    A limit that is not in LIMITS is read as a number or a fact; that it does not exist is told with all of a
    drill's checks.
    """
    definition = LIMITS.get(name)
    kind = definition.kind if definition is not None else None
    if (kind is LimitKind.SECONDS or name.endswith("_s")) and isinstance(value, str):
        try:
            value = parse_duration_s(value)
        except ValueError as error:
            raise problem(str(error), name) from None
    if not isinstance(value, bool | int | float):
        raise problem(f"a limit is a number, true or false, got {kind_of(value)}", name)
    if kind is LimitKind.FACT:
        if not isinstance(value, bool):
            raise problem(f"must be true or false, got {kind_of(value)}", name)
        return value
    if kind is not None and isinstance(value, bool):  # true would count as 1, and let a lost write pass
        raise problem(f"must be a number, got {kind_of(value)}", name)
    if not 0 <= value < math.inf:
        raise problem(f"a limit is not negative and finite, got {value}", name)
    if kind is LimitKind.COUNT and value != int(value):
        raise problem(f"is a whole number, got {value}", name)
    if kind is LimitKind.SHARE and value > 1:
        raise problem(f"is a share of 1, got {value}", name)
    return value
