"""What a drill is: the frozen description of one experiment, from its load to its verdict's limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, JsonValue, PlainSerializer, PlainValidator
from pydantic.dataclasses import dataclass

from outlast.config.cluster import ClusterSpec
from outlast.config.document import did_you_mean, kind_of
from outlast.config.fields import (
    STRICT,
    DurationS,
    Identifier,
    Line,
    Name,
    Prose,
    RatePerS,
    Switch,
    problem,
    whole,
)
from outlast.config.limits import Limit, parse_limit
from outlast.errors import ConfigError
from outlast.units import parse_duration_s

SYMBOLIC_TARGETS = (
    "primary",
    "one-standby",
    "sync-standby",
    "minority",
    "majority",
    "all",
    "dcs-leader",
    "dcs-member",
    "dcs-majority",
    "dcs-all",
    "monitor",
    "client",
)
"""Targets that mean a node by what it is when its moment comes. Any other target is a node's name."""

Action = Literal[
    "switchover",
    "failover",
    "restart",
    "reseed",
    "maintenance",
    "add-node",
    "remove-node",
    "heal",
    "backup",
    "mistake",
]
RouteName = Literal["libpq", "haproxy", "pgbouncer", "pgpool"]
Level = Literal["read-committed", "repeatable-read", "serializable"]

CLIENTS_MAX = 1000
EVERY_S_MIN = 0.1
ENTRIES_MAX = 1000
OCCURRENCES_MAX = 10_000
"""How often one entry may repeat within a drill."""


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class ClientsSpec:
    """Who drives a workload. follow: clients that follow the primary. pinned: one more on each node."""

    follow: Annotated[int, PlainValidator(whole(0, CLIENTS_MAX))] = Field(
        default=8, description="clients that follow the primary"
    )
    pinned: Switch = Field(
        default=False, description="also one client pinned to each node, whatever its role"
    )


def _clients(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return {"follow": value}
    if not isinstance(value, dict | ClientsSpec):
        raise ValueError(f"must be a number of clients or {{follow, pinned}}, got {kind_of(value)}")
    return value


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class WorkloadSpec:
    """One workload. rate_per_s: ops started per second, all clients together; None for a closed loop.

    params: what only this workload knows; it checks them itself.
    """

    name: Identifier
    clients: Annotated[ClientsSpec, BeforeValidator(_clients)] = Field(
        default_factory=ClientsSpec, description="a number of clients, or {follow: number, pinned: on|off}"
    )
    rate_per_s: RatePerS | None = Field(
        default=None,
        validation_alias="rate",
        serialization_alias="rate",
        description="ops started per second, all clients together; null for as fast as answers come",
    )
    params: Mapping[str, JsonValue] = Field(default_factory=dict)


def _workloads(value: object) -> object:
    """Read ``append`` or ``{append: {clients: 8, rate: 500/s, …}}`` as named entries; the rest are params."""
    if isinstance(value, str):
        value = {value: {}}
    if not isinstance(value, dict):
        raise ValueError(f"must be a workload's name or {{name: settings}}, got {kind_of(value)}")
    return {name: _workload(name, settings) for name, settings in value.items()}


def _workload(name: str, settings: object) -> object:
    if settings is None:
        settings = {}
    if not isinstance(settings, dict):
        return settings
    known = {key: settings[key] for key in ("clients", "rate") if key in settings}
    return {"name": name, **known, "params": {k: v for k, v in settings.items() if k not in known}}


def _workloads_document(workload: Mapping[str, WorkloadSpec]) -> dict[str, JsonValue]:
    return {
        name: {
            "clients": {"follow": one.clients.follow, "pinned": one.clients.pinned},
            "rate": one.rate_per_s,
            **one.params,
        }
        for name, one in workload.items()
    }


def _heal(value: object) -> str | float:
    if value in ("after_failover", "end"):
        return str(value)
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            seconds = parse_duration_s(value)
        except ValueError:
            seconds = math.inf
        if math.isfinite(seconds):
            return seconds
    raise ValueError(f"must be after_failover, end or a duration, got {kind_of(value)}")


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class TimelineEntry:
    """One thing that happens during a drill: a fault or an action, never both.

    at_s: seconds from the start of the load. every_s: repeats it until the drill ends. on: a symbolic target
    or a node's name. heal: ``after_failover`` (at the latest when the drill ends), ``end``, or seconds after
    the injection. params: what only this fault or action knows; it checks them itself.
    """

    at_s: DurationS = Field(validation_alias="at", serialization_alias="at")
    every_s: DurationS | None = Field(default=None, validation_alias="every", serialization_alias="every")
    fault: Identifier | None = None
    action: Action | None = None
    on: Name | None = None
    heal: Annotated[Literal["after_failover", "end"] | float, PlainValidator(_heal)] = "end"
    params: Mapping[str, JsonValue] = Field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.fault is None) == (self.action is None):
            raise problem("needs either a fault or an action")
        if self.fault is not None and self.on is None:
            hint = f"targets: {', '.join(SYMBOLIC_TARGETS)}, or a node's name"
            raise problem("a fault needs a target", "on", hint=hint)
        if self.every_s is not None and self.every_s < EVERY_S_MIN:
            raise problem(f"must be at least {EVERY_S_MIN} s", "every")

    def times_s(self, duration_s: float) -> tuple[float, ...]:
        """Return the seconds at which this happens in a drill of duration_s, in order."""
        if self.every_s is None:
            return (self.at_s,)
        count = math.ceil((duration_s - self.at_s) / self.every_s)
        return tuple(self.at_s + number * self.every_s for number in range(count))


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class ClusterNeeds:
    """What a drill asks of its cluster. preset: where to start from, or None for whatever the person asked.

    settings: keys of a ClusterSpec that the drill needs; --set outranks them.
    """

    preset: Name | None = None
    settings: Mapping[str, JsonValue] = Field(default_factory=dict)


def _needs(value: object) -> object:
    if isinstance(value, str):
        return {"preset": value}
    if not isinstance(value, dict):
        return value
    known = tuple(ClusterSpec.__dataclass_fields__)
    settings = {key: setting for key, setting in value.items() if key != "preset"}
    for key in settings:
        if key not in known:
            raise problem(f"{key!r} is not a setting of a cluster", key, hint=did_you_mean(key, known))
    return {"preset": value.get("preset"), "settings": settings}


def _needs_document(needs: ClusterNeeds) -> dict[str, JsonValue]:
    return {"preset": needs.preset, **needs.settings}


def _checks(value: object) -> dict[str, Limit]:
    if not isinstance(value, dict):
        raise ValueError(f"must be a mapping {{name: limit}}, got {kind_of(value)}")
    return {str(name): parse_limit(str(name), limit) for name, limit in value.items()}


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class DrillSpec:
    """One scripted experiment with a verdict. Sound by construction: its timeline lies before its end.

    Raises pydantic.ValidationError, which the loader turns into ConfigError.
    """

    name: Name = Field(default="drill", description="name of the drill")
    title: Line = Field(default="", description="one line: what the drill proves")
    description: Prose = Field(default="", description="goal, method and source")
    workload: Annotated[
        Mapping[Identifier, WorkloadSpec], BeforeValidator(_workloads), PlainSerializer(_workloads_document)
    ] = Field(default_factory=dict, description="load: {NAME: {clients, rate, …}}")
    timeline: tuple[TimelineEntry, ...] = Field(
        default=(),
        max_length=ENTRIES_MAX,
        description="faults and actions: {at, fault|action, on, heal, every, params}",
    )
    duration_s: DurationS = Field(
        default=30.0,
        validation_alias="duration",
        serialization_alias="duration",
        description="from the start of the load to its end",
    )
    checks: Annotated[Mapping[str, Limit], PlainValidator(_checks)] = Field(
        default_factory=dict, description="limits that decide the verdict: {acked_lost: 0, outage_s: 30, …}"
    )
    needs: tuple[Identifier, ...] = Field(default=(), description="capabilities without which it is skipped")
    cluster: Annotated[ClusterNeeds, BeforeValidator(_needs), PlainSerializer(_needs_document)] = Field(
        default_factory=ClusterNeeds, description="a preset, or settings that the drill needs of its cluster"
    )
    level: Level = Field(default="read-committed", description="isolation level of the clients' transactions")
    route: RouteName | None = Field(
        default=None,
        description="how clients find the primary: libpq, haproxy, pgbouncer or pgpool; null takes the system's own",
    )
    settle_s: DurationS = Field(
        default=60.0,
        validation_alias="settle",
        serialization_alias="settle",
        description="longest wait for a healthy cluster before the load starts",
    )
    recovery_s: DurationS = Field(
        default=120.0,
        validation_alias="recovery",
        serialization_alias="recovery",
        description="longest wait, once all is healed, until every node is back and has replayed",
    )

    def __post_init__(self) -> None:
        if self.duration_s <= 0:
            raise problem("must be longer than nothing", "duration")
        for index, entry in enumerate(self.timeline):
            if entry.at_s >= self.duration_s:
                raise problem(
                    f"{entry.at_s:g} s is not before the drill's end at {self.duration_s:g} s",
                    "timeline",
                    index,
                    "at",
                    hint="a longer duration: --set duration=…",
                )
            if entry.every_s and (self.duration_s - entry.at_s) / entry.every_s > OCCURRENCES_MAX:
                raise problem(f"repeats more than {OCCURRENCES_MAX} times", "timeline", index, "every")

    def workloads(self) -> tuple[WorkloadSpec, ...]:
        """Return the workloads in the order in which they were written."""
        return tuple(self.workload.values())


def check_targets(drill: DrillSpec, cluster: ClusterSpec) -> None:
    """Raise ConfigError when the timeline names a target that is neither symbolic nor a member."""
    known = (*SYMBOLIC_TARGETS, *(member.name for member in cluster.members()))
    for index, entry in enumerate(drill.timeline):
        if entry.on is not None and entry.on not in known:
            raise ConfigError(
                f"{entry.on!r} is neither a symbolic target nor a member of {cluster.name}",
                file=f"drill {drill.name}",
                key=f"timeline.{index}.on",
                hint=did_you_mean(entry.on, known),
            )
