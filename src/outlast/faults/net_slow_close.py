"""Slow close: data flows as ever, but the end of a connection is heard late."""

from __future__ import annotations

from collections.abc import Mapping

from outlast.faults.base import Effect, Fault, Mechanism, Param
from outlast.faults.link_fault import LINK_PARAMS, LinkFault
from outlast.history.history import JSON
from outlast.net.base import Conditions, Link, Packets, Rule
from outlast.systems.base import Cluster

_BIT_SHARE = 0.9


class NetSlowClose(LinkFault):
    """TCP segments with FIN are held back; data that was sent with the close in one segment waits with it."""

    name = "net_slow_close"
    about = "the end of a connection is heard late on the targets' links"
    mechanism = Mechanism.QUEUE
    params = (Param("delay_ms", 1000, "ms", "from the close to its being heard"), *LINK_PARAMS)
    needs = Conditions(delay_ms=1)
    packets = Packets.CLOSE

    def conditions(self, params: Mapping[str, JSON]) -> Conditions:
        """Return the delay, of segments with FIN."""
        return Conditions(delay_ms=float(str(params["delay_ms"])))

    async def judge(self, cluster: Cluster, link: Link, rule: Rule, was_ms: float | None) -> Effect:
        """A connection is answered at once, and its close, which goes along the link, is heard late."""
        asked_ms = rule.conditions.delay_ms
        found = await cluster.lab.net.converse(
            link.destination, link.source, patience_ms=2 * asked_ms + 500, port=link.port
        )
        if found.connect_ms is None or found.close_ms is None:
            return Effect(None, f"{link}: no connection was made and closed")
        return Effect(
            found.close_ms >= _BIT_SHARE * asked_ms, f"{link}: close heard after {found.close_ms:.0f} ms"
        )


FAULTS: tuple[Fault, ...] = (NetSlowClose(),)
