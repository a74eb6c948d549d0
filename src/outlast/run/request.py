"""What a person asks to be run, and how: one value for drill, chaos, suite, soak, matrix and load."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from outlast.clusters import lifecycle
from outlast.config import ClusterSpec, split_overrides
from outlast.hosts.state import new_run_folder
from outlast.systems.base import Cluster


def _ignore(_text: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What was asked for.

    seed: behind every choice. replay: the command that repeats the run, for reports. system: a preset or a cluster
    file, None for whatever the drill or suite wants. lab: the name of a lab that is up and is to be used as it is,
    None for a fresh one. overrides: ``key=value`` texts, of cluster and drill. keep: leave a fresh lab up afterwards.
    say: is told of progress. new_folder: makes a run's folder from a name.
    """

    seed: int
    replay: str = ""
    system: str | None = None
    lab: str | None = None
    overrides: Sequence[str] = ()
    keep: bool = False
    say: Callable[[str], None] = _ignore
    new_folder: Callable[[str], Path] = new_run_folder

    @property
    def cluster_overrides(self) -> tuple[str, ...]:
        """The overrides of a cluster's keys. Raises ConfigError for a key that is no setting."""
        return split_overrides(self.overrides)[0]

    @property
    def drill_overrides(self) -> tuple[str, ...]:
        """The overrides of a drill's keys. Raises ConfigError for a key that is no setting."""
        return split_overrides(self.overrides)[1]

    @contextlib.asynccontextmanager
    async def cluster(self, spec: ClusterSpec, name: str) -> AsyncIterator[Cluster]:
        """Return the cluster of the lab that was asked for, or bring one up for the length of a with block.

        name: wanted for a fresh lab. Raises UnavailableError, ClusterError, HostError when it does not come up.
        """
        if self.lab is not None:
            yield lifecycle.attach(self.lab)
            return
        async with lifecycle.temporary(spec, lifecycle.free_name(name), self.say, keep=self.keep) as up:
            yield up.cluster
