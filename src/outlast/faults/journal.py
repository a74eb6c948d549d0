"""Which injections are open in a lab, written into its folder before they are made.

So another process can heal what a tool that was killed, or ``outlast inject``, has left. One file an injection,
replaced as a whole. The lab's folder goes with the lab, and with it all that could need healing.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from outlast.clock import now_ns
from outlast.errors import HostError, OutlastError
from outlast.faults.base import Fault, Injection
from outlast.faults.registry import fault
from outlast.files import write_atomic
from outlast.history.history import JSON
from outlast.hosts.base import Lab
from outlast.systems.base import Cluster

FOLDER: Final = "injections"


class NotHealedError(HostError):
    """A fault was injected by half and could not be healed; its entry stays."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One open injection and the file that says so."""

    path: Path
    injection: Injection

    def write(self) -> None:
        """Write it down, all or nothing."""
        write_atomic(self.path, json.dumps(self.injection.to_document()))

    def remove(self) -> None:
        """Forget it: it is healed."""
        self.path.unlink(missing_ok=True)


def note(lab: Lab, injection: Injection) -> Entry:
    """Write an injection into the lab's folder. Names sort in the order of time."""
    folder = lab.folder / FOLDER
    folder.mkdir(exist_ok=True, mode=0o700)
    entry = Entry(folder / f"{now_ns():020d}-{injection.fault}.json", injection)
    entry.write()
    return entry


def entries(lab: Lab) -> tuple[Entry, ...]:
    """Return all open injections of a lab, the newest first. Raises HostError for one that can't be read."""
    found = []
    for path in sorted((lab.folder / FOLDER).glob("*.json"), reverse=True):
        try:
            found.append(Entry(path, Injection.from_document(json.loads(path.read_text()))))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise HostError(f"the injection in {path} cannot be read: {error}") from error
    return tuple(found)


async def inject(
    kind: Fault, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
) -> Entry:
    """Inject a fault, written down before it is made.

    One that fails half-way, or is cancelled, is healed at once. Its entry stays when that fails too, which
    NotHealedError says, or is cancelled as well. Otherwise raises what the fault raises.
    """
    entry = note(cluster.lab, await kind.prepare(cluster, targets, params, rng))
    try:
        await kind.act(cluster, entry.injection)
    except (OutlastError, OSError, asyncio.CancelledError) as error:
        try:
            await kind.heal(cluster, entry.injection)
        except (OutlastError, OSError) as worse:
            raise NotHealedError(f"{error}; nor could it be healed: {worse}") from error
        entry.remove()
        raise
    return entry


async def heal(kind: Fault, cluster: Cluster, injection: Injection) -> None:
    """Heal an injection on those of its targets that there still are: a node may have been removed since.

    Raises what the fault raises.
    """
    left = tuple(target for target in injection.targets if target in cluster.lab.hosts)
    await kind.heal(cluster, replace(injection, targets=left))


async def heal_all(cluster: Cluster) -> tuple[list[Injection], list[str]]:
    """Heal every open injection of a lab, the newest first.

    Returns what was healed and, in words, what could not be; those entries stay.
    """
    healed: list[Injection] = []
    failed: list[str] = []
    for entry in entries(cluster.lab):
        try:
            await heal(fault(entry.injection.fault), cluster, entry.injection)
        except (OutlastError, OSError, TimeoutError) as error:
            failed.append(f"{entry.injection.fault} on {', '.join(entry.injection.targets)}: {error}")
            continue
        entry.remove()
        healed.append(entry.injection)
    return healed, failed
