"""A run told in order: one sentence a moment, from what was recorded, for a reader who was not there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from outlast.checkers.outage import Gap, longest_gap
from outlast.checkers.split_brain import TwoWriters
from outlast.checkers.writes import acks_of, final_values, seconds_in
from outlast.history.history import FaultRecord, History
from outlast.report.html.losses import LossGroup
from outlast.report.html.nodes import Stretch, lock_stretches, node_names, stretches

MOMENTS_MAX: Final = 80
SAID_MAX: Final = 12
_ORDER: Final = {"fault": 0, "loss": 2}
"""Of moments within a hundredth of a second: a fault before what comes of it."""


@dataclass(frozen=True, slots=True)
class NarrativeEvent:
    """kind: ``fault``, ``heal``, ``loss``, ``role``, ``outage``, ``plain``."""

    at_s: float
    kind: str
    text: str


def gaps(history: History) -> dict[str, Gap]:
    """Return the outage of each write workload that the final read covers and that had an ack."""
    names = [name for name in history.ops.f_names if final_values(history, name) is not None]
    return {name: longest_gap(history, name) for name in names if acks_of(history, name).any()}


def story(
    history: History, losses: tuple[LossGroup, ...], writers: tuple[TwoWriters, ...], end_s: float
) -> tuple[NarrativeEvent, ...]:
    """Return the run's moments in order of time; of very many roles' changes only the first are told."""
    told = [
        *_load(history),
        *(moment for fault in history.faults for moment in _fault(history, fault)),
        *_losses(losses),
        *_writers(history, writers),
        *_outages(history),
        *_lock(history, end_s),
        *_final(history, losses, end_s),
        *_said(history),
    ]
    roles = sorted((*_roles(history, end_s), *_followers(history, end_s)), key=lambda moment: moment.at_s)
    told += roles[: max(0, MOMENTS_MAX - len(told))]
    return tuple(
        sorted(told, key=lambda moment: (round(moment.at_s, 2), _ORDER.get(moment.kind, 1), moment.at_s))
    )


def fault_words(fault: FaultRecord) -> str:
    """Return ``net_partition on pg-node-1 (kind isolate)``."""
    params = ", ".join(
        f"{name} {value}" for name, value in fault.params.items() if value not in (None, "", "none")
    )
    return f"{fault.fault} on {', '.join(fault.targets)}" + (f" ({params})" if params else "")


def _load(history: History) -> Iterator[NarrativeEvent]:
    used = set(history.ops.f.tolist())
    names = ", ".join(name for code, name in enumerate(history.ops.f_names) if code in used)
    clients = len(set(history.ops.process.tolist()))
    yield NarrativeEvent(0.0, "plain", f"The load begins: {names}, by {clients} clients.")
    if history.end_ns:
        ended = "The load ends." if history.complete else "The load ends early: the run was stopped."
        yield NarrativeEvent(seconds_in(history, history.end_ns), "plain", ended)


def _fault(history: History, fault: FaultRecord) -> Iterator[NarrativeEvent]:
    bit = {
        True: "takes hold",
        False: "is injected and does not bite",
        None: "is injected; whether it bit was not seen",
    }
    at_s = seconds_in(history, fault.at_ns)
    by = f", by {' and '.join(fault.means)}" if fault.means else ""
    yield NarrativeEvent(at_s, "fault", f"Fault: {fault_words(fault)} {bit[fault.effective]}{by}.")
    if fault.healed_ns is not None:
        yield NarrativeEvent(seconds_in(history, fault.healed_ns), "heal", f"{fault.fault} is healed.")


def _losses(losses: tuple[LossGroup, ...]) -> Iterator[NarrativeEvent]:
    for group in losses:
        count = f"{len(group.ops):,} writes" if len(group.ops) != 1 else "1 write"
        who = group.node or "an unknown node"
        lasting = f" until {group.last_s:.3f} s" if len(group.ops) > 1 else ""
        warned = " with a warning that they were local only" if group.local else ""
        yield NarrativeEvent(
            group.first_s,
            "loss",
            f"{who} acknowledges{warned}, on timeline {group.timeline}{lasting}, {count} that are not there "
            f"in the end: {group.why}.",
        )


def _writers(history: History, writers: tuple[TwoWriters, ...]) -> Iterator[NarrativeEvent]:
    for one in writers:
        yield NarrativeEvent(
            seconds_in(history, one.start_ns),
            "loss",
            f"Two writers: {one.node or 'a node'} goes on acknowledging on timeline {one.timeline}, which others "
            f"have left, until {seconds_in(history, one.end_ns):.3f} s ({len(one.ops):,} writes).",
        )


def _outages(history: History) -> Iterator[NarrativeEvent]:
    for workload, gap in gaps(history).items():
        if not history.faults:
            continue
        which = f" of {workload}" if len(history.ops.f_names) > 1 else ""
        yield NarrativeEvent(
            seconds_in(history, gap.start_ns),
            "outage",
            f"The last acknowledgement{which} that lasts. The outage begins.",
        )
        words = (
            "The first acknowledgement that lasts"
            if gap.ended
            else "The load ends, still without one that lasts"
        )
        yield NarrativeEvent(
            seconds_in(history, gap.end_ns),
            "outage",
            f"{words}{which}: {gap.seconds:.3f} s of outage.",
        )


def _said(history: History) -> Iterator[NarrativeEvent]:
    """Tell, in their own words, what was said from the first fault on."""
    begun_ns = min((fault.started_ns for fault in history.faults), default=history.end_ns)
    since = [said for said in history.said if said.at_ns >= begun_ns]
    for said in sorted(since, key=lambda said: -said.times)[:SAID_MAX]:
        yield NarrativeEvent(seconds_in(history, said.at_ns), "plain", f"{said.words}.")


def _lock(history: History, end_s: float) -> Iterator[NarrativeEvent]:
    before = ""
    for start_s, _, holder in lock_stretches(history, end_s):
        if start_s > 0 and holder == "?":
            yield NarrativeEvent(start_s, "role", "The consensus store does not answer.")
        elif start_s > 0 and holder and holder != before:
            yield NarrativeEvent(start_s, "role", f"The leader's lock goes to {holder}.")
        elif start_s > 0 and not holder:
            yield NarrativeEvent(
                start_s, "role", f"The leader's lock of {before} has run out or was given up."
            )
        before = holder if holder != "?" else before


def _roles(history: History, end_s: float) -> Iterator[NarrativeEvent]:
    for node in node_names(history):
        before: Stretch | None = None
        led = 0
        for one in stretches(history, node, end_s):
            if before is not None and one.start_s > 0:
                words = _change(node, before, one, led)
                if words:
                    yield NarrativeEvent(one.start_s, "role", words)
            before = one
            led = one.timeline if one.role == "primary" else led


def _change(node: str, before: Stretch, now: Stretch, led: int) -> str:
    if now.role == "silent":
        return f"{node}'s server stops answering." if before.role in ("primary", "standby") else ""
    if now.role == "primary" and (before.role != "primary" or before.timeline != now.timeline):
        again = " again" if led == now.timeline else ""
        return f"{node} is primary{again}, on timeline {now.timeline}."
    if now.role == "standby" and before.role != "standby":
        return f"{node} is a standby, on timeline {now.timeline}."
    return ""


def _followers(history: History, end_s: float) -> Iterator[NarrativeEvent]:
    """Tell once for each timeline which standbys came over to it. One that lost its connection shows the timeline of
    its last restart point until it has a new one: a step back that is none."""
    came: dict[int, list[tuple[float, str]]] = {}
    for node in node_names(history):
        newest, was = 0, ""
        for one in stretches(history, node, end_s):
            if one.role == was == "standby" and one.timeline > newest:
                came.setdefault(one.timeline, []).append((one.start_s, node))
            newest, was = max(newest, one.timeline), one.role
    for timeline, those in came.items():
        those.sort()
        names = ", ".join(node for _, node in those)
        verb, last = ("follows", "") if len(those) == 1 else ("follow", f", the last at {those[-1][0]:.3f} s")
        yield NarrativeEvent(those[0][0], "role", f"{names} {verb} to timeline {timeline}{last}.")


def _final(history: History, losses: tuple[LossGroup, ...], end_s: float) -> Iterator[NarrativeEvent]:
    final = history.final
    if final is None:
        return
    rows = ", ".join(f"{len(values):,} rows of {name}" for name, values in final.values.items())
    lost = sum(len(group.ops) for group in losses if not group.local)
    missing = f"; {lost:,} acknowledged writes are not among them" if lost else ""
    where = f"{final.primary}, timeline {final.timeline}" + (f": {rows}" if rows else "")
    yield NarrativeEvent(end_s, "plain", f"Everything is read back from {where}{missing}.")
