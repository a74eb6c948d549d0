"""What a button is about to do, in words, before it does it; and the command that does it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from outlast.clusters import lifecycle
from outlast.config import (
    SYMBOLIC_TARGETS,
    drill_names,
    load_cluster,
    load_drill,
    preset_names,
    split_overrides,
)
from outlast.errors import ConfigError, OutlastError, UnavailableError
from outlast.faults import journal
from outlast.faults.base import Fault, with_defaults
from outlast.faults.registry import fault, faults
from outlast.faults.targets import resolve
from outlast.history.history import JSON
from outlast.systems.base import Cluster, HasPrimary, Switchable


@dataclass(frozen=True, slots=True)
class Intent:
    """Something that can be done. what: in a word or few. lab: "" when it makes its own. words: of the command.
    says: sentences. harm: whether it breaks or ends something."""

    what: str
    lab: str
    words: tuple[str, ...]
    says: tuple[str, ...]
    harm: bool = False


async def switchover_intent(lab: str, target: str | None) -> Intent:
    """Return what a switchover would do. Raises OutlastError when the system cannot do one."""
    cluster = _switchable(lab, target)
    primary = await cluster.primary() if isinstance(cluster, HasPrimary) else None
    to = target or "the standby that the manager prefers"
    says = (
        f"Moves the primary from {primary or 'nobody: there is no primary now'} to {to}, in order.",
        "Writes pause while it moves, as a rule for a few seconds. Nothing acknowledged is lost.",
    )
    words = ("switchover", *_to(target), f"--lab={lab}")
    return Intent("switchover", lab, words, says)


async def failover_intent(lab: str, target: str | None) -> Intent:
    """Return what a failover on demand would do."""
    cluster = _switchable(lab, target)
    primary = await cluster.primary() if isinstance(cluster, HasPrimary) else None
    says = [
        f"Has {target or 'the healthiest standby'} promoted, whether {primary or 'the primary'} is well or not.",
        "Connections to the old primary break.",
    ]
    if cluster.spec.sync == "off":
        says.append("sync is off: what the old primary acknowledged and has not passed on is lost.")
    return Intent("failover", lab, ("failover", *_to(target), f"--lab={lab}"), tuple(says), harm=True)


async def injection_intent(lab: str, name: str, on: str, params: Mapping[str, JSON]) -> Intent:
    """Return what a fault would do, and to whom."""
    cluster = lifecycle.attach(lab)
    kind = fault(name)
    given = with_defaults(kind, params)
    if on not in SYMBOLIC_TARGETS and on not in cluster.lab.hosts:
        raise ConfigError(f"{on!r} is neither a node nor a symbolic target", key="on")
    reason = kind.available(cluster)
    if reason is not None:
        raise UnavailableError(f"{name} cannot be injected here: {reason}")
    try:
        hit = ", ".join(await resolve(on, cluster, random.Random(0)))
        chosen = on if hit == on else f"{on} (now {hit})"
        if on in ("one-standby", "sync-standby", "minority", "majority", "dcs-member", "dcs-majority"):
            chosen = f"{on} (drawn when it is injected, for example {hit})"
    except OutlastError as error:
        chosen = f"{on} ({error.message})"
    shown = ", ".join(f"{key} {value}" for key, value in given.items() if value not in (None, ""))
    says = (
        f"{name}: {kind.about}",
        f"On {chosen}" + (f", with {shown}." if shown else "."),
        "It lasts until it is healed."
        if kind.lasts
        else "It happens at once; healing puts right what stays.",
    )
    sets = tuple(f"--set={key}={_word(value)}" for key, value in params.items())
    return Intent(
        f"inject {name}", lab, ("inject", f"--on={on}", f"--lab={lab}", *sets, "--", name), says, harm=True
    )


async def healing_intent(lab: str) -> Intent:
    """Return what healing would undo."""
    cluster = lifecycle.attach(lab)
    open_ = [
        f"{one.injection.fault} on {', '.join(one.injection.targets)}" for one in journal.entries(cluster.lab)
    ]
    says = (
        f"Heals {'; '.join(open_)}." if open_ else "No fault is open.",
        "Then waits, a minute at most, until the cluster is whole.",
    )
    return Intent("heal", lab, ("heal", f"--lab={lab}"), says)


def drill_intent(
    name: str, lab: str | None, system: str | None, sets: Sequence[str], seed: int | None
) -> Intent:
    """Return what a drill would do."""
    if name not in drill_names():
        raise ConfigError(f"there is no drill {name}", hint="GET /api/v1/drills lists them")
    if system is not None and system not in preset_names():
        raise ConfigError(f"there is no preset {system}", hint=f"choose one of: {', '.join(preset_names())}")
    for_cluster, for_drill = split_overrides(list(sets))
    drill = load_drill(name, for_drill)
    if lab is not None:
        where = f"on {lifecycle.attach(lab).lab.name}, which is up; it stays up"
    else:
        spec = load_cluster(drill.cluster.preset or system or "patroni", for_cluster, needs=drill.cluster)
        where = f"on a new lab of its own: {spec.system} with {len(spec.nodes)} nodes, sync {spec.sync}; removed after"
    steps = [
        f"at {one.at_s:g} s{f' and every {one.every_s:g} s' if one.every_s else ''} "
        f"{one.fault or one.action} on {one.on or 'primary'}"
        for one in drill.timeline
    ]
    loads = ", ".join(drill.workload)
    says = (
        f"{drill.title}.",
        f"Runs {loads} for {drill.duration_s:g} s {where}.",
        f"{'; '.join(steps)}." if steps else "No fault.",
        "Then everything is healed, read back and judged.",
    )
    words = ["drill"]
    words += [f"--lab={lab}"] if lab is not None else []
    words += [f"--system={system}"] if system is not None else []
    words += [f"--seed={seed}"] if seed is not None else []
    words += [f"--set={one}" for one in sets]
    return Intent(f"drill {name}", lab or "", (*words, "--", name), says, harm=lab is not None)


def fault_documents(lab: str) -> list[dict[str, JSON]]:
    """Return every fault: whether it can be injected into a lab or why not, on whom best, and its parameters."""
    cluster = lifecycle.attach(lab)
    return [_fault_document(one, cluster) for one in faults()]


def _fault_document(kind: Fault, cluster: Cluster) -> dict[str, JSON]:
    reason = kind.available(cluster)
    return {
        "name": kind.name,
        "about": kind.about,
        "available": reason is None,
        "reason": reason,
        "on": kind.on,
        "params": [
            {"name": one.name, "default": one.default, "unit": one.unit, "about": one.about}
            for one in kind.params
        ],
    }


def _switchable(lab: str, target: str | None) -> Cluster:
    cluster = lifecycle.attach(lab)
    if not isinstance(cluster, Switchable):
        raise UnavailableError(f"{cluster.spec.system} cannot move its primary on demand")
    if target is not None and target not in {one.name for one in cluster.spec.nodes}:
        raise ConfigError(f"there is no node {target!r}", key="target")
    return cluster


def _to(target: str | None) -> tuple[str, ...]:
    return () if target is None else (f"--to={target}",)


def _word(value: JSON) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
