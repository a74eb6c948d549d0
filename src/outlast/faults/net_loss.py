"""Loss: some packets never arrive."""

from __future__ import annotations

from collections.abc import Mapping

from outlast.faults.base import Effect, Fault, Mechanism, Param
from outlast.faults.link_fault import LINK_PARAMS, LinkFault, agrees, enough_to_show
from outlast.history.history import JSON
from outlast.net.base import Conditions, Link, Rule
from outlast.systems.base import Cluster


class NetLoss(LinkFault):
    """Each packet is lost with the same chance, whatever became of others."""

    name = "net_loss"
    about = "some packets of the targets' links are lost"
    mechanism = Mechanism.FILTER
    params = (Param("loss_percent", 10, "%", "of packets, in each direction"), *LINK_PARAMS)
    needs = Conditions(loss_percent=1)

    def conditions(self, params: Mapping[str, JSON]) -> Conditions:
        """Return the loss."""
        return Conditions(loss_percent=float(str(params["loss_percent"])))

    async def judge(self, cluster: Cluster, link: Link, rule: Rule, was_ms: float | None) -> Effect:
        """As many datagrams are lost as chance would have it."""
        asked = rule.conditions.loss_percent
        found = await cluster.lab.net.probe(
            link.source, link.destination, count=enough_to_show(asked), interval_ms=0.2, port=link.port
        )
        lost = found.sent - found.received
        words = f"{link}: {found.loss_percent:.1f} % of {found.sent} datagrams lost"
        return Effect(agrees(lost, found.sent, asked), words)


FAULTS: tuple[Fault, ...] = (NetLoss(),)
