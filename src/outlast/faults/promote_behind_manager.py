"""A standby promoted by hand, behind the manager's back: two primaries until the manager notices."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final

from outlast.errors import HostError
from outlast.faults.base import Effect, Fault, Injection, of_target
from outlast.faults.host_state import bring_back
from outlast.faults.sql_fault import SqlFault, one_row, rows
from outlast.history.history import JSON
from outlast.systems.base import Cluster


class PromoteBehindManager(SqlFault):
    """pg_promote(). It bit when a history file tells of a timeline that was not there, whoever undid it since."""

    name = "promote_behind_manager"
    about = "a standby is promoted by hand: its manager is not asked"
    on = "one-standby"
    lasts = False

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Note which timelines each target knows. Raises HostError for one that is a primary."""
        known: dict[str, JSON] = {}
        for target in targets:
            (standby,) = await one_row(cluster, target, "SELECT pg_is_in_recovery()")
            if not standby:
                raise HostError(f"{target} is a primary already")
            known[target] = list(await _timelines(cluster, target))
        return Injection(self.name, targets, params, {"timelines": known})

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Promote, and do not wait."""
        for target in injection.targets:
            await rows(cluster, target, "SELECT pg_promote(false)")

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """Look for a new timeline."""
        words = []
        for target in injection.targets:
            known = of_target(injection, "timelines", target)
            known_names = known if isinstance(known, list) else []
            new = [name for name in await _timelines(cluster, target) if name not in known_names]
            if not new:
                return Effect(False, f"{target} was not promoted")
            words.append(f"{target} began timeline {int(new[-1][:8], 16)}")
        return Effect(True, "; ".join(words))

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """It is the manager's to bring the node back into line; see to it that it runs."""
        await bring_back(cluster, injection.targets)


async def _timelines(cluster: Cluster, node: str) -> list[str]:
    query = "SELECT name FROM pg_ls_waldir() WHERE name LIKE '%.history' ORDER BY name"
    return [name for (name,) in await rows(cluster, node, query)]


FAULTS: Final[tuple[Fault, ...]] = (PromoteBehindManager(),)
