"""Pictures of evidence: a cycle of transactions, the intervals around an op that fits nowhere, a branch in the log."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from outlast.checkers.values import value_of
from outlast.history.history import JSON, History
from outlast.history.op import NEVER, Ops, Outcome
from outlast.report.html.axes import seconds_words
from outlast.report.html.losses import LossGroup
from outlast.units import NS_PER_S, format_lsn, parse_lsn

NODE_RADIUS: Final = 21
CYCLE_RADIUS: Final = 92
INTERVALS_MAX: Final = 14
VALUE_CHARS_MAX: Final = 60
OUTCOME_WORDS: Final = {
    int(Outcome.OK): "acknowledged",
    int(Outcome.FAIL): "refused",
    int(Outcome.INFO): "unknown",
    int(Outcome.LOCAL): "local only",
}


@dataclass(frozen=True, slots=True)
class Vertex:
    """A transaction in a cycle's picture, at x, y. did: what its client asked for."""

    x: float
    y: float
    name: str
    did: str


@dataclass(frozen=True, slots=True)
class Arrow:
    """A dependency: its path, where its label stands, its kind (ww, wr, rw, …) and the reason for it."""

    path: str
    x: float
    y: float
    kind: str
    why: str


@dataclass(frozen=True, slots=True)
class CyclePicture:
    """A cycle of transactions, each of which must come before the next. size: of its square."""

    name: str
    size: float
    vertices: tuple[Vertex, ...]
    arrows: tuple[Arrow, ...]


def cycle_picture(details: Mapping[str, JSON]) -> CyclePicture | None:
    """Return the picture of a transaction checker's cycle; None when the evidence holds none."""
    steps, did = details.get("steps"), details.get("transactions")
    if not isinstance(steps, list) or not isinstance(did, dict) or len(did) < 2:
        return None
    names = list(did)
    middle = CYCLE_RADIUS + NODE_RADIUS + 34
    places = {}
    for place, name in enumerate(names):
        angle = 2 * math.pi * place / len(names) - math.pi / 2 - (math.pi / 2 if len(names) == 2 else 0)
        places[name] = (middle + CYCLE_RADIUS * math.cos(angle), middle + CYCLE_RADIUS * math.sin(angle))
    arrows = []
    for step in steps:
        if isinstance(step, dict) and str(step.get("from")) in places and str(step.get("to")) in places:
            start, end = places[str(step["from"])], places[str(step["to"])]
            arrows.append(_arrow(start, end, middle, str(step.get("type", "")), str(step.get("why", ""))))
    vertices = tuple(
        Vertex(round(x, 1), round(y, 1), name, str(did[name])) for name, (x, y) in places.items()
    )
    return CyclePicture(str(details.get("anomaly", "cycle")), middle * 2, vertices, tuple(arrows))


def _arrow(start: tuple[float, float], end: tuple[float, float], middle: float, kind: str, why: str) -> Arrow:
    """Return an arrow that bends away from the middle, to its left side when it runs through it."""
    mx, my = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = math.hypot(dx, dy) or 1.0
    nx, ny = dy / length, -dx / length
    if (mx - middle) * nx + (my - middle) * ny < -1e-6:
        nx, ny = -nx, -ny
    bend = length * 0.28
    cx, cy = mx + nx * bend, my + ny * bend
    sx, sy = _towards(start, (cx, cy), NODE_RADIUS)
    ex, ey = _towards(end, (cx, cy), NODE_RADIUS + 7)
    label = (mx + nx * (bend / 2 + 13), my + ny * (bend / 2 + 13))
    path = f"M{sx:.1f} {sy:.1f}Q{cx:.1f} {cy:.1f} {ex:.1f} {ey:.1f}"
    return Arrow(path, round(label[0], 1), round(label[1], 1), kind, why)


def _towards(a: tuple[float, float], b: tuple[float, float], distance: float) -> tuple[float, float]:
    length = math.hypot(b[0] - a[0], b[1] - a[1]) or 1.0
    return a[0] + (b[0] - a[0]) / length * distance, a[1] + (b[1] - a[1]) / length * distance


@dataclass(frozen=True, slots=True)
class Interval:
    """An op from invocation to completion. left, width: percent. kind: ``culprit``, ``open`` or ``before``."""

    op: int
    left: float
    width: float
    kind: str
    text: str
    title: str


@dataclass(frozen=True, slots=True)
class IntervalPicture:
    """Ops around one that cannot be placed, a row a client. key: the object, "" without one."""

    rows: tuple[tuple[str, tuple[Interval, ...]], ...]
    first: str
    last: str
    states: str
    key: str


def interval_picture(history: History, details: Mapping[str, JSON]) -> IntervalPicture | None:
    """Return the picture of a linearizability checker's evidence; None when it is of another kind."""
    culprit = details.get("op")
    if "linearizable_prefix_ops" not in details or not isinstance(culprit, int):
        return None
    ops = history.ops
    concurrent = details.get("concurrent_ops")
    at_once = [one for one in concurrent if isinstance(one, int)] if isinstance(concurrent, list) else []
    same = ops.key == ops.key[culprit]
    before = np.flatnonzero(
        same & (ops.complete_pos < ops.complete_pos[culprit]) & ops.outcome_is(Outcome.OK)
    )
    before = before[np.argsort(ops.complete_pos[before], kind="stable")]
    room = max(3, INTERVALS_MAX - len(at_once) - 1)
    earlier = [one for one in before[-room:].tolist() if one not in at_once and one != culprit]
    chosen = [*earlier, *at_once, culprit]
    start_ns = min(int(ops.invoke_ns[one]) for one in chosen)
    ends = [int(ops.complete_ns[one]) for one in chosen if ops.complete_ns[one] != NEVER]
    end_ns = max([*ends, start_ns + 1])
    span_ns = end_ns - start_ns
    kinds = {**dict.fromkeys(earlier, "before"), **dict.fromkeys(at_once, "open"), culprit: "culprit"}
    rows: dict[int, list[Interval]] = {}
    for one in sorted(chosen, key=lambda each: int(ops.invoke_ns[each])):
        until_ns = min(int(ops.complete_ns[one]), end_ns)
        left = (int(ops.invoke_ns[one]) - start_ns) / span_ns * 100
        width = max(0.8, (until_ns - int(ops.invoke_ns[one])) / span_ns * 100)
        words = op_words(ops, one)
        title = f"op {one}: {words}, {OUTCOME_WORDS[int(ops.outcome[one])]}"
        row = rows.setdefault(int(ops.process[one]), [])
        row.append(Interval(one, round(left, 3), round(width, 3), kinds[one], words, title))
    origin_ns = history.start_ns or start_ns
    states = details.get("states")
    return IntervalPicture(
        tuple((f"client {process}", tuple(row)) for process, row in sorted(rows.items())),
        seconds_words(round((start_ns - origin_ns) / NS_PER_S, 4)),
        seconds_words(round((end_ns - origin_ns) / NS_PER_S, 4)),
        " or ".join(str(state) for state in states) if isinstance(states, list) else "",
        "" if details.get("object") is None else str(details["object"]),
    )


def op_words(ops: Ops, index: int) -> str:
    """Return what an op did in a few words: ``write 3``."""
    value = value_of(ops, index)
    text = "" if value is None else str(value)
    text = text if len(text) <= VALUE_CHARS_MAX else text[: VALUE_CHARS_MAX - 1] + "…"
    return f"{ops.f_names[int(ops.f[index])]} {text}".strip()


@dataclass(frozen=True, slots=True)
class BranchPicture:
    """A point at which survivors left a timeline. branch_at: percent from the left; lost_to: where its lost end is."""

    old: int
    new: int
    branched_at: str
    lost_to: str
    count: int
    node: str
    behind_bytes: int


def branch_picture(history: History, group: LossGroup) -> BranchPicture | None:
    """Return where the survivors' log left that of a group of lost writes; None when that is not known."""
    final = history.final
    if final is None or not group.branched_at:
        return None
    later = [timeline for timeline, _ in sorted(final.timeline_starts) if timeline > group.timeline]
    if not later:
        return None
    behind = max(0, parse_lsn(group.last_lsn) - parse_lsn(group.branched_at))
    return BranchPicture(
        group.timeline,
        later[0],
        group.branched_at,
        group.last_lsn,
        len(group.ops),
        group.node or "an unknown node",
        behind,
    )


def op_row(history: History, index: int) -> dict[str, JSON]:
    """Return an op as a table shows it."""
    ops = history.ops
    origin_ns = history.start_ns or int(ops.invoke_ns[0])
    done = int(ops.complete_ns[index])
    return {
        "op": index,
        "client": int(ops.process[index]),
        "did": op_words(ops, index),
        "invoked_s": round((int(ops.invoke_ns[index]) - origin_ns) / NS_PER_S, 6),
        "took_ms": None if done == NEVER else round((done - int(ops.invoke_ns[index])) / 1e6, 3),
        "outcome": OUTCOME_WORDS[int(ops.outcome[index])],
        "node": ops.node_name(index) or "",
        "timeline": int(ops.timeline[index]) or None,
        "lsn": format_lsn(int(ops.lsn[index])) if ops.lsn[index] else "",
        "error": ops.error_text(index) or "",
    }
