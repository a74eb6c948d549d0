"""Faults of the store that holds the leader's lock: its members die, or hang.

How many is the target's business: ``dcs-leader``, ``dcs-member``, ``dcs-majority``, ``dcs-all``.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Mapping
from typing import Final

from outlast.errors import HostError
from outlast.faults.base import Effect, Fault, Injection, Param
from outlast.faults.process_signal import ProcessSignal, find
from outlast.history.history import JSON
from outlast.systems.base import Cluster, HasConsensus
from outlast.systems.etcd.member import PROCESS


class DcsSignal(ProcessSignal):
    """A signal to the store's members; says also whether the store still has a leader."""

    params: tuple[Param, ...] = ()

    def __init__(self, name: str, about: str, number: signal.Signals, on: str) -> None:
        super().__init__(name, about, number)
        self.on = on
        self.lasts = True  # nobody starts a member again

    def available(self, cluster: Cluster) -> str | None:
        """Needs a DCS."""
        if not cluster.spec.dcs or not isinstance(cluster, HasConsensus):
            return f"{cluster.spec.system} has no DCS here"
        return super().available(cluster)

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Find the members' processes. Raises HostError for a target that is no member."""
        strangers = set(targets) - {member.name for member in cluster.spec.dcs}
        if strangers:
            raise HostError(f"{', '.join(sorted(strangers))} is not a member of the DCS")
        found = await super().prepare(cluster, targets, {"process": PROCESS}, rng)
        return Injection(self.name, targets, {"process": PROCESS}, found.details)

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """Look at the members, and ask the store who leads."""
        members = await super().effective(cluster, injection)
        if not members.bit or not isinstance(cluster, HasConsensus):
            return members
        if self.number is signal.SIGKILL:
            for target in injection.targets:
                if await find(cluster, target, PROCESS):
                    return Effect(False, f"{target}: {PROCESS} runs again")
        leader = await cluster.dcs_leader()
        lost = len(injection.targets)
        if lost > len(cluster.spec.dcs) // 2 and leader is not None:
            return Effect(False, f"{members.words}, yet {leader} leads")
        return Effect(True, f"{members.words}; {f'{leader} leads' if leader else 'no member leads'}")


FAULTS: Final[tuple[Fault, ...]] = (
    DcsSignal("dcs_kill", "members of the DCS get SIGKILL and stay down", signal.SIGKILL, "dcs-leader"),
    DcsSignal("dcs_pause", "members of the DCS hang: connected, but silent", signal.SIGSTOP, "dcs-majority"),
)
