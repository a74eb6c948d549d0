"""What a soak will do and when: decided before it starts, from its intervals and the node that leads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from outlast.config import ClusterSpec, DrillSpec, stored_drill
from outlast.config.drill import ENTRIES_MAX
from outlast.errors import ConfigError
from outlast.history.history import JSON
from outlast.run.checks import validate_checks
from outlast.workloads.soak_writer import SoakWriterWorkload

NAME: Final = "soak"
DURATION_MIN_S: Final = 60.0
INTERVAL_MIN_S: Final = 1.0
FAILOVER_INTERVAL_MIN_S: Final = 5.0
ALONE_SHARE: Final = 0.4
ALONE_MAX_S: Final = 60.0
"""The writer writes alone, without the read load, for this share of the time before the first failover, at most that
long: what the readers cost it is measured against this."""

PACE_A_CLIENT: Final = 5
"""A client of the writer can keep up with so many times its pace; more need more clients."""

_OURS: Final = ("duration", "timeline", "workload", "name")
"""Settings of a drill that are the soak's own flags."""


@dataclass(frozen=True, slots=True)
class SoakTimes:
    """When things happen. All in seconds; the intervals repeat until the duration is over.

    pace: how many times as fast as it should the writer writes; above 1, minutes stand for hours.
    """

    duration_s: float = 1800.0
    failover_interval_s: float = 300.0
    validation_interval_s: float = 60.0
    pace: float = 1.0

    @classmethod
    def asked(cls, duration_s: float, failover_interval_s: float, validation_interval_s: float) -> SoakTimes:
        """Return the times that a person asked for. Raises ConfigError naming the flag that is out of bounds."""
        times = cls(duration_s, failover_interval_s, validation_interval_s)
        limits = (
            ("--duration", duration_s, DURATION_MIN_S),
            ("--failover-interval", failover_interval_s, FAILOVER_INTERVAL_MIN_S),
            ("--validation-interval", validation_interval_s, INTERVAL_MIN_S),
        )
        for flag, value, least in limits:
            if not least <= value < math.inf:
                raise ConfigError(f"must be at least {least:g} s, got {value:g}", key=flag)
        if (count := len(times.failovers())) > ENTRIES_MAX:
            raise ConfigError(f"gives {count} failovers, more than {ENTRIES_MAX}", key="--failover-interval")
        return times

    def failovers(self) -> tuple[float, ...]:
        """Return when failovers are due: at the end of each interval that ends before the soak does."""
        return _multiples(self.failover_interval_s, self.duration_s)

    def validations(self) -> tuple[float, ...]:
        """Return when validations are due, likewise; one more comes at the end."""
        return _multiples(self.validation_interval_s, self.duration_s)

    def readers_s(self) -> float:
        """Return when the read load starts."""
        return min(ALONE_MAX_S, ALONE_SHARE * min(self.failover_interval_s, self.duration_s))


def _multiples(interval_s: float, until_s: float) -> tuple[float, ...]:
    count = math.ceil(until_s / interval_s) - 1
    return tuple(interval_s * number for number in range(1, count + 1))


def rotation(nodes: Sequence[str], leader: str, count: int) -> tuple[str, ...]:
    """Return the nodes that are promoted in turn, count of them: those after the leader, round and round.

    Raises ConfigError when there is nobody to promote.
    """
    others = len(nodes) - (leader in nodes)
    if count and not others:
        raise ConfigError("there is no node to promote", hint="a soak needs two nodes or more")
    first = nodes.index(leader) if leader in nodes else -1
    return tuple(nodes[(first + number) % len(nodes)] for number in range(1, count + 1))


def soak_drill(times: SoakTimes, targets: Sequence[str], overrides: Sequence[str] = ()) -> DrillSpec:
    """Return the soak as a drill, as it is stored and judged. overrides: --set of a drill's keys.

    Raises ConfigError.
    """
    for text in overrides:
        key = text.partition("=")[0].partition(".")[0]
        if key in _OURS:
            raise ConfigError("is the soak's own", key=key, hint="outlast soak --help lists its flags")
    checks: dict[str, JSON] = {
        "acked_lost": 0,
        "two_writers_s": 0,
        "replicas_equal": True,
        "altered_rows": 0,
        "replay_lag_s": 1,
        "read_errors": 0,
        "write_errors": 0,
        "unplanned_promotions": 0,
    }
    document: dict[str, JSON] = {
        "name": NAME,
        "title": f"Soak: {times.duration_s:g} s of writes and reads, a failover every {times.failover_interval_s:g} s",
        "workload": {"soak-writer": _writer(times.pace), "read-load": {"clients": 1}},
        "timeline": [
            {"at": at_s, "action": "failover", "params": {"to": target}}
            for at_s, target in zip(times.failovers(), targets, strict=True)
        ],
        "duration": times.duration_s,
        "checks": checks,
        "needs": ["switchable", "has-servers", "has-primary"],
    }
    return stored_drill(document, "the soak", overrides)


def _writer(pace: float) -> dict[str, JSON]:
    if pace == 1:
        return {"clients": 1}
    return {"clients": math.ceil(pace / PACE_A_CLIENT), "rate": f"{pace * SoakWriterWorkload.rate_per_s:g}/s"}


def check_settings(times: SoakTimes, overrides: Sequence[str]) -> None:
    """Raise ConfigError, before there is a lab, for a drill's settings that a soak can't have."""
    validate_checks(soak_drill(times, ("",) * len(times.failovers()), overrides))


def promotable(spec: ClusterSpec, can_change: bool) -> tuple[str, ...]:
    """Return the nodes of a rotation, in order; read-only ones only where they can be made eligible."""
    return tuple(node.name for node in spec.nodes if can_change or node.role != "read-only")
