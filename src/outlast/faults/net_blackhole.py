"""Accepts but never answers: connections are made, and then no data comes from the target.

Handshakes and plain acknowledgements pass, so to its peers the target looks alive to the kernel and dead to
the program: only a time-out of the program's own finds it.
"""

from __future__ import annotations

from collections.abc import Mapping

from outlast.faults.base import Effect, Fault, Mechanism, Param
from outlast.faults.link_fault import LINK_PARAMS, LinkFault
from outlast.history.history import JSON
from outlast.net.base import CUT, Conditions, Link, Packets, Rule
from outlast.systems.base import Cluster

_PATIENCE_MS = 300.0


class NetBlackhole(LinkFault):
    """TCP segments with data vanish; with ports, a server of the target can be meant alone."""

    name = "net_blackhole"
    about = "the targets accept connections but no data comes from them"
    mechanism = Mechanism.FILTER
    params = tuple(
        Param("direction", "out", "", "out: the targets never answer; in: they never hear; both")
        if param.name == "direction"
        else param
        for param in LINK_PARAMS
    )
    packets = Packets.DATA

    def conditions(self, params: Mapping[str, JSON]) -> Conditions:
        """Return a cut, of segments with data."""
        return CUT

    async def judge(self, cluster: Cluster, link: Link, rule: Rule, was_ms: float | None) -> Effect:
        """A connection against the link is made, and the answer, which would come along it, does not."""
        found = await cluster.lab.net.converse(
            link.destination, link.source, patience_ms=_PATIENCE_MS, port=link.port
        )
        if found.connect_ms is None:
            return Effect(None, f"{link}: no connection can be made")
        if found.answer_ms is not None:
            return Effect(False, f"{link}: answered in {found.answer_ms:.1f} ms")
        return Effect(
            True, f"{link}: accepted in {found.connect_ms:.1f} ms, no answer in {_PATIENCE_MS:.0f} ms"
        )


FAULTS: tuple[Fault, ...] = (NetBlackhole(),)
