"""A matrix: the same drills on each system and profile, side by side, each beside its manager's own model.

A cell is one drill on one system with one profile, run as often as asked, each time on a fresh lab with a seed of its
own. What cannot be run there is skipped and says why. The document is written after every cell, so what was
measured before an interruption can be read.

    matrix.json  {"format": "outlast-matrix", "version": 1, "document": {
      "matrix": name, "verdict", "complete": whether all cells are there,
      "systems": […], "profiles": […], "names": [the drills' names], "runs": asked for a cell,
      "seed", "replay", "store", "started", "duration_s",
      "cells": [{"system", "profile", "drill", "title", "sync", "verdict", "reason": why it was skipped, else null,
                 "runs": how many ended, "outage_s": SPREAD, "rejoin_s": SPREAD, "acked": sum, "acked_lost": sum,
                 "two_writers_s": the worst, "model": {"outage_s", "reason"}, "within_model": true, false or null,
                 "replay": the command that repeats its first run, "stores": [one folder a run]}],
      "drills": [each run as ``drill --json`` prints it]}}

SPREAD is {"median", "min", "max", "values": […]} in seconds, or null without a value. A run that ended by an error of
its cluster counts as a failure, one that ended by an error of the lab as unknown; "reason" has the error's words.
"""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from outlast.checkers.base import Verdict, worst
from outlast.clock import now_ns, seconds_between, timestamp
from outlast.config import ClusterSpec, DrillSpec, load_cluster, load_drill
from outlast.errors import ClusterError, HostError, UnavailableError
from outlast.extras import MissingExtraError
from outlast.history.matrices import save_matrix
from outlast.report.matrix_report import CellFigures, CellReport, FigureRange, MatrixReport
from outlast.report.run_report import RunReport
from outlast.report.suite_report import SKIPPED
from outlast.run.drill import run_drill
from outlast.run.prepare import PlannedDrill, plan_drill, prepare_drill
from outlast.run.request import RunRequest


@dataclass(frozen=True, slots=True)
class MatrixPlan:
    """What is set side by side. systems: presets or files; drills: names or files; runs: of each cell."""

    systems: Sequence[str]
    profiles: Sequence[str]
    drills: Sequence[str]
    runs: int


@dataclass(frozen=True, slots=True)
class _Cell:
    source: str
    name: str
    planned: PlannedDrill
    spec: ClusterSpec

    @property
    def drill(self) -> DrillSpec:
        """The cell's drill."""
        return self.planned.drill


async def run_matrix(
    plan: MatrixPlan, request: RunRequest, shown: Callable[[CellReport], None] = lambda _cell: None
) -> MatrixReport:
    """Run all cells and return the report. shown: is given each cell as soon as it is there.

    Raises ConfigError, before anything is made, for what can't be read."""
    began, started = now_ns(), timestamp()
    cells = [
        _cell(request, source, profile, name)
        for name in plan.drills
        for source in plan.systems
        for profile in plan.profiles
    ]
    folder = request.new_folder("matrix")
    done: list[CellReport] = []
    reports: list[RunReport] = []
    for number, cell in enumerate(cells, start=1):
        place = f"{number}/{len(cells)} {cell.drill.name} on {cell.source}, {cell.spec.profile}"
        report, runs = await _run_cell(cell, plan.runs, request, place)
        done.append(report)
        reports += runs
        shown(report)
        ran = [Verdict(one.verdict) for one in done if one.verdict != SKIPPED]
        whole = MatrixReport(
            matrix=folder.name,
            verdict=(worst(ran) if ran else Verdict.INVALID).value,
            complete=len(done) == len(cells),
            systems=tuple(plan.systems),
            profiles=tuple(plan.profiles),
            names=tuple(cell.drill.name for cell in cells[:: len(plan.systems) * len(plan.profiles)]),
            runs=plan.runs,
            seed=request.seed,
            replay=request.replay,
            store=str(folder),
            started=started,
            duration_s=round(seconds_between(began, now_ns()), 3),
            cells=tuple(done),
            drills=[run.to_document() for run in reports],
        )
        save_matrix(folder, whole.to_document())
    return whole


def figure_range(values: Sequence[float]) -> FigureRange | None:
    """Return the median, least, greatest and all of some seconds; None when there are none."""
    if not values:
        return None
    median = round(statistics.median(values), 3)
    return FigureRange(median, round(min(values), 3), round(max(values), 3), tuple(values))


def summarise(runs: Sequence[RunReport]) -> CellFigures:
    """Return the figures of a cell from its runs."""
    if not runs:
        return CellFigures()
    outages = [run.outage_s for run in runs if run.outage_s is not None]
    lost = [run.acked_lost for run in runs if run.acked_lost is not None]
    writers = [run.two_writers_s for run in runs if run.two_writers_s is not None]
    model = runs[0].model
    return CellFigures(
        runs=len(runs),
        outage_s=figure_range(outages),
        rejoin_s=figure_range([run.rejoin_s for run in runs if run.rejoin_s is not None]),
        acked=sum(run.acked for run in runs),
        acked_lost=int(sum(lost)) if lost else None,
        two_writers_s=max(writers) if writers else None,
        model=model,
        within_model=max(outages) <= model.outage_s if outages and model.outage_s is not None else None,
        replay=runs[0].replay,
        stores=tuple(run.store for run in runs),
    )


def _cell(request: RunRequest, source: str, profile: str, name: str) -> _Cell:
    drill = load_drill(name, request.drill_overrides)
    overrides = ["ports={}", *request.cluster_overrides, f"profile={profile}"]
    spec = load_cluster(source, overrides, needs=drill.cluster)
    return _Cell(source, name, plan_drill(drill, spec), spec)


async def _run_cell(
    cell: _Cell, count: int, request: RunRequest, place: str
) -> tuple[CellReport, list[RunReport]]:
    """Run a cell as often as asked; a reason to skip it shows before its first run has begun."""
    runs: list[RunReport] = []
    reason: str | None = None
    ended: list[Verdict] = []
    for index in range(count):
        request.say(f"{place}, run {index + 1} of {count}")
        try:
            runs.append(await _once(cell, replace(request, seed=request.seed + index), place))
        except UnavailableError as error:
            reason = error.reason if isinstance(error, MissingExtraError) else error.message
            break
        except ClusterError as error:
            reason = error.message
            ended.append(Verdict.FAIL)
        except HostError as error:  # ours, not the system's: the other cells may fare better
            reason = error.message
            ended.append(Verdict.UNKNOWN)
    verdicts = [run.verdict for run in runs] + ended
    verdict = worst(verdicts).value if verdicts else SKIPPED
    drill, spec = cell.drill, cell.spec
    return CellReport(
        *(cell.source, spec.profile, drill.name, drill.title, spec.sync, verdict, reason), summarise(runs)
    ), runs


async def _once(cell: _Cell, request: RunRequest, place: str) -> RunReport:
    replay = ["outlast", "drill", cell.name, "--system", cell.source, "--profile", cell.spec.profile]
    replay += [word for text in request.overrides for word in ("--set", text)]
    own = replace(
        request,
        replay=shlex.join([*replay, "--seed", str(request.seed)]),
        say=lambda text: request.say(f"{place}: {text}"),
    )
    async with own.cluster(cell.spec, f"matrix-{cell.drill.name}"[:37]) as cluster:
        result = await run_drill(cluster, prepare_drill(cell.planned, cluster), own)
    return result.report()
