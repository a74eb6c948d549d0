"""Paths of curves, drawn once over the whole of a frame and stretched by the page to whatever it shows of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from outlast.report.html.series import F64

X_UNITS: Final = 100_000
Y_UNITS: Final = 1_000


@dataclass(frozen=True, slots=True)
class TimeFrame:
    """The time that a chart shows, in seconds since the load began."""

    start_s: float
    end_s: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end_s - self.start_s

    def percent(self, at_s: float) -> float:
        """Return a moment's place as percent of the frame's width, kept inside it."""
        return round(min(100.0, max(0.0, (at_s - self.start_s) / self.seconds * 100)), 4)

    def width(self, start_s: float, end_s: float) -> float:
        """Return the width of a time as percent of the frame's."""
        return round(self.percent(end_s) - self.percent(start_s), 4)

    def shows(self, start_s: float, end_s: float) -> bool:
        """Whether any of a time falls into the frame."""
        return end_s >= self.start_s and start_s <= self.end_s

    def units(self, at_s: F64) -> F64:
        """Return moments in a path's horizontal units."""
        return (at_s - self.start_s) / self.seconds * X_UNITS


@dataclass(frozen=True, slots=True)
class Scale:
    """A vertical axis from low (bottom) to high (top), linear or logarithmic."""

    low: float
    high: float
    log: bool = False

    def share(self, value: float) -> float:
        """Return a value's height, 0 at the bottom to 1 at the top."""
        if self.log:
            value = max(value, self.low)
            return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (value - self.low) / (self.high - self.low)

    def units(self, values: F64) -> F64:
        """Return values in a path's vertical units, which grow downwards."""
        if self.log:
            span = math.log(self.high) - math.log(self.low)
            shares = (np.log(np.maximum(values, self.low)) - math.log(self.low)) / span
        else:
            shares = (values - self.low) / (self.high - self.low)
        return np.clip(1 - shares, 0, 1) * Y_UNITS


def _edges(frame: TimeFrame, start_s: float, width_s: float, buckets: int) -> F64:
    at_s: F64 = start_s + width_s * np.arange(buckets + 1, dtype=np.float64)
    return frame.units(at_s).clip(0, X_UNITS)


def step_area(frame: TimeFrame, scale: Scale, start_s: float, width_s: float, top: F64, bottom: F64) -> str:
    """Return a closed path between two step curves over buckets; "" where both are the same throughout."""
    apart = np.flatnonzero(top != bottom)
    if not len(apart):
        return ""
    parts = []
    edges = _edges(frame, start_s, width_s, len(top))
    high, low = scale.units(top), scale.units(bottom)
    for run in np.split(apart, np.flatnonzero(np.diff(apart) > 1) + 1):
        first, last = int(run[0]), int(run[-1])
        there = [f"M{edges[first]:.0f} {low[first]:.0f}"]
        there += [f"V{high[i]:.0f}H{edges[i + 1]:.0f}" for i in range(first, last + 1)]
        there += [f"V{low[i]:.0f}H{edges[i]:.0f}" for i in range(last, first - 1, -1)]
        parts.append("".join(there) + "Z")
    return "".join(parts)


def step_line(frame: TimeFrame, scale: Scale, start_s: float, width_s: float, values: F64) -> str:
    """Return a path along a step curve over buckets, broken where there is no value."""
    parts, drawing = [], False
    edges = _edges(frame, start_s, width_s, len(values))
    heights = scale.units(np.nan_to_num(values, nan=scale.low))
    known = ~np.isnan(values)
    for i in np.flatnonzero(known).tolist():
        drawing = i > 0 and bool(known[i - 1])
        parts.append(f"{'V' if drawing else f'M{edges[i]:.0f} '}{heights[i]:.0f}H{edges[i + 1]:.0f}")
    return "".join(parts)


def line(frame: TimeFrame, scale: Scale, at_s: F64, values: F64, gap_s: float) -> str:
    """Return a path through points, broken where two are further apart than gap_s."""
    if not len(at_s):
        return ""
    x, y = frame.units(at_s), scale.units(values)
    parts = []
    for i in range(len(x)):
        broken = i == 0 or at_s[i] - at_s[i - 1] > gap_s
        parts.append(f"{'M' if broken else 'L'}{x[i]:.0f} {y[i]:.0f}")
    return "".join(parts)


def nice_ticks(low: float, high: float, most: int) -> list[float]:
    """Return at most most + 1 round values that cut [low, high]."""
    span = high - low
    if span <= 0:
        return [low]
    rough = span / max(1, most)
    magnitude = 10 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= rough * 0.9999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def time_ticks(low: float, high: float, most: int) -> list[float]:
    """Return round moments in seconds: of tens below two minutes, of sixties above."""
    span = high - low
    if span <= 120:
        return nice_ticks(low, high, most)
    step = next(
        (one for one in (30, 60, 120, 300, 600, 1800, 3600, 7200, 14400) if span / one <= most), 28800
    )
    return [float(i * step) for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def seconds_words(seconds: float) -> str:
    """Return a moment as an axis says it: ``12.5 s``, ``12:30``."""
    if abs(seconds) < 120:
        return f"{seconds:g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def bytes_words(value: float) -> str:
    """Return an amount of bytes as a person says it: ``1.5 MB``."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f} B"
