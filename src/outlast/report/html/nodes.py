"""What each node showed over time: its role and timeline as spans, who held the leader's lock, standbys' lag."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

import numpy as np

from outlast.checkers.writes import seconds_in
from outlast.history.history import History, NodeObservation
from outlast.report.html.series import F64

KNOWN_S: Final = 1.2
"""How long what was seen of a position is good for."""

UNSEEN_S: Final = 3.0
"""A node of which nothing was seen for longer is shown as unseen from its last sample on."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A node's state from start_s to end_s. role: ``primary``, ``standby``, ``silent`` or ``unseen``."""

    start_s: float
    end_s: float
    role: str
    timeline: int
    durability: str = ""


def node_names(history: History) -> tuple[str, ...]:
    """Return the nodes that were observed or that answered ops, in the order of their names."""
    seen = {one.node for one in history.observations if one.source == "node"}
    return tuple(sorted(seen | set(history.ops.node_names)))


def stretches(history: History, node: str, end_s: float) -> tuple[Stretch, ...]:
    """Return a node's own story until end_s, by what it said of itself. O(observations)."""
    mine = [one for one in history.observations if one.source == "node" and one.node == node]
    found: list[Stretch] = []
    for one, following in zip_longest(mine, mine[1:]):
        at_s = seconds_in(history, one.at_ns)
        until_s = end_s if following is None else seconds_in(history, following.at_ns)
        role = one.role or "silent"
        seen_until_s = min(until_s, at_s + UNSEEN_S)
        _extend(found, Stretch(at_s, seen_until_s, role, one.timeline, one.durability))
        if seen_until_s < until_s:
            _extend(found, Stretch(seen_until_s, until_s, "unseen", 0))
    return tuple(found)


def lock_stretches(history: History, end_s: float) -> tuple[tuple[float, float, str], ...]:
    """Return (start_s, end_s, holder) of the leader's lock in the consensus store; holder "" while nobody had it."""
    return _held(history, "dcs", end_s)


def store_leaders(history: History, end_s: float) -> tuple[tuple[float, float, str], ...]:
    """Return (start_s, end_s, member) of the consensus store's own leadership."""
    return _held(history, "consensus", end_s)


def _held(history: History, source: str, end_s: float) -> tuple[tuple[float, float, str], ...]:
    mine = [one for one in history.observations if one.source == source]
    found: list[tuple[float, float, str]] = []
    for one, following in zip_longest(mine, mine[1:]):
        at_s = seconds_in(history, one.at_ns)
        until_s = end_s if following is None else seconds_in(history, following.at_ns)
        holder = one.node if one.role else ("?" if one.state == "unreachable" else "")
        if found and found[-1][2] == holder:
            found[-1] = (found[-1][0], until_s, holder)
        elif until_s > at_s:
            found.append((at_s, until_s, holder))
    return tuple(found)


def _extend(found: list[Stretch], stretch: Stretch) -> None:
    """Append a stretch, or lengthen the last one when nothing changed."""
    last = found[-1] if found else None
    same = last is not None and (last.role, last.timeline, last.durability) == (
        stretch.role,
        stretch.timeline,
        stretch.durability,
    )
    if last is not None and same:
        found[-1] = Stretch(last.start_s, stretch.end_s, last.role, last.timeline, last.durability)
    else:
        found.append(stretch)


def lags(history: History) -> dict[str, tuple[F64, F64]]:
    """Return (seconds, bytes behind) by standby.

    What the primary says of it, and while it says nothing (a standby that is cut off is not in its list), how far
    the standby's own position is behind the primary's, interpolated to the same moment. O(n log n).
    """
    observations = history.observations
    said = [one for one in observations if one.source == "replication" and one.lag_bytes is not None]
    leading = _leading(one for one in observations if one.source == "node" and one.role == "primary")
    heads = [(seconds_in(history, one.at_ns), one.lsn, one.timeline) for one in leading]
    found = {}
    standbys = {one.node for one in observations if one.role == "standby" and one.source == "node"}
    for name in sorted(standbys | {one.node for one in said}):
        points = [
            (seconds_in(history, one.at_ns), float(one.lag_bytes or 0)) for one in said if one.node == name
        ]
        known = np.array([at_s for at_s, _ in points])
        for one in observations:
            if one.source != "node" or one.node != name or one.role != "standby":
                continue
            at_s = seconds_in(history, one.at_ns)
            if len(known) and np.abs(known - at_s).min() < KNOWN_S:
                continue
            head = _head_at(heads, at_s)
            if head is not None:
                points.append((at_s, max(0.0, head - one.lsn)))
        if points:
            points.sort()
            found[name] = (np.array([x for x, _ in points]), np.array([y for _, y in points]))
    return found


def _head_at(heads: list[tuple[float, int, int]], at_s: float) -> float | None:
    """Return the primary's position at a moment, between two looks at the same timeline; None when not known."""
    after = bisect_right(heads, (at_s, 0, 0))
    if after == 0:
        return None
    left_s, left, timeline = heads[after - 1]
    if after < len(heads) and heads[after][2] == timeline and heads[after][0] - left_s <= UNSEEN_S:
        right_s, right, _ = heads[after]
        return left + (right - left) * (at_s - left_s) / (right_s - left_s)
    return float(left) if at_s - left_s < KNOWN_S else None


def _leading(primaries: Iterable[NodeObservation]) -> list[NodeObservation]:
    """Return the observations of whoever was primary on the newest timeline so far."""
    newest, found = 0, []
    for one in sorted(primaries, key=lambda each: each.at_ns):
        if one.timeline >= newest:
            newest = one.timeline
            found.append(one)
    return found
