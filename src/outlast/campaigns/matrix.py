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
from outlast.history.history import JSON
from outlast.history.matrices import save_matrix
from outlast.report.json import Document, run_document
from outlast.run.drill import run_drill
from outlast.run.prepare import PlannedDrill, plan_drill, prepare_drill
from outlast.run.request import RunRequest
from outlast.suites.suite import SKIPPED


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
    plan: MatrixPlan, request: RunRequest, shown: Callable[[Document], None] = lambda _cell: None
) -> Document:
    """Run all cells and return the document. shown: is given each cell as soon as it is there.

    Raises ConfigError, before anything is made, for what can't be read."""
    began, started = now_ns(), timestamp()
    cells = [
        _cell(request, source, profile, name)
        for name in plan.drills
        for source in plan.systems
        for profile in plan.profiles
    ]
    folder = request.new_folder("matrix")
    done: list[Document] = []
    drills: list[Document] = []
    for number, cell in enumerate(cells, start=1):
        place = f"{number}/{len(cells)} {cell.drill.name} on {cell.source}, {cell.spec.profile}"
        document, runs = await _run_cell(cell, plan.runs, request, place)
        done.append(document)
        drills += runs
        shown(document)
        whole = _document(plan, request, cells, done, drills)
        whole |= {
            "matrix": folder.name,
            "store": str(folder),
            "started": started,
            "duration_s": round(seconds_between(began, now_ns()), 3),
        }
        save_matrix(folder, whole)
    return whole


def spread(values: Sequence[float]) -> Document | None:
    """Return the median, least, greatest and all of some seconds; None when there are none."""
    if not values:
        return None
    listed: list[JSON] = list(values)
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
        "values": listed,
    }


def summarise(runs: Sequence[Document]) -> Document:
    """Return the figures of a cell from its runs' documents."""
    outages = _numbers(runs, "outage_s")
    models = [model for one in runs if isinstance(model := one.get("model"), dict)]
    allowed = models[0].get("outage_s") if models else None
    within = max(outages) <= allowed if outages and isinstance(allowed, int | float) else None
    stores: list[JSON] = [one["store"] for one in runs]
    lost, acked = _numbers(runs, "acked_lost"), _numbers(runs, "acked")
    writers = _numbers(runs, "two_writers_s")
    return {
        "runs": len(runs),
        "outage_s": spread(outages),
        "rejoin_s": spread(_numbers(runs, "rejoin_s")),
        "acked": int(sum(acked)) if acked else None,
        "acked_lost": int(sum(lost)) if lost else None,
        "two_writers_s": max(writers) if writers else None,
        "model": models[0] if models else None,
        "within_model": within,
        "replay": runs[0]["replay"] if runs else None,
        "stores": stores,
    }


def _cell(request: RunRequest, source: str, profile: str, name: str) -> _Cell:
    drill = load_drill(name, request.drill_overrides)
    overrides = ["ports={}", *request.cluster_overrides, f"profile={profile}"]
    spec = load_cluster(source, overrides, needs=drill.cluster)
    return _Cell(source, name, plan_drill(drill, spec), spec)


async def _run_cell(
    cell: _Cell, count: int, request: RunRequest, place: str
) -> tuple[Document, list[Document]]:
    """Run a cell as often as asked; a reason to skip it shows before its first run has begun."""
    spec, drill = cell.spec, cell.drill
    about: Document = {
        "system": cell.source,
        "profile": spec.profile,
        "drill": drill.name,
        "title": drill.title,
        "sync": spec.sync,
    }
    runs: list[Document] = []
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
    verdicts = [Verdict(str(one["verdict"])) for one in runs] + ended
    verdict = str(worst(verdicts)) if verdicts else SKIPPED
    return {**about, "verdict": verdict, "reason": reason, **summarise(runs)}, runs


async def _once(cell: _Cell, request: RunRequest, place: str) -> Document:
    replay = ["outlast", "drill", cell.name, "--system", cell.source, "--profile", cell.spec.profile]
    replay += [word for text in request.overrides for word in ("--set", text)]
    own = replace(
        request,
        replay=shlex.join([*replay, "--seed", str(request.seed)]),
        say=lambda text: request.say(f"{place}: {text}"),
    )
    async with own.cluster(cell.spec, f"matrix-{cell.drill.name}"[:37]) as cluster:
        result = await run_drill(cluster, prepare_drill(cell.planned, cluster), own)
    return run_document(result.history, result.document, result.folder)


def _document(
    plan: MatrixPlan,
    request: RunRequest,
    cells: Sequence[_Cell],
    shown: Sequence[Document],
    drills: Sequence[Document],
) -> Document:
    ran = [Verdict(str(one["verdict"])) for one in shown if one["verdict"] != SKIPPED]
    lists: dict[str, list[JSON]] = {
        "systems": list(plan.systems),
        "profiles": list(plan.profiles),
        "names": [cell.drill.name for cell in cells[:: len(plan.systems) * len(plan.profiles)]],
        "cells": list(shown),
        "drills": list(drills),
    }
    return {
        "matrix": None,
        "verdict": str(worst(ran)) if ran else str(Verdict.INVALID),
        "complete": len(shown) == len(cells),
        "systems": lists["systems"],
        "profiles": lists["profiles"],
        "names": lists["names"],
        "runs": plan.runs,
        "seed": request.seed,
        "replay": request.replay,
        "store": None,
        "started": None,
        "duration_s": None,
        "cells": lists["cells"],
        "drills": lists["drills"],
    }


def _numbers(runs: Sequence[Document], key: str) -> list[float]:
    return [value for one in runs if isinstance(value := one.get(key), int | float)]
