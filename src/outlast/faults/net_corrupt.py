"""Corruption: some packets arrive with a bit flipped.

Checksums are not repaired, so the receiver's kernel sees it and drops the packet, as it does on a real wire
for all but a few in 65,536.
"""

from __future__ import annotations

from collections.abc import Mapping

from outlast.faults.base import Effect, Fault, Mechanism, Param
from outlast.faults.link_fault import LINK_PARAMS, LinkFault, agrees, enough_to_show
from outlast.history.history import JSON
from outlast.net.base import Conditions, Link, Rule
from outlast.systems.base import Cluster


class NetCorrupt(LinkFault):
    """One bit behind the IP header."""

    name = "net_corrupt"
    about = "some packets of the targets' links arrive with a bit flipped"
    mechanism = Mechanism.QUEUE
    params = (Param("corrupt_percent", 5, "%", "of packets, in each direction"), *LINK_PARAMS)
    needs = Conditions(corrupt_percent=1)

    def conditions(self, params: Mapping[str, JSON]) -> Conditions:
        """Return the share that is damaged."""
        return Conditions(corrupt_percent=float(str(params["corrupt_percent"])))

    async def judge(self, cluster: Cluster, link: Link, rule: Rule, was_ms: float | None) -> Effect:
        """The receiver's kernel counts wrong checksums, and those datagrams do not arrive.

        A bit flipped in a datagram's port or length ends it in another way: it is missing, but not counted.
        """
        asked = rule.conditions.corrupt_percent
        found = await cluster.lab.net.probe(
            link.source,
            link.destination,
            count=enough_to_show(asked),
            interval_ms=0.2,
            port=link.port,
            size_bytes=1000,
        )
        words = f"{link}: {found.corrupted} of {found.sent} datagrams had a wrong checksum"
        if found.corrupted == 0:
            return Effect(None if agrees(0, found.sent, asked) is None else False, words)
        return Effect(agrees(found.sent - found.received, found.sent, asked), words)


FAULTS: tuple[Fault, ...] = (NetCorrupt(),)
