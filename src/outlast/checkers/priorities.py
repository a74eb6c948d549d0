"""Priorities: of the standbys that could take over, the one that was given the highest priority did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from outlast.checkers.base import Evidence, Finding, Verdict
from outlast.history.history import History
from outlast.units import NS_PER_S

FRESH_NS = 3 * NS_PER_S
"""A standby counts as able to take over when it was seen as one so shortly before the fault or later."""


@dataclass(frozen=True, slots=True)
class Priorities:
    """Compares each node that began a new timeline with the standbys that answered at that time.

    priorities: by node, higher first; nodes that it does not name do not count. Not for a drill that names the node
    that is to lead, nor for standbys so far behind that a manager may pass them over.
    """

    priorities: Mapping[str, int]

    name: ClassVar[str] = "by_priority"

    def check(self, history: History, deadline: int) -> Finding:
        """Return the number of promotions against the priorities as value. O(observations).

        UNKNOWN when nobody was promoted, or only where there was no choice.
        """
        wrong: list[Evidence] = []
        chosen: list[str] = []
        for node, rivals in _promotions(history):
            ranks = {name: self.priorities[name] for name in rivals if name in self.priorities}
            if node not in self.priorities or not ranks:
                continue
            chosen.append(node)
            best = max(ranks, key=lambda name: ranks[name])
            if ranks[best] > self.priorities[node]:
                summary = f"{node} ({self.priorities[node]}) was promoted before {best} ({ranks[best]})"
                wrong.append(Evidence(summary, (), {"node": node, "before": best}))
        if not chosen:
            return Finding(self.name, Verdict.UNKNOWN, "nobody was promoted from among several standbys")
        if wrong:
            return Finding(
                self.name, Verdict.FAIL, wrong[0].message, value=len(wrong), limit=0, evidence=tuple(wrong)
            )
        summary = f"promoted by priority: {', '.join(f'{name} ({self.priorities[name]})' for name in chosen)}"
        return Finding(self.name, Verdict.PASS, summary, value=0, limit=0)


def _promotions(history: History) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each node that was first seen as primary of a newer timeline, and the standbys beside it then."""
    newest = 0
    standbys: dict[str, int] = {}
    for seen in sorted(history.observations, key=lambda seen: seen.at_ns):
        if seen.source != "node":
            continue
        if seen.role == "standby":
            standbys[seen.node] = seen.at_ns
        elif seen.role == "primary" and seen.timeline > newest:
            if newest:
                since = _last_fault(history, seen.at_ns) - FRESH_NS
                rivals = tuple(name for name, at in standbys.items() if at >= since and name != seen.node)
                yield seen.node, rivals
            newest = seen.timeline
            standbys.pop(seen.node, None)


def _last_fault(history: History, before_ns: int) -> int:
    return max((fault.started_ns for fault in history.faults if fault.started_ns <= before_ns), default=0)
