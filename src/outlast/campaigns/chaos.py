"""Chaos: drills whose timelines are drawn from a seed.

A scenario is a set of weighted choices. A plan is decided before anything runs: the same scenario, duration, seed and
cluster file give the same plan, whatever the cluster then does. Its targets are symbolic, or names from the file.

Injections come in waves. Those of a wave overlap; between waves there is time to get over it. What the first of a wave
has taken down is no target of the second, which could not bite there. No wave begins so late that a failover could not
end before the drill does, and after the last all is healed and the cluster must be whole.

A scenario draws from those of its choices that the system can suffer, and loads what the system takes: SQL where there
are servers, a log elsewhere. It contains what it is named for: its first wave is drawn from ``namesake``, and one that
promises a failover holds its fault until somebody else leads, and has a check that somebody does.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from outlast.clusters.system_registry import system
from outlast.config import ClientsSpec, ClusterSpec, DrillSpec, TimelineEntry, WorkloadSpec
from outlast.errors import ConfigError, UnavailableError
from outlast.faults.registry import fault
from outlast.history.history import JSON
from outlast.systems.base import Cluster, HasServers

FIRST_S: Final = 3.0
GAP_S: Final = (5.0, 9.0)
HOLD_S: Final = (3.0, 7.0)
TAIL_SHARE: Final = 0.4
"""At most this share of the duration is kept free of new waves at its end, and at most TAIL_S."""

TAIL_S: Final = 30.0
SECOND_AFTER_S: Final = 1.0
RANDOM_NODE: Final = "random-node"
"""Stands for a node of the cluster file, drawn when the plan is made."""

STANDING: Final = "one-standby"
"""Where a second fault goes when the first took down a node that the plan cannot name: one that is still up."""

FAILOVER_S: Final = {"fast": 25.0, "default": 45.0}
"""What a wave that waits for a failover is given, by the cluster's profile, before the next one comes."""

DCS: Final = "dcs-"
"""Targets that begin so are members of the DCS, on hosts of their own."""

_TAKES_DOWN: Final = frozenset(
    {
        *("process_kill", "process_stop", "process_pause", "host_power_off", "host_restart", "host_frozen"),
        *("cascading", "dcs_kill", "dcs_pause"),
    }
)
_NEEDS_SERVERS: Final = frozenset({"backend_terminate", "replay_pause", "walreceiver_block"})


@dataclass(frozen=True, slots=True)
class Choice:
    """A fault that a scenario may draw. weight: how often, beside the others'. on: see targets, or RANDOM_NODE.

    until_failover: it lasts until another node leads, at the longest to the end of the load.
    """

    fault: str
    on: str
    weight: int = 1
    params: Mapping[str, JSON] = field(default_factory=dict)
    until_failover: bool = False


@dataclass(frozen=True, slots=True)
class Scenario:
    """What chaos may draw. together: the share of waves in which a second fault comes on top of the first.

    rate_per_s: of the load's ops. clients: how many make it. workload: its name, None for the system's own.
    namesake: what the first wave is drawn from, so that no seed leaves out what the scenario is named for; () for
    choices. checks: limits beyond those of every scenario.
    """

    about: str
    choices: tuple[Choice, ...] = ()
    together: float = 0.0
    rate_per_s: float = 200.0
    clients: int = 8
    workload: str | None = None
    namesake: tuple[Choice, ...] = ()
    checks: Mapping[str, bool | int | float] = field(default_factory=dict)


_PRIMARY: Final = (
    Choice("process_kill", "primary", 3, {"process": "server"}),
    Choice("host_power_off", "primary", 2),
    Choice("host_restart", "primary", 2),
    Choice("host_frozen", "primary", 1),
    Choice("backend_terminate", "primary", 2),
)
_PRIMARY_LOST: Final = (
    Choice("host_power_off", "primary", 3, until_failover=True),
    Choice("host_frozen", "primary", 1, until_failover=True),
)
"""After these somebody else must lead: nothing restarts the server while its host is away."""

_NODES: Final = (
    Choice("process_kill", RANDOM_NODE, 3, {"process": "server"}),
    Choice("process_pause", RANDOM_NODE, 1, {"process": "server"}),
    Choice("host_restart", RANDOM_NODE, 2),
    Choice("host_frozen", RANDOM_NODE, 1),
    Choice("cpu_starve", RANDOM_NODE, 2, {"share_percent": 20.0}),
)
_STANDBYS: Final = (
    Choice("replay_pause", "one-standby", 1),
    Choice("walreceiver_block", "one-standby", 1),
)
_NODE_LOST: Final = (
    Choice("process_kill", RANDOM_NODE, 2, {"process": "server"}),
    Choice("host_restart", RANDOM_NODE, 1),
    Choice("host_power_off", RANDOM_NODE, 1),
)
_SUSTAINED: Final = (
    Choice("process_kill", RANDOM_NODE, 3, {"process": "server"}),
    Choice("host_restart", "one-standby", 2),
    Choice("net_delay", RANDOM_NODE, 1, {"delay_ms": 20.0}),
    Choice("cpu_starve", RANDOM_NODE, 1, {"share_percent": 50.0}),
)
_WIRES: Final = (
    Choice("net_partition", "one-standby", 2),
    Choice("net_partition", "primary", 2),
    Choice("net_partition", RANDOM_NODE, 1, {"kind": "one-way-in"}),
    Choice("net_partition", RANDOM_NODE, 1, {"kind": "one-way-out"}),
    Choice("net_partition", RANDOM_NODE, 1, {"kind": "dcs-only"}),
)
_STORE: Final = (
    Choice("dcs_kill", "dcs-leader", 3),
    Choice("dcs_kill", "dcs-member", 2),
    Choice("dcs_slow", "dcs-leader", 2),
    Choice("dcs_pause", "dcs-majority", 1),
    Choice("dcs_kill", "dcs-all", 1),
)
_STORE_LOST: Final = (
    Choice("dcs_kill", "dcs-leader", 3),
    Choice("dcs_kill", "dcs-member", 1),
    Choice("dcs_pause", "dcs-majority", 1),
)

_MEMBERS: Final = (
    Choice("process_kill", "primary", 3, {"process": "server"}),
    Choice("process_kill", RANDOM_NODE, 3, {"process": "server"}),
    Choice("process_stop", RANDOM_NODE, 1, {"process": "server"}),
    Choice("process_pause", RANDOM_NODE, 2, {"process": "server"}),
    Choice("host_power_off", RANDOM_NODE, 2),
    Choice("host_power_off", "majority", 1),
    Choice("host_frozen", RANDOM_NODE, 1),
    Choice("net_partition", "primary", 3),
    Choice("net_partition", RANDOM_NODE, 1, {"kind": "one-way-in"}),
    Choice("net_partition", RANDOM_NODE, 1, {"kind": "one-way-out"}),
    Choice("net_partition", RANDOM_NODE, 1, {"kind": "majority-ring"}),
    Choice("net_delay", RANDOM_NODE, 1, {"delay_ms": 100.0}),
    Choice("net_loss", RANDOM_NODE, 1, {"loss_percent": 20}),
    Choice("cpu_starve", RANDOM_NODE, 1, {"share_percent": 20.0}),
)

SCENARIOS: Final[Mapping[str, Scenario]] = {
    "all": Scenario(
        "faults of every kind, some at the same time",
        (*_PRIMARY, *_NODES, *_STANDBYS, *_WIRES, *_STORE),
        together=0.35,
    ),
    "random-node": Scenario(
        "a node drawn from the cluster fails, again and again", _NODES, namesake=_NODE_LOST
    ),
    "primary-failure": Scenario(
        "whoever is primary fails, and another takes over",
        (*_PRIMARY[:3], *_PRIMARY_LOST),
        namesake=_PRIMARY_LOST,
        checks={"leader_changes": 1},
    ),
    "network-partition": Scenario("nodes are cut off, in both directions or one", _WIRES),
    "network-delay": Scenario(
        "packets of a node arrive 150 ms late",
        (
            Choice("net_delay", RANDOM_NODE, 2, {"delay_ms": 150.0}),
            Choice("net_delay", "primary", 1, {"delay_ms": 150.0}),
        ),
    ),
    "cascading": Scenario(
        "hosts fail one after another", (Choice("cascading", "majority", 2), Choice("cascading", "all", 1))
    ),
    "etcd-failure": Scenario("members of the DCS die, hang or grow slow", _STORE, namesake=_STORE_LOST),
    "members": Scenario(
        "members of a Raft group fail in every way, some at the same time",
        _MEMBERS,
        together=0.35,
        workload="log",
        namesake=_NODE_LOST,
    ),
    "sustained-load": Scenario(
        "much load through failures; its throughput and success between them are judged",
        _SUSTAINED,
        rate_per_s=1000.0,
        clients=16,
        checks={"throughput": 700, "success": 0.99},
    ),
    "health": Scenario("a light load and no fault: nothing is changed", rate_per_s=20.0),
}


ALIASES: Final[Mapping[str, str]] = {"run": "all"}
"""Other names of scenarios."""


def chaos_drill(name: str, duration_s: float, seed: int, cluster: ClusterSpec) -> DrillSpec:
    """Return a scenario's drill: a pure function of its arguments.

    Raises ConfigError for an unknown scenario, UnavailableError for one whose faults this version lacks, or of whose
    faults the system can suffer none.
    """
    name = ALIASES.get(name, name)
    scenario = SCENARIOS.get(name)
    if scenario is None:
        raise ConfigError(f"there is no scenario {name}", hint=f"there is: {', '.join(SCENARIOS)}")
    for choice in (*scenario.choices, *scenario.namesake):
        _known(name, choice)
    choices = [choice for choice in scenario.choices if _fits(choice, cluster)]
    namesake = [choice for choice in scenario.namesake or scenario.choices if _fits(choice, cluster)]
    if scenario.choices and not namesake:
        raise UnavailableError(
            f"{name}: {cluster.system}, as it is set up here, can suffer none of its faults"
        )
    rng = random.Random(f"chaos/{name}/{seed}")
    timeline: list[TimelineEntry] = []
    at_s = FIRST_S
    while choices and at_s <= duration_s - min(TAIL_S, duration_s * TAIL_SHARE):
        first = _draw(choices if timeline else namesake, rng, cluster, at_s)
        timeline.append(first)
        if rng.random() < scenario.together:
            later_s = round(at_s + SECOND_AFTER_S, 1)
            second = [choice for choice in choices if _can_bite(choice, first, cluster)]
            if second:
                timeline.append(_draw(second, rng, cluster, later_s, beside=first))
        held_s = rng.uniform(*HOLD_S)
        if first.heal == "after_failover":
            held_s = FAILOVER_S[cluster.profile]
        at_s = round(at_s + held_s + rng.uniform(*GAP_S), 1)
    workload = scenario.workload or ("append" if _has_servers(cluster) else "log")
    load = WorkloadSpec(
        name=workload, clients=ClientsSpec(follow=scenario.clients), rate_per_s=scenario.rate_per_s
    )
    return DrillSpec(
        name=f"chaos-{name}",
        title=f"Chaos: {scenario.about}",
        workload={workload: load},
        timeline=tuple(timeline),
        duration_s=duration_s,
        # How long the cluster is out depends on what was drawn; what it must never do does not.
        checks={
            "acked_lost": 0,
            "two_writers_s": 0,
            "replicas_equal": True,
            "outage_s": duration_s,
            **scenario.checks,
        },
    )


def refuse(drill: DrillSpec, cluster: Cluster) -> None:
    """Raise UnavailableError, before anything is touched, for a fault that can't be injected here."""
    for entry in drill.timeline:
        reason = fault(str(entry.fault)).available(cluster)
        if reason is not None:
            raise UnavailableError(f"{drill.name}: the fault {entry.fault} cannot be injected here: {reason}")


def _known(scenario: str, choice: Choice) -> None:
    try:
        fault(choice.fault)
    except ConfigError as error:
        raise UnavailableError(
            f"{scenario} needs the fault {choice.fault}, which this version lacks", hint=error.hint
        ) from error


def _has_servers(cluster: ClusterSpec) -> bool:
    return issubclass(system(cluster.system).cluster_type, HasServers)


def _fits(choice: Choice, cluster: ClusterSpec) -> bool:
    """Whether the system has what a fault acts on; what only this machine lacks is refused later, with its reason."""
    if choice.on.startswith(DCS) or choice.params.get("kind") == "dcs-only":
        return bool(cluster.dcs)
    return choice.fault not in _NEEDS_SERVERS or _has_servers(cluster)


def _can_bite(choice: Choice, first: TimelineEntry, cluster: ClusterSpec) -> bool:
    """Whether there is something left for a second fault to bite while the first lasts."""
    if first.fault not in _TAKES_DOWN:
        return True
    if str(first.on).startswith(DCS):
        return not choice.on.startswith(DCS)
    return choice.on != RANDOM_NODE or len(cluster.nodes) > 1


def _draw(
    choices: Sequence[Choice],
    rng: random.Random,
    cluster: ClusterSpec,
    at_s: float,
    beside: TimelineEntry | None = None,
) -> TimelineEntry:
    """Draw a fault, its target and its end. beside: the one it comes on top of."""
    choice = rng.choices(choices, [one.weight for one in choices])[0]
    on = choice.on
    if on == RANDOM_NODE:
        down = beside.on if beside is not None and beside.fault in _TAKES_DOWN else None
        names = [node.name for node in cluster.nodes]
        on = rng.choice([name for name in names if name != down])
        if down is not None and down not in names and not down.startswith(DCS):
            on = STANDING
    heal_s = round(rng.uniform(*HOLD_S), 1)
    heal: Literal["after_failover"] | float = "after_failover" if choice.until_failover else heal_s
    return TimelineEntry(at_s=at_s, fault=choice.fault, on=on, heal=heal, params=dict(choice.params))
