"""The lanes of a chart: what each node was, what was done to it, which of its acks are lost, and who led."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from outlast.checkers.split_brain import TwoWriters
from outlast.checkers.writes import seconds_in
from outlast.history.history import FaultRecord, History
from outlast.report.html.axes import TimeFrame
from outlast.report.html.losses import LossGroup
from outlast.report.html.narrative import fault_words
from outlast.report.html.nodes import lock_stretches, node_names, store_leaders, stretches
from outlast.report.html.series import OpTimes

BANDS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of time with words. left, width: percent. row: which line of its lane, 0 the main one."""

    left: float
    width: float
    kind: str
    text: str
    title: str
    row: int = 0


@dataclass(frozen=True, slots=True)
class Lane:
    """A named row of bars. rows: how many lines it has."""

    name: str
    bars: tuple[Bar, ...]
    rows: int = 1
    kind: str = "node"


@dataclass(frozen=True, slots=True)
class ChartData:
    """What every chart of a run is drawn from. end_s: until when anything is known. writers: by workload, those that
    acknowledged beside another."""

    history: History
    times: OpTimes
    losses: tuple[LossGroup, ...]
    end_s: float
    writers: tuple[TwoWriters, ...] = ()


def run_end_s(history: History, times: OpTimes) -> float:
    """Return the moment of the last thing that is known of a run, seconds since its load began."""
    ends = [seconds_in(history, history.end_ns)] if history.end_ns else []
    ends += [seconds_in(history, fault.healed_ns) for fault in history.faults if fault.healed_ns is not None]
    ends += [seconds_in(history, one.at_ns) for one in history.observations[-1:]]
    ends += [float(times.end_s.max())] if len(times.end_s) else []
    return max([0.1, *ends])


def node_lanes(data: ChartData, frame: TimeFrame) -> tuple[Lane, ...]:
    """Return a lane a node: its role and timeline, what was done to it, and its acknowledgements that are lost."""
    return tuple(_node_lane(data, frame, node) for node in node_names(data.history))


def _node_lane(data: ChartData, frame: TimeFrame, node: str) -> Lane:
    history = data.history
    bars = []
    for one in stretches(history, node, data.end_s):
        if not frame.shows(one.start_s, one.end_s):
            continue
        words = {"silent": "no answer", "unseen": ""}.get(one.role, f"{one.role} · timeline {one.timeline}")
        words += " · async" if one.durability in ("async", "local", "off") else ""
        waits = f", waits for {_WAITS[one.durability]}" if one.durability in _WAITS else ""
        title = f"{node}: {words or 'not seen'}{waits}, {one.start_s:.3f} to {one.end_s:.3f} s"
        bars.append(
            Bar(frame.percent(one.start_s), frame.width(one.start_s, one.end_s), one.role, words, title)
        )
    strips = [*_strips_of_faults(data, frame, node), *_strips_of_acks(data, frame, node)]
    placed = _packed(strips, first_row=1)
    return Lane(node, (*bars, *placed), rows=max((bar.row for bar in placed), default=0) + 1)


_WAITS: Final = {
    "off": "nothing before it acknowledges",
    "local": "its own disk only",
    "async": "its own disk only",
    "sync": "a standby before it acknowledges",
}


def _strips_of_faults(data: ChartData, frame: TimeFrame, node: str) -> list[Bar]:
    strips = []
    for number, fault in enumerate(data.history.faults, 1):
        start_s, end_s = _fault_times(data, fault)
        if node in fault.targets and frame.shows(start_s, end_s):
            strips.append(_fault_bar(frame, number, fault, start_s, end_s))
    return strips


def _strips_of_acks(data: ChartData, frame: TimeFrame, node: str) -> list[Bar]:
    strips = []
    for group in data.losses:
        if group.node == node and frame.shows(group.first_s, group.last_s):
            words = f"{len(group.ops):,} {'local-only writes' if group.local else 'acks'} lost"
            when = f"{group.first_s:.3f} to {group.last_s:.3f} s"
            title = f"{words}: acknowledged by {node} on timeline {group.timeline}, {when}"
            strips.append(_bar(frame, group.first_s, group.last_s, "loss", words, title))
    for one in data.writers:
        start_s, end_s = seconds_in(data.history, one.start_ns), seconds_in(data.history, one.end_ns)
        if one.node == node and frame.shows(start_s, end_s):
            words = f"second writer: {len(one.ops):,} acks on timeline {one.timeline}"
            title = f"{words}, {start_s:.3f} to {end_s:.3f} s"
            strips.append(_bar(frame, start_s, end_s, "writer", words, title))
    return strips


def _bar(frame: TimeFrame, start_s: float, end_s: float, kind: str, text: str, title: str) -> Bar:
    return Bar(frame.percent(start_s), max(0.15, frame.width(start_s, end_s)), kind, text, title)


def _fault_bar(frame: TimeFrame, number: int, fault: FaultRecord, start_s: float, end_s: float) -> Bar:
    bit = {True: "bit", False: "DID NOT BITE", None: "effect not seen"}[fault.effective]
    kind = "fault" if fault.effective is not False else "toothless"
    title = f"fault {number}: {fault_words(fault)}, {start_s:.3f} to {end_s:.3f} s, {bit}"
    return _bar(frame, start_s, end_s, kind, f"{number} {fault.fault}", title)


def _fault_times(data: ChartData, fault: FaultRecord) -> tuple[float, float]:
    end_s = data.end_s if fault.healed_ns is None else seconds_in(data.history, fault.healed_ns)
    return seconds_in(data.history, fault.at_ns), end_s


def fault_lane(data: ChartData, frame: TimeFrame) -> tuple[Lane, ...]:
    """Return the lane of all faults; none when there was no fault."""
    bars = []
    for number, fault in enumerate(data.history.faults, 1):
        start_s, end_s = _fault_times(data, fault)
        if frame.shows(start_s, end_s):
            one = _fault_bar(frame, number, fault, start_s, end_s)
            bars.append(replace(one, text=f"{number} {fault.fault} on {', '.join(fault.targets)}"))
    placed = _packed(bars, first_row=0)
    return (Lane("faults", tuple(placed), max(bar.row for bar in placed) + 1, "faults"),) if placed else ()


def _packed(bars: list[Bar], first_row: int) -> list[Bar]:
    """Return the bars in rows, so that none lies on another."""
    ends: list[float] = []
    placed = []
    for bar in sorted(bars, key=lambda one: one.left):
        row = next((row for row, end in enumerate(ends) if end <= bar.left), len(ends))
        ends[row : row + 1] = [bar.left + bar.width]
        placed.append(replace(bar, row=first_row + row))
    return placed


def fault_bars(data: ChartData, frame: TimeFrame) -> list[Bar]:
    """Return the times in which faults were in effect, to be shaded."""
    bands = []
    for number, fault in enumerate(data.history.faults[:BANDS_MAX], 1):
        start_s, end_s = _fault_times(data, fault)
        if frame.shows(start_s, end_s):
            bands.append(_fault_bar(frame, number, fault, start_s, end_s))
    return bands


def promotions(data: ChartData, frame: TimeFrame) -> list[Bar]:
    """Return the moments at which a node became primary."""
    marks = []
    for node in node_names(data.history):
        led = 0
        for one in stretches(data.history, node, data.end_s):
            new = one.role == "primary" and one.timeline != led
            if new and one.start_s > 0 and frame.shows(one.start_s, one.start_s):
                words = f"{node} promoted, timeline {one.timeline}"
                title = f"{words}, {one.start_s:.3f} s"
                marks.append(Bar(frame.percent(one.start_s), 0, "promotion", words, title))
            led = one.timeline if one.role == "primary" else led
    return marks


def lock_lanes(data: ChartData, frame: TimeFrame) -> tuple[Lane, ...]:
    """Return who held the leader's lock, and which member led the consensus store, as far as it was seen."""
    lanes = []
    named = {"leader lock": lock_stretches(data.history, data.end_s)}
    members = store_leaders(data.history, data.end_s)
    named["DCS leader"] = members
    for name, held in named.items():
        bars = []
        for start_s, end_s, holder in held:
            if frame.shows(start_s, end_s):
                words = {"": "free", "?": "no answer"}.get(holder, holder)
                kind = {"": "free", "?": "silent"}.get(holder, "lock")
                title = f"{name}: {words}, {start_s:.3f} to {end_s:.3f} s"
                bars.append(Bar(frame.percent(start_s), frame.width(start_s, end_s), kind, words, title))
        if bars:
            lanes.append(Lane(name, tuple(bars), kind="store"))
    return tuple(lanes)
