"""The figures that people ask for first, each beside its limit, and the outage taken apart beside the model's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from outlast.checkers.outage import Gap
from outlast.checkers.writes import seconds_in
from outlast.history.history import JSON, History
from outlast.report.findings import CheckResult
from outlast.report.run_report import Number, RunReport, lateness_words

FIGURE_CHECKS: Final = {"outage_s": "outage", "acked_lost": "lost_writes", "two_writers_s": "split_brain"}
"""The three that come first, by the check that holds each."""

_TITLES: Final = {
    "outage_s": "Outage",
    "acked_lost": "Acknowledged writes lost",
    "two_writers_s": "Two writers at once",
    "availability": "Availability",
    "replicas_equal": "Nodes equal in the end",
    "rejoin_s": "Whole again after healing",
    "wanted": "Waiting for a core",
}
_ABOUT: Final = {
    "outage_s": "the longest time in which nothing was acknowledged that lasted",
    "acked_lost": "told to the client as safe, and gone",
    "two_writers_s": "acknowledging on a timeline that others had left",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """name: as the JSON has it. value: as it stands there. text: for reading. share: of its limit, 0 to 1, or None.

    verdict: of the check that holds it, "" without one.
    """

    name: str
    title: str
    value: JSON
    text: str
    unit: str
    about: str
    limit: str = ""
    share: float | None = None
    verdict: str = ""
    leading: bool = False


def figures(run: RunReport) -> list[Figure]:
    """Return a run's figures, the leading three first."""
    checks = {check.name: check for check in run.checks}
    # After a mistake the restore says what is lost.
    holders = {**({"lost_writes": checks["restorable"]} if "restorable" in checks else {}), **checks}
    measured: dict[str, Number | None] = {
        "outage_s": run.outage_s,
        "acked_lost": run.acked_lost,
        "two_writers_s": run.two_writers_s,
    }
    shown = [
        _limited(name, measured[name], holders.get(check), run.acked) for name, check in FIGURE_CHECKS.items()
    ]
    shown += _anomalies(run.checks)
    shown.sort(key=lambda figure: figure.value is None)  # what this workload does not measure comes last
    ops = run.ops
    counted = f"{_count(ops.ok)} acknowledged, {_count(ops.fail)} refused, {_count(ops.info)} unknown"
    availability = run.availability
    if availability is not None:
        shown.append(Figure("availability", _TITLES["availability"], availability, f"{availability:.2%}", "",
                            counted, verdict=_verdict(checks.get("availability"))))  # fmt: skip
    else:
        shown.append(Figure("acked", "Operations acknowledged", run.acked, _count(run.acked), "", counted))
    equal = run.replicas_equal
    if equal is not None:
        check = checks.get("replicas_equal")
        about = check.summary if check is not None else ""
        shown.append(Figure("replicas_equal", _TITLES["replicas_equal"], equal, "yes" if equal else "no", "",
                            about, verdict=_verdict(check)))  # fmt: skip
    rejoin = run.rejoin_s
    if rejoin is not None:
        shown.append(
            Figure(
                *("rejoin_s", _TITLES["rejoin_s"], rejoin, f"{rejoin:.3f}", "s"),
                "from the last healing to a whole cluster",
                verdict=_verdict(checks.get("rejoin")),
            )
        )
    if run.lateness is not None:
        wanted = run.lateness["wanted"]
        assert isinstance(wanted, int | float)
        shown.append(
            Figure("wanted", _TITLES["wanted"], wanted, f"{wanted:.1%}", "", lateness_words(run.lateness))
        )
    return shown


def _anomalies(checks: Sequence[CheckResult]) -> list[Figure]:
    """Return a figure for each checker that counts anomalies and is not one of the leading three."""
    shown = []
    for check in checks:
        if check.name in FIGURE_CHECKS.values() or not check.anomalies:
            continue
        counts = ", ".join(f"{anomaly} {_count(count)}" for anomaly, count in check.anomalies.items())
        total = sum(check.anomalies.values())
        about = f"{counts}; {check.allowed}" if check.allowed else counts
        shown.append(
            Figure(
                *(f"anomalies-{check.name}", f"Anomalies in {check.name}", total, _count(total), "", about),
                verdict=_verdict(check),
                leading=True,
            )
        )
    return shown


def _limited(name: str, value: Number | None, check: CheckResult | None, acked: int) -> Figure:
    """Return one of the leading figures beside its limit."""
    limit = None if check is None else check.limit
    seconds = name.endswith("_s")
    if value is None:
        return Figure(name, _TITLES[name], value, "not measured", "", _ABOUT[name], verdict=_verdict(check),
                      leading=True)  # fmt: skip
    text = f"{value:.3f}" if seconds else _count(value)
    about = _ABOUT[name]
    if name == "acked_lost":
        about = f"of {_count(acked)}, {about}"
    share, words = None, ""
    if isinstance(limit, int | float) and not isinstance(limit, bool):
        words = f"{limit:g} s" if seconds else f"{limit:,}"
        share = min(1.0, value / limit) if limit else (0.0 if value == 0 else 1.0)
    unit = "s" if seconds else ""
    return Figure(name, _TITLES[name], value, text, unit, about, words, share, _verdict(check), leading=True)


@dataclass(frozen=True, slots=True)
class OutagePart:
    """A part of an outage. width: percent of the widest bar."""

    name: str
    seconds: float
    width: float
    about: str


@dataclass(frozen=True, slots=True)
class OutageSplit:
    """An outage taken apart. The bars of measurement, model and limit share one scale, in percent."""

    workload: str
    start_s: float
    end_s: float
    seconds: float
    ended: bool
    segments: tuple[OutagePart, ...]
    width: float
    model_s: float | None
    model_width: float
    model_reason: str
    limit_s: float | None
    limit_place: float


_PARTS: Final = {
    "detect": "until the loss of the old primary was noticed",
    "promote": "until another node was primary",
    "route": "until a client's write was acknowledged there",
}


def outage_splits(history: History, gaps: Mapping[str, Gap], run: RunReport) -> list[OutageSplit]:
    """Return each workload's outage beside the manager's model."""
    model_s = run.model.outage_s
    check = run.check("outage")
    limit = None if check is None else check.limit
    limit_s = float(limit) if isinstance(limit, int | float) and not isinstance(limit, bool) else None
    found = []
    for workload, gap in gaps.items():
        widest = max(gap.seconds, model_s or 0, limit_s or 0, 1e-9) * 1.001
        parts = {"detect": gap.detect_s, "promote": gap.promote_s, "route": gap.route_s}
        known = {name: seconds for name, seconds in parts.items() if seconds is not None}
        found.append(
            OutageSplit(
                workload,
                seconds_in(history, gap.start_ns),
                seconds_in(history, gap.end_ns),
                gap.seconds,
                gap.ended,
                tuple(
                    OutagePart(name, seconds, seconds / widest * 100, _PARTS[name])
                    for name, seconds in known.items()
                ),
                gap.seconds / widest * 100,
                model_s,
                (model_s or 0) / widest * 100,
                run.model.reason or "",
                limit_s,
                (limit_s or 0) / widest * 100,
            )
        )
    return found


def _verdict(check: CheckResult | None) -> str:
    return "" if check is None else check.verdict.value


def _count(value: Number) -> str:
    return f"{value:,}"
