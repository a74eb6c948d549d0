"""Jitter: a delay that varies, with packets overtaking each other or not."""

from __future__ import annotations

from collections.abc import Mapping

from outlast.faults.base import Effect, Fault, Mechanism, Param
from outlast.faults.link_fault import LINK_PARAMS, LinkFault
from outlast.faults.net_fault import was
from outlast.history.history import JSON
from outlast.net.base import Conditions, Link, Rule
from outlast.systems.base import Cluster

_COUNT = 100
_SPAN_JITTERS = 24  # how long to look: the delay turns twelve times
_INTERVAL_MS_MIN, _INTERVAL_MS_MAX = 1.0, 30.0
_SPREAD_SHARE = 0.5


class NetJitter(LinkFault):
    """Uniform over delay ± jitter. In order the delay wanders; with reorder each packet has its own."""

    name = "net_jitter"
    about = "the delay of packets on the targets' links varies"
    mechanism = Mechanism.QUEUE
    params = (
        Param("delay_ms", 50, "ms", "the middle"),
        Param("jitter_ms", 25, "ms", "uniformly more or less; a delay never falls below 0"),
        Param("reorder", False, "", "whether packets may overtake each other"),
        *LINK_PARAMS,
    )
    needs = Conditions(jitter_ms=1)

    def conditions(self, params: Mapping[str, JSON]) -> Conditions:
        """Return the delay and its jitter."""
        return Conditions(
            delay_ms=float(str(params["delay_ms"])),
            jitter_ms=float(str(params["jitter_ms"])),
            reorder=params["reorder"] in (True, "true", "on", "yes"),
        )

    async def judge(self, cluster: Cluster, link: Link, rule: Rule, was_ms: float | None) -> Effect:
        """The delays spread over half of the jitter or more, and datagrams overtake others if they may."""
        asked = rule.conditions
        interval_ms = min(_INTERVAL_MS_MAX, max(_INTERVAL_MS_MIN, asked.jitter_ms * _SPAN_JITTERS / _COUNT))
        found = await cluster.lab.net.probe(
            link.source,
            link.destination,
            count=_COUNT,
            interval_ms=interval_ms,
            patience_ms=2 * (asked.delay_ms + asked.jitter_ms) + 500,
            port=link.port,
        )
        if not found.reaches:
            return Effect(None, f"{link}: nothing arrives")
        least, most = min(found.delays_ms), max(found.delays_ms)
        varies = most - least >= _SPREAD_SHARE * asked.jitter_ms
        words = f"{link}: {least:.1f} to {most:.1f} ms{was(was_ms)}"
        if not asked.reorder:
            return Effect(varies, words)
        # What is sent further apart than the delays can differ has no way to overtake.
        overtakes = found.overtaken > 0 or (None if interval_ms > asked.jitter_ms else False)
        return Effect(overtakes if varies else False, f"{words}, {found.overtaken} of {found.sent} overtaken")


FAULTS: tuple[Fault, ...] = (NetJitter(),)
