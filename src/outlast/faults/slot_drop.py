"""A replication slot is dropped under the standby that uses it: WAL it still needs may go."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final

from outlast.errors import HostError
from outlast.faults.base import Effect, Fault, Injection, of_target
from outlast.faults.sql_fault import SqlError, SqlFault, one_row, rows
from outlast.history.history import JSON
from outlast.systems.base import Cluster
from outlast.systems.wait import wait_for

DROP_TIMEOUT_S: Final = 5.0
UNDEFINED_OBJECT: Final = "42704"
DUPLICATE_OBJECT: Final = "42710"
"""Source: PostgreSQL manual, "PostgreSQL Error Codes"."""

_SLOTS: Final = """
SELECT slot_name, active_pid FROM pg_replication_slots WHERE slot_type = 'physical' AND active ORDER BY slot_name
"""
# A slot in use cannot be dropped: its sender is ended first, and comes back within half a second.
_DROP: Final = """
SELECT pg_terminate_backend(active_pid, 1000) FROM pg_replication_slots WHERE slot_name = %s AND active
"""


class SlotDrop(SqlFault):
    """One slot in use on each target. It bit when it is gone, or made again and used by another sender."""

    name = "slot_drop"
    about = "the replication slot of a standby is dropped on its primary"
    lasts = False

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Choose one of the slots in use. Raises HostError where there is none."""
        chosen: dict[str, JSON] = {}
        for target in targets:
            found = await rows(cluster, target, _SLOTS)
            if not found:
                raise HostError(f"{target} has no replication slot in use")
            slot, sender = rng.choice(found)
            chosen[target] = {"slot": slot, "sender": sender}
        return Injection(self.name, targets, params, {"slots": chosen})

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """End the sender and drop the slot before another takes it. Raises ClusterError when none of it works."""
        for target in injection.targets:
            slot, _sender = _slot(injection, target)

            async def still(target: str = target, slot: str = slot) -> str:
                await rows(cluster, target, _DROP, (slot,))
                try:
                    await rows(cluster, target, "SELECT pg_drop_replication_slot(%s)", (slot,))
                except SqlError as error:
                    return "" if error.sqlstate == UNDEFINED_OBJECT else error.message
                return ""

            await wait_for(still, DROP_TIMEOUT_S, f"slot {slot} on {target} to be dropped")

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """Look who uses it."""
        words = []
        for target in injection.targets:
            slot, sender = _slot(injection, target)
            now = dict(await rows(cluster, target, _SLOTS))
            if now.get(slot) == sender:
                return Effect(False, f"{target}: slot {slot} serves the same sender as before")
            words.append(f"{target}: slot {slot} {'serves another sender' if slot in now else 'is gone'}")
        return Effect(True, "; ".join(words))

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """Make the slot again where nobody has and the server is still a primary."""
        for target in injection.targets:
            slot, _sender = _slot(injection, target)
            try:
                (standby,) = await one_row(cluster, target, "SELECT pg_is_in_recovery()")
                there = await rows(
                    cluster, target, "SELECT 1 FROM pg_replication_slots WHERE slot_name = %s", (slot,)
                )
                if not standby and not there:
                    await rows(cluster, target, "SELECT pg_create_physical_replication_slot(%s)", (slot,))
            except SqlError as error:
                if error.sqlstate != DUPLICATE_OBJECT and cluster.lab.hosts[target].is_on:
                    raise


def _slot(injection: Injection, target: str) -> tuple[str, int]:
    found = of_target(injection, "slots", target)
    assert isinstance(found, Mapping)
    return str(found["slot"]), int(str(found["sender"]))


FAULTS: Final[tuple[Fault, ...]] = (SlotDrop(),)
