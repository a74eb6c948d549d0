"""Several runs beside each other: who was how long out and lost what, with which settings, and how far runs spread."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from outlast.checkers.base import Verdict, worst
from outlast.history.history import History
from outlast.history.store import RunDocument
from outlast.report.html.axes import TimeFrame, nice_ticks
from outlast.report.html.chart import ChartPanel, throughput_panel
from outlast.report.html.lanes import Bar, ChartData, fault_bars, run_end_s
from outlast.report.html.page import clock_words, render, settings_of
from outlast.report.html.series import OpTimes, bucket_width_s, op_times, series
from outlast.report.run_report import Number, RunReport, run_report

StoredRun = tuple[tuple[History, RunDocument], Path]
"""A run as it was loaded, and its folder."""

MINIS_MAX: Final = 40
MINI_BUCKETS: Final = 200
_SPREADS: Final = {
    "outage_s": ("Outage", "s"),
    "acked_lost": ("Acknowledged writes lost", ""),
    "two_writers_s": ("Two writers at once", "s"),
    "availability": ("Availability", ""),
    "rejoin_s": ("Whole again after healing", "s"),
}
_FIGURES: Final[Mapping[str, Callable[[RunReport], Number | None]]] = {
    "outage_s": lambda run: run.outage_s,
    "acked_lost": lambda run: run.acked_lost,
    "two_writers_s": lambda run: run.two_writers_s,
    "availability": lambda run: run.availability,
    "rejoin_s": lambda run: run.rejoin_s,
}
_NOT_COMPARED: Final = ("cluster.name", "drill.name", "drill.title", "drill.description")


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """What is kept of a run once its history is let go. panel, bands: its small picture on the common time axis."""

    run: RunReport
    document: RunDocument
    settings: Mapping[str, str]
    times: OpTimes
    data: ChartData


@dataclass(frozen=True, slots=True)
class SmallChart:
    """A run's throughput with its faults, small. number: its place in the table, from 1."""

    number: int
    run: RunReport
    panel: ChartPanel
    bands: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Dot:
    """A run's value in a spread. place: percent from the left."""

    number: int
    place: float
    text: str
    verdict: str


@dataclass(frozen=True, slots=True)
class SpreadRow:
    """The runs of one kind. low, middle, high: percent; words: lowest, median and highest."""

    kind: str
    dots: tuple[Dot, ...]
    low: float
    middle: float
    high: float
    words: str


@dataclass(frozen=True, slots=True)
class Spread:
    """One figure over all runs, by kind, on one scale. ticks: (percent, text)."""

    name: str
    title: str
    rows: tuple[SpreadRow, ...]
    ticks: tuple[tuple[float, str], ...]


def compare_page(runs: Iterable[StoredRun]) -> str:
    """Return the page that compares runs, in the order given."""
    return render("compare.html.j2", **comparison_values(runs))


def comparison_values(runs: Iterable[StoredRun]) -> dict[str, object]:
    """Return what the template of a comparison needs. O(ops)."""
    kept = [_keep(history, document, folder) for (history, document), folder in runs]
    end_s = max(one.data.end_s for one in kept)
    differing = _differing(kept)
    common, kinds = _kinds(kept)
    verdicts = [one.run.verdict.value for one in kept]
    return {
        "verdict": str(worst(Verdict(verdict) for verdict in verdicts)),
        "counts": {verdict: verdicts.count(verdict) for verdict in dict.fromkeys(verdicts)},
        "runs": [one.run for one in kept],
        "documents": [one.document for one in kept],
        "common": common,
        "kinds": kinds,
        "spreads": [
            spread
            for name in _SPREADS
            if (spread := _spread(name, [one.run for one in kept], kinds)) is not None
        ],
        "differing": differing,
        "settings": [one.settings for one in kept],
        "minis": [_small_chart(number, one, end_s) for number, one in enumerate(kept[:MINIS_MAX], 1)],
        "started": [clock_words(one.document.started) for one in kept],
        "mini_ticks": [(round(value / end_s * 100, 2), f"{value:g} s") for value in nice_ticks(0, end_s, 8)],
    }


def _keep(history: History, document: RunDocument, folder: Path) -> ComparedRun:
    times = op_times(history)
    data = ChartData(history, times, (), run_end_s(history, times))
    settings = {
        **dict(settings_of(document)),
        **{f"version.{name}": one for name, one in document.versions.items()},
    }
    return ComparedRun(run_report(history, document, Path(folder.name)), document, settings, times, data)


def _small_chart(number: int, kept: ComparedRun, end_s: float) -> SmallChart:
    frame = TimeFrame(0.0, end_s)
    coarse = series(kept.times, 0.0, end_s, bucket_width_s(end_s, MINI_BUCKETS))
    bands = tuple(fault_bars(kept.data, frame))
    return SmallChart(number, kept.run, throughput_panel(frame, coarse, None), bands)


def _differing(kept: list[ComparedRun]) -> list[str]:
    """Return the settings and versions in which the runs differ."""
    keys = dict.fromkeys(key for one in kept for key in one.settings)
    return [
        key for key in keys if key not in _NOT_COMPARED and len({one.settings.get(key) for one in kept}) > 1
    ]


def _parts(kept: ComparedRun) -> dict[str, str]:
    """Return what a run is, by part."""
    run = kept.run
    return {
        "drill": f"{run.drill} on {run.system}",
        "profile": f"profile {run.profile}",
        "sync": f"sync {run.sync}",
        **{f"version of {name}": f"{name} {version}" for name, version in kept.document.versions.items()},
    }


def _kinds(kept: list[ComparedRun]) -> tuple[str, list[str]]:
    """Return what all runs have in common, and what each is apart from that, in words."""
    parts = [_parts(one) for one in kept]
    names = list(dict.fromkeys(name for one in parts for name in one))
    common = [name for name in names if len({one.get(name) for one in parts}) == 1]
    apart = [", ".join(text for name, text in one.items() if name not in common) for one in parts]
    return ", ".join(parts[0][name] for name in common), [words or "every run" for words in apart]


def _spread(name: str, runs: list[RunReport], kinds: list[str]) -> Spread | None:
    title, unit = _SPREADS[name]
    known = {
        number: float(value)
        for number, run in enumerate(runs, 1)
        if (value := _FIGURES[name](run)) is not None
    }
    if not known:
        return None
    ticks = nice_ticks(0, 1.0 if name == "availability" else max(known.values()) or 1.0, 5)
    top = max(*known.values(), ticks[-1]) or 1.0

    def words(value: float) -> str:
        return f"{value:.1%}" if name == "availability" else f"{value:,.3f} s" if unit else f"{value:,.0f}"

    rows = []
    for kind in dict.fromkeys(kinds):
        mine = {number: value for number, value in known.items() if kinds[number - 1] == kind}
        if not mine:
            continue
        values = sorted(mine.values())
        middle = statistics.median(values)
        said = (
            words(middle)
            if len(values) == 1
            else f"{words(values[0])} – {words(middle)} – {words(values[-1])}"
        )
        dots = tuple(
            Dot(number, round(value / top * 100, 2), words(value), runs[number - 1].verdict)
            for number, value in mine.items()
        )
        rows.append(
            SpreadRow(kind, dots, values[0] / top * 100, middle / top * 100, values[-1] / top * 100, said)
        )
    return Spread(
        name, title, tuple(rows), tuple((round(one / top * 100, 2), _tick(name, one)) for one in ticks)
    )


def _tick(name: str, value: float) -> str:
    return f"{value:.0%}" if name == "availability" else f"{value:g}"
