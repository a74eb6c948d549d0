"""Bandwidth: the links of a host carry only so much; more waits for at most 0.2 s and is then dropped."""

from __future__ import annotations

from collections.abc import Mapping

from outlast.faults.base import Effect, Fault, Mechanism, Param
from outlast.faults.link_fault import LINK_PARAMS, LinkFault
from outlast.history.history import JSON
from outlast.net.base import Conditions, Link, Rule
from outlast.systems.base import Cluster

_SLOW_KBIT = 1000  # below it small datagrams, so that there are some to count
_PACKETS_TO_COUNT = 20
_DURATION_MS_MIN, _DURATION_MS_MAX = 1000.0, 4000.0
_OVER_SHARE = 1.2  # of what comes in bursts when the machine is busy


class NetRate(LinkFault):
    """Each link, in each direction asked for, has this bandwidth of its own."""

    name = "net_rate"
    about = "the links of the targets carry only so much"
    mechanism = Mechanism.BANDWIDTH
    params = (Param("rate_kbit", 1000, "kbit/s", "of each link, in each direction"), *LINK_PARAMS)
    needs = Conditions(rate_kbit=1000)

    def conditions(self, params: Mapping[str, JSON]) -> Conditions:
        """Return the bandwidth."""
        return Conditions(rate_kbit=int(str(params["rate_kbit"])))

    async def judge(self, cluster: Cluster, link: Link, rule: Rule, was_ms: float | None) -> Effect:
        """What gets through when we send as fast as we can is no more than the bandwidth.

        It shares the link with what else is on it, so it may be less.
        """
        asked = rule.conditions.rate_kbit
        size = 200 if asked < _SLOW_KBIT else 1400
        needed_ms = 2 * _PACKETS_TO_COUNT * (size + 42) * 8 / asked
        found = await cluster.lab.net.probe_rate(
            link.source,
            link.destination,
            duration_ms=min(_DURATION_MS_MAX, max(_DURATION_MS_MIN, needed_ms)),
            size_bytes=size,
            port=link.port,
        )
        if not found.rate_kbit:
            return Effect(None, f"{link}: nothing arrives")
        return Effect(
            found.rate_kbit <= _OVER_SHARE * asked, f"{link}: {found.rate_kbit:,.0f} kbit/s of {asked:,}"
        )


FAULTS: tuple[Fault, ...] = (NetRate(),)
