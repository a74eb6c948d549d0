"""Duplication: some packets arrive twice."""

from __future__ import annotations

from collections.abc import Mapping

from outlast.faults.base import Effect, Fault, Mechanism, Param
from outlast.faults.link_fault import LINK_PARAMS, LinkFault, agrees, enough_to_show
from outlast.history.history import JSON
from outlast.net.base import Conditions, Link, Rule
from outlast.systems.base import Cluster


class NetDuplicate(LinkFault):
    """The copy comes right before the original."""

    name = "net_duplicate"
    about = "some packets of the targets' links arrive twice"
    mechanism = Mechanism.FILTER
    params = (Param("duplicate_percent", 10, "%", "of packets, in each direction"), *LINK_PARAMS)
    needs = Conditions(duplicate_percent=1)

    def conditions(self, params: Mapping[str, JSON]) -> Conditions:
        """Return the share that is doubled."""
        return Conditions(duplicate_percent=float(str(params["duplicate_percent"])))

    async def judge(self, cluster: Cluster, link: Link, rule: Rule, was_ms: float | None) -> Effect:
        """As many datagrams come twice as chance would have it."""
        asked = rule.conditions.duplicate_percent
        found = await cluster.lab.net.probe(
            link.source, link.destination, count=enough_to_show(asked), interval_ms=0.2, port=link.port
        )
        if not found.reaches:
            return Effect(None, f"{link}: nothing arrives")
        return Effect(
            agrees(found.duplicates, found.received, asked),
            f"{link}: {found.duplicates} of {found.received} datagrams came twice",
        )


FAULTS: tuple[Fault, ...] = (NetDuplicate(),)
