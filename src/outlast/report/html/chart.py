"""The event chart: one time axis, and on it what clients saw, what nodes were, and what was done to them.

Everything is placed in percent of the frame, so that the page can zoom by widening one element. What must be told
without colour has a place of its own (acknowledged above the line, refused and unknown below it), a texture or words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from outlast.history.history import History
from outlast.report.html.axes import (
    Scale,
    TimeFrame,
    bytes_words,
    line,
    nice_ticks,
    seconds_words,
    step_area,
    step_line,
    time_ticks,
)
from outlast.report.html.lanes import (
    Bar,
    ChartData,
    Lane,
    fault_bars,
    fault_lane,
    lock_lanes,
    node_lanes,
    promotions,
)
from outlast.report.html.nodes import lags
from outlast.report.html.series import F64, Series, bucket_width_s, series

BUCKETS_MAX: Final = 480
FINE_TIMES: Final = 10
"""How much finer the curves become when one zooms in."""

FINE_SERIES_OPS: Final = 4.0
"""Ops a fine bucket must hold on average to be worth drawing."""

LAG_GAP_S: Final = 2.6


@dataclass(frozen=True, slots=True)
class Curve:
    """A path over the whole frame. fine: the same, finer, for when the page is zoomed; "" without one."""

    kind: str
    label: str
    path: str
    fine: str = ""


@dataclass(frozen=True, slots=True)
class Tick:
    """A value on an axis. place: percent from the left, or from the top."""

    place: float
    text: str


@dataclass(frozen=True, slots=True)
class ChartPanel:
    """Curves on one vertical axis. says: what it shows, for those who cannot see it."""

    name: str
    title: str
    unit: str
    curves: tuple[Curve, ...]
    ticks: tuple[Tick, ...]
    says: str
    zero: float | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """A whole chart. ident: unique on its page. window: what the page shows first, as (start_s, end_s)."""

    ident: str
    frame: TimeFrame
    ticks: tuple[Tick, ...]
    bands: tuple[Bar, ...]
    marks: tuple[Bar, ...]
    panels: tuple[ChartPanel, ...]
    lanes: tuple[Lane, ...]
    series: Series | None = None


def run_chart(data: ChartData) -> Chart:
    """Return the chart of the whole run."""
    frame = TimeFrame(0.0, data.end_s)
    return _chart(data, "run", frame, whole=True, curves=True)


def part_chart(data: ChartData, ident: str, start_s: float, end_s: float, *, curves: bool) -> Chart:
    """Return the chart of a part of the run: the nodes' lanes and, when curves are wanted, its operations."""
    margin_s = max(0.2, (end_s - start_s) * 0.12)
    frame = TimeFrame(max(0.0, start_s - margin_s), min(data.end_s, end_s + margin_s))
    return _chart(data, ident, frame, whole=False, curves=curves)


def _chart(data: ChartData, ident: str, frame: TimeFrame, *, whole: bool, curves: bool) -> Chart:
    width_s = bucket_width_s(frame.seconds, BUCKETS_MAX)
    coarse = series(data.times, frame.start_s, frame.end_s, width_s)
    fine = None
    fine_width_s = bucket_width_s(frame.seconds, BUCKETS_MAX * FINE_TIMES)
    if whole and len(data.times.end_s) / max(1.0, frame.seconds / fine_width_s) >= FINE_SERIES_OPS:
        fine = series(data.times, frame.start_s, frame.end_s, fine_width_s)
    panels = [throughput_panel(frame, coarse, fine)] if curves else []
    if whole:
        panels.append(latency_panel(frame, coarse, fine))
        lag = lag_panel(frame, data.history)
        panels += [lag] if lag is not None else []
    return Chart(
        ident=ident,
        frame=frame,
        ticks=tuple(
            Tick(frame.percent(at_s), seconds_words(at_s))
            for at_s in time_ticks(frame.start_s, frame.end_s, 8)
        ),
        bands=tuple(fault_bars(data, frame)),
        marks=tuple(promotions(data, frame)),
        panels=tuple(panels),
        lanes=(*fault_lane(data, frame), *node_lanes(data, frame), *lock_lanes(data, frame)),
        series=coarse,
    )


def throughput_panel(frame: TimeFrame, coarse: Series, fine: Series | None) -> ChartPanel:
    """Return operations per second: acknowledged upwards (those that are lost in the end on top), others downwards."""
    up = float((coarse.kept + coarse.lost).max(initial=0))
    down = float((coarse.refused + coarse.unknown).max(initial=0))
    top = max(up * 1.08, 1.0)
    scale = Scale(-max(down * 1.08, top * 0.04), top)

    def curves(of: Series) -> dict[str, str]:
        zero = np.zeros(len(of))

        def area(high: F64, low: F64) -> str:
            return step_area(frame, scale, of.start_s, of.width_s, high, low)

        return {
            "kept": area(of.kept, zero),
            "lost": area(of.kept + of.lost, of.kept),
            "refused": area(zero, -of.refused),
            "unknown": area(-of.refused, -of.refused - of.unknown),
        }

    labels = {
        "kept": "acknowledged",
        "lost": "acknowledged and lost",
        "refused": "refused",
        "unknown": "outcome unknown",
    }
    rough, sharp = curves(coarse), curves(fine) if fine is not None else {}
    ticks = nice_ticks(scale.low, scale.high, 4)
    lost = (
        f"; at most {coarse.lost.max():,.0f} acknowledgements per second were lost later"
        if coarse.lost.any()
        else ""
    )
    return ChartPanel(
        name="throughput",
        title="Operations",
        unit="per second",
        curves=tuple(
            Curve(kind, labels[kind], path, sharp.get(kind, "")) for kind, path in rough.items() if path
        ),
        ticks=tuple(Tick(round((1 - scale.share(value)) * 100, 2), f"{abs(value):,.0f}") for value in ticks),
        says=f"Operations per second: at most {up:,.0f} acknowledged and {down:,.0f} refused or unknown{lost}.",
        zero=round((1 - scale.share(0)) * 100, 2),
    )


def latency_panel(frame: TimeFrame, coarse: Series, fine: Series | None) -> ChartPanel:
    """Return the latency of acknowledged operations: median, 95th and 99th percentile and maximum."""
    known = np.concatenate([coarse.latency_ms["p50"], coarse.latency_ms["max"]])
    known = known[~np.isnan(known) & (known > 0)]
    low = 10 ** np.floor(np.log10(known.min())) if len(known) else 1.0
    high = 10 ** np.ceil(np.log10(known.max() * 1.01)) if len(known) else 10.0
    scale = Scale(float(low), float(max(high, low * 10)), log=True)

    def curves(of: Series) -> dict[str, str]:
        return {
            name: step_line(frame, scale, of.start_s, of.width_s, values)
            for name, values in of.latency_ms.items()
        }

    rough, sharp = curves(coarse), curves(fine) if fine is not None else {}
    decades = [10.0**power for power in range(round(np.log10(scale.low)), round(np.log10(scale.high)) + 1)]
    worst = f"{known.max():,.0f} ms" if len(known) else "none"
    labels = {"p50": "median", "p95": "95 %", "p99": "99 %", "max": "slowest"}
    return ChartPanel(
        name="latency",
        title="Latency",
        unit="of acknowledged ops",
        curves=tuple(
            Curve(kind, labels[kind], path, sharp.get(kind, "")) for kind, path in rough.items() if path
        ),
        ticks=tuple(
            Tick(round((1 - scale.share(value)) * 100, 2), _latency_words(value)) for value in decades
        ),
        says=f"Latency of acknowledged operations on a logarithmic axis; the slowest took {worst}.",
    )


def _latency_words(value_ms: float) -> str:
    return f"{value_ms / 1000:g} s" if value_ms >= 1000 else f"{value_ms:g} ms"


def lag_panel(frame: TimeFrame, history: History) -> ChartPanel | None:
    """Return how far each standby's replay was behind the primary, in bytes; None when nothing is known of it."""
    by_node = lags(history)
    if not by_node:
        return None
    worst = max(float(values.max()) for _, values in by_node.values())
    scale = Scale(0.0, max(worst * 1.08, 1000.0))
    curves = tuple(
        Curve(f"line-{place % 6}", name, _lag_line(frame, scale, at_s, values))
        for place, (name, (at_s, values)) in enumerate(by_node.items())
    )
    most = ", ".join(f"{name} {bytes_words(float(values.max()))}" for name, (_, values) in by_node.items())
    return ChartPanel(
        name="lag",
        title="Replay lag",
        unit="behind the primary",
        curves=curves,
        ticks=tuple(
            Tick(round((1 - scale.share(value)) * 100, 2), bytes_words(value))
            for value in nice_ticks(0, scale.high, 3)
        ),
        says=f"How far each standby's replay was behind the primary, at most: {most}.",
    )


def _lag_line(frame: TimeFrame, scale: Scale, at_s: F64, values: F64) -> str:
    inside = (at_s >= frame.start_s) & (at_s <= frame.end_s)
    return line(frame, scale, at_s[inside], values[inside], LAG_GAP_S)
