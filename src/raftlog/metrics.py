"""Counters, gauges and histograms, as Prometheus reads them; every series carries node_id.

Written by hand: the hot path only adds to integers, and text is made when it is asked for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

BUCKETS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Histogram:
    """Durations in seconds, counted in BUCKETS_S and one bucket for what is longer."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(BUCKETS_S, seconds)] += 1
        self.sum += seconds


class MetricsPage:
    """A /metrics page under construction. labels: put on every series."""

    def __init__(self, **labels: object) -> None:
        self._labels = labels
        self._lines: list[str] = []

    def counter(self, name: str, text: str, value: float) -> None:
        """Add a counter; its name should end in _total."""
        self._series(name, text, "counter", [({}, value)])

    def gauge(self, name: str, text: str, value: float) -> None:
        """Add a gauge."""
        self._series(name, text, "gauge", [({}, value)])

    def gauges(self, name: str, text: str, values: Iterable[tuple[dict[str, object], float]]) -> None:
        """Add a gauge with labels of its own."""
        self._series(name, text, "gauge", values)

    def histogram(self, name: str, text: str, histogram: Histogram) -> None:
        """Add a histogram of seconds."""
        self._head(name, text, "histogram")
        total = 0
        for bound, count in zip((*BUCKETS_S, "+Inf"), histogram.counts, strict=True):
            total += count
            self._line(f"{name}_bucket", {"le": bound}, total)
        self._line(f"{name}_sum", {}, histogram.sum)
        self._line(f"{name}_count", {}, total)

    def _series(
        self, name: str, text: str, kind: str, values: Iterable[tuple[dict[str, object], float]]
    ) -> None:
        self._head(name, text, kind)
        for labels, value in values:
            self._line(name, labels, value)

    def _head(self, name: str, text: str, kind: str) -> None:
        self._lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]

    def _line(self, name: str, labels: dict[str, object], value: float) -> None:
        pairs = ",".join(f'{key}="{label}"' for key, label in {**self._labels, **labels}.items())
        self._lines.append(f"{name}{{{pairs}}} {value:.9g}")

    def __str__(self) -> str:
        return "\n".join(self._lines) + "\n"
