"""What all faults of the network share: rules in, proof by measuring, rules out.

A fault of the network says which rules it wants and what a measurement of a link must show; the rest is here.
``prepare`` measures some links before, ``effective`` while the rules are in force, ``restored`` once they are gone.
"""

from __future__ import annotations

import asyncio
import random
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeVar

from outlast.errors import HostError
from outlast.faults.base import Effect, Fault, Injection
from outlast.history.history import JSON
from outlast.net.base import CUT, Conditions, Link, Rule
from outlast.systems.base import Cluster

CLIENT_PREFIX: Final = "client-"
LINKS_MAX: Final = 24
BEFORE_MAX: Final = 4
_TOGETHER: Final = 8
_WORDS_MAX: Final = 4
_SLACK_MS: Final = 10.0  # a busy machine's

T = TypeVar("T")
R = TypeVar("R")


class NetFault(Fault):
    """A fault that is rules on links. needs: conditions whose mechanisms the kernel must have."""

    needs: Conditions = CUT

    @abstractmethod
    def rules(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> list[Rule]:
        """Return the rules that are this fault. Raises ConfigError when the cluster has no such links."""

    @abstractmethod
    async def judge(self, cluster: Cluster, link: Link, rule: Rule, was_ms: float | None) -> Effect:
        """Measure one link of a rule in force. was_ms: its delay before, None when it was not measured."""

    def available(self, cluster: Cluster) -> str | None:
        """Ask the lab, which has tried it on its kernel."""
        return cluster.lab.net.unavailable(self.needs)

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Decide on the rules, have the lab number them, and measure some of their links."""
        plan = await cluster.lab.net.plan(self.rules(cluster, targets, params, rng))
        links = spread([link for link, _rule in links_of(plan.rules)], BEFORE_MAX)
        before = await _delays(cluster, links)
        details: dict[str, JSON] = {
            "rules": [rule.to_document() for rule in plan.rules],
            "mechanisms": list(plan.mechanisms),
            "before_ms": {str(link): delay for link, delay in zip(links, before, strict=True)},
        }
        return Injection(self.name, targets, params, details)

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Put all rules into force at once."""
        await cluster.lab.net.apply(planned_rules(injection))

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """Measure the links that the rules in force are about, up to a limit.

        Every one of them must show it.
        """
        mine = await self.in_force(cluster, injection)
        if not mine:
            return Effect(False, "none of its rules is in force")
        before = injection.details.get("before_ms")

        async def look(at: tuple[Link, Rule]) -> Effect:
            link, rule = at
            was = before.get(str(link)) if isinstance(before, dict) else None
            try:
                return await self.judge(
                    cluster, link, rule, float(was) if isinstance(was, int | float) else None
                )
            except HostError as error:
                return Effect(None, f"{link}: {error.message}")

        return joined(await together(spread(links_of(mine), LINKS_MAX), look))

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """Remove the rules, and make sure that none is left."""
        await cluster.lab.net.heal([rule.id for rule in planned_rules(injection)])
        if left := await self.in_force(cluster, injection):
            raise HostError(f"{self.name}: rules {[rule.id for rule in left]} are in force after healing")

    async def restored(self, cluster: Cluster, injection: Injection) -> Effect:
        """Measure after healing the links that were measured before: they must be as they were."""
        before = injection.details.get("before_ms")
        links = [Link.parse(text) for text in before] if isinstance(before, dict) else []

        effects = []
        for link, now_ms in zip(links, await _delays(cluster, links), strict=True):
            earlier = before.get(str(link)) if isinstance(before, dict) else None
            if now_ms is None:
                effects.append(Effect(None if earlier is None else False, f"{link}: nothing arrives"))
            elif isinstance(earlier, int | float):
                words = f"{link}: {now_ms:.1f} ms again{was(float(earlier))}"
                effects.append(Effect(now_ms <= 2 * earlier + _SLACK_MS, words))
        return joined(effects)

    async def in_force(self, cluster: Cluster, injection: Injection) -> list[Rule]:
        """Return those of the injection's rules that the lab has."""
        ids = {rule.id for rule in planned_rules(injection)}
        return [rule for rule in await cluster.lab.net.active() if rule.id in ids]


def planned_rules(injection: Injection) -> list[Rule]:
    """Return the rules that an injection is, under the ids that they were given before they came into force."""
    documents = injection.details.get("rules")
    if not isinstance(documents, list):
        return []
    return [Rule.from_document(document) for document in documents if isinstance(document, dict)]


def links_of(rules: Sequence[Rule]) -> list[tuple[Link, Rule]]:
    """Return each link of each rule, to be probed at the first of the rule's ports."""
    return [
        (Link(source, destination, rule.ports[0] if rule.ports else 0), rule)
        for rule in rules
        for source in rule.sources
        for destination in rule.destinations
        if source != destination
    ]


def spread(things: Sequence[T], most: int) -> list[T]:
    """Return at most so many of the things, evenly from first to last."""
    if len(things) <= most:
        return list(things)
    return [things[place * len(things) // most] for place in range(most)]


async def together(things: Sequence[T], work: Callable[[T], Awaitable[R]]) -> list[R]:
    """Do work on all things, some at a time; results in their order."""
    limit = asyncio.Semaphore(_TOGETHER)

    async def limited(thing: T) -> R:
        async with limit:
            return await work(thing)

    return await asyncio.gather(*(limited(thing) for thing in things))


def joined(effects: Sequence[Effect]) -> Effect:
    """Return one effect for all: False as soon as one is, None when none is known, else True; in the words of a few."""
    missed = [effect for effect in effects if effect.bit is False]
    known = [effect for effect in effects if effect.bit]
    shown = missed or known or list(effects)
    words = "; ".join(effect.words for effect in shown[:_WORDS_MAX])
    if len(shown) > _WORDS_MAX:
        words += f"; and {len(shown) - _WORDS_MAX} links more alike"
    return Effect(False if missed else True if known else None, words)


def was(delay_ms: float | None) -> str:
    """Say what a delay was before."""
    return "" if delay_ms is None else f", was {delay_ms:.1f} ms"


async def _delays(cluster: Cluster, links: Sequence[Link]) -> list[float | None]:
    """Return the delay of each link in ms; None where nothing arrives, or a host is off."""
    probes = await cluster.lab.net.probe_all(links, count=3, interval_ms=0.5, patience_ms=50)
    return [round(probe.delay_ms, 3) if probe is not None and probe.reaches else None for probe in probes]
