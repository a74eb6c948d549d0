"""Latency: every packet arrives later, in its order."""

from __future__ import annotations

from collections.abc import Mapping

from outlast.faults.base import Effect, Fault, Mechanism, Param
from outlast.faults.link_fault import LINK_PARAMS, LinkFault
from outlast.faults.net_fault import was
from outlast.history.history import JSON
from outlast.net.base import Conditions, Link, Rule
from outlast.systems.base import Cluster

_COUNT = 20
_BIT_SHARE = 0.9


class NetDelay(LinkFault):
    """A constant delay in each direction asked for: a round trip takes twice as much longer."""

    name = "net_delay"
    about = "packets of the targets' links arrive later"
    mechanism = Mechanism.QUEUE
    params = (Param("delay_ms", 100, "ms", "added to each packet, in each direction"), *LINK_PARAMS)
    needs = Conditions(delay_ms=1)

    def conditions(self, params: Mapping[str, JSON]) -> Conditions:
        """Return the delay."""
        return Conditions(delay_ms=float(str(params["delay_ms"])))

    async def judge(self, cluster: Cluster, link: Link, rule: Rule, was_ms: float | None) -> Effect:
        """The median delay of datagrams is what was asked for, or more."""
        asked_ms = rule.conditions.delay_ms
        found = await cluster.lab.net.probe(
            link.source, link.destination, count=_COUNT, patience_ms=2 * asked_ms + 500, port=link.port
        )
        if not found.reaches:
            return Effect(None, f"{link}: nothing arrives")
        return Effect(
            found.delay_ms >= _BIT_SHARE * asked_ms, f"{link}: {found.delay_ms:.1f} ms{was(was_ms)}"
        )


FAULTS: tuple[Fault, ...] = (NetDelay(),)
