"""What a fault is.

A fault is one mechanism, in stages: ``prepare`` looks and decides, and returns an Injection, plain data; ``act`` does
it; ``effective`` looks at the world and says whether it bit; ``heal`` undoes it. Between the first two the injection is
written down (``journal.py``), so that a tool that is cancelled or killed in the middle of ``act`` leaves nothing that
another process can't heal.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from outlast.errors import ConfigError
from outlast.history.history import JSON
from outlast.systems.base import Cluster


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of a fault. unit: ``s``, ``ms``, ``%``, ``bytes``, or "" for a word or a number."""

    name: str
    default: JSON
    unit: str
    about: str


@dataclass(frozen=True, slots=True)
class Injection:
    """One occurrence of a fault. details: what healing and proof need to know."""

    fault: str
    targets: tuple[str, ...]
    params: Mapping[str, JSON] = field(default_factory=dict)
    details: Mapping[str, JSON] = field(default_factory=dict)

    def to_document(self) -> dict[str, JSON]:
        """Return it as a JSON document."""
        document: dict[str, JSON] = asdict(self)
        return document

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Injection:
        """Read what to_document wrote."""
        return cls(document["fault"], tuple(document["targets"]), document["params"], document["details"])


@dataclass(frozen=True, slots=True)
class Effect:
    """Whether a fault bit, and what showed it. bit: None when it can't be told."""

    bit: bool | None
    words: str


class Mechanism(StrEnum):
    """By what a fault makes its trouble. Faults that share one are broken alike when it does not work here."""

    SIGNAL = "signal"  # to processes on a host
    AGENT = "agent"  # a program on the target's own host that goes on until it is ended
    POWER = "power"  # of hosts: the end of their init
    CABLE = "cable"  # plugged in or pulled at the bridge
    DISK = "disk"  # a file system on a loop device
    CGROUP = "cgroup"  # limits that the kernel puts on memory or on a device
    CLOCK = "clock"  # the wall clock of a host's own
    FILTER = "filter"  # nftables at the bridge and its ports
    QUEUE = "queue"  # packets handed to a process of the lab that holds or damages them
    BANDWIDTH = "bandwidth"  # htb classes on the bridge's ports
    SOCKET = "socket"  # connections that the kernel is told to destroy
    SQL = "sql"  # statements to a server
    FILE = "file"  # pages written behind a server's back
    MANAGER = "manager"  # what an operator asks of the cluster's manager


class Fault(ABC):
    """One mechanism, in stages: ``prepare`` looks and decides, the injection is written down, ``act`` does it.

    name: says the mechanism (``process_kill``); about: one sentence; params: with units and defaults. on: the target
    it makes most sense on. lasts: whether it goes on until it is healed (a pause), or has happened once ``act``
    returns and the system gets over it by itself (a kill). Healing is called for in either case.
    """

    name: str
    about: str
    mechanism: Mechanism
    params: tuple[Param, ...] = ()
    on: str = "primary"
    lasts: bool = True

    def available(self, cluster: Cluster) -> str | None:
        """Return why it can't be injected here, None when it can."""
        return None

    @abstractmethod
    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Look at the world and choose everything: pids, names, ids, files. Changes nothing.

        What healing and proof need is in the injection's details. Raises ConfigError for parameters that make no
        sense, HostError when it can't look.
        """

    @abstractmethod
    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Do what was decided. May be cancelled, or killed, anywhere. Raises HostError when it fails."""

    @abstractmethod
    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """Look at the world, never at what act did, and say whether the fault bit."""

    @abstractmethod
    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """Undo it, also when act got only half-way; safe to call again, and from another process.

        Raises HostError when that fails.
        """


def with_defaults(fault: Fault, given: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return the fault's parameters, the given ones over the defaults. Raises ConfigError for an unknown one."""
    known = {param.name: param.default for param in fault.params}
    for name in given:
        if name not in known:
            raise ConfigError(
                f"the fault {fault.name} has no parameter {name}",
                hint=f"it has: {', '.join(known) or 'none'}",
            )
    return {**known, **given}


def number(params: Mapping[str, JSON], name: str, least: float = 0.0) -> float:
    """Return a parameter that is a number. Raises ConfigError for anything else, and below least."""
    value = params[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < float("inf"):
        raise ConfigError(f"{name} must be a number from {least:g} on, got {value!r}")
    return float(value)


def of_target(injection: Injection, key: str, target: str) -> JSON:
    """Return what the details hold under key for one target, None when there is nothing."""
    found = injection.details.get(key)
    return found.get(target) if isinstance(found, Mapping) else None


def pids_of(injection: Injection, key: str, target: str) -> list[int]:
    """Return the pids that the details hold under key for one target."""
    found = of_target(injection, key, target)
    return [int(str(pid)) for pid in found] if isinstance(found, list) else []
