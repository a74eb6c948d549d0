"""Commands that run experiments: drill."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click

from outlast.checkers.base import worst
from outlast.cli import live_view
from outlast.cli.options import (
    RunOptions,
    as_it_is,
    collect,
    given,
    json_option,
    junit_option,
    keep_option,
    lab_option,
    profile_option,
    route_option,
    seed_option,
    set_option,
    set_words,
    webhook_option,
)
from outlast.cli.output import EXIT_CODES, OUT, Reporter, asynchronous, print_json, write_file
from outlast.clusters import lifecycle
from outlast.config import ClusterSpec, load_cluster, load_drill, preset_names, split_overrides
from outlast.errors import ConfigError
from outlast.history.history import JSON
from outlast.monitoring.services import with_monitoring
from outlast.report.junit import junit
from outlast.report.terminal import print_run
from outlast.routes.registry import with_route
from outlast.run.conclude import RunResult
from outlast.run.drill import run_drill
from outlast.run.prepare import PlannedDrill, plan_drill, prepare_drill
from outlast.run.request import RunRequest

ALERTS: Final = "alerts"


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME|FILE…")
@collect(
    RunOptions,
    click.option(
        "--system",
        metavar="S",
        help="The preset to run on, or a cluster file; the drill's own or patroni by default.",
    ),
    profile_option,
    route_option,
    seed_option(),
    junit_option,
    keep_option,
    lab_option,
    webhook_option,
    set_option,
    json_option,
)
@asynchronous
async def drill(names: Sequence[str], options: RunOptions) -> int:
    """Run drills, each on a fresh lab of its own or, with --lab, on one that is up; print their verdicts."""
    overrides = options.overrides(route=options.route)
    for_cluster, _ = split_overrides(overrides)
    as_it_is(options.lab, options.system is not None, for_cluster)
    if ALERTS in names:
        if len(names) > 1:
            raise ConfigError(f"{ALERTS} is a drill of its own kind", hint="run it alone")
        return await _alerts(options, for_cluster)
    planned = [_plan(name, options, overrides) for name in names]
    reports = []
    for name, (ready, spec) in zip(names, planned, strict=True):
        replay = ["outlast", "drill", name, *given(("--lab", options.lab), ("--system", options.system))]
        replay += [*set_words(overrides), "--seed", str(options.seed)]
        with Reporter(f"drill {ready.drill.name}") as progress:
            result = await _run(ready, spec, options.request(replay, progress, overrides), progress)
        reports.append(result.report())
        if not options.as_json:
            print_run(OUT, reports[-1])
    if options.junit_file is not None:
        write_file(options.junit_file, junit(reports))
    verdict = worst(report.verdict for report in reports)
    if options.as_json:
        documents: list[JSON] = [report.to_document() for report in reports]
        print_json(documents[0] if len(documents) == 1 else {"verdict": verdict, "drills": documents})
    return EXIT_CODES[verdict]


def _plan(name: str, options: RunOptions, overrides: Sequence[str]) -> tuple[PlannedDrill, ClusterSpec]:
    """Return a drill with its plan, and the cluster it is to run on. Raises ConfigError, UnavailableError."""
    for_cluster, for_drill = split_overrides(overrides)
    found = load_drill(name, for_drill)
    if options.lab is not None:
        spec = lifecycle.attach(options.lab).spec
    else:
        source = options.system or found.cluster.preset or "patroni"
        spec = with_route(load_cluster(source, for_cluster, needs=found.cluster), found.route)
    return plan_drill(found, spec), spec


async def _alerts(options: RunOptions, overrides: Sequence[str]) -> int:
    from outlast.cli.alerts import drill_alerts, print_alerts

    if options.junit_file is not None:
        raise ConfigError(f"--junit does not go with {ALERTS}", hint="its findings are in --json")
    system = options.system
    # Free ports: it may run beside a cluster that has the preset's.
    wanted = ["ports={}", *overrides] if system is None or system in preset_names() else overrides
    spec = with_monitoring(load_cluster(system or "patroni-3dcs", wanted))
    with Reporter("drill alerts") as progress:
        report = await drill_alerts(spec, options.request((), progress, overrides))
    if options.as_json:
        print_json(report.to_document())
    else:
        print_alerts(report)
    return EXIT_CODES[report.verdict]


async def _run(
    planned: PlannedDrill, spec: ClusterSpec, request: RunRequest, progress: Reporter
) -> RunResult:
    async with request.cluster(spec, planned.drill.name) as cluster:
        prepared = prepare_drill(planned, cluster)
        async with live_view.shown_below(cluster, progress):
            return await run_drill(cluster, prepared, request)


COMMANDS: Final = (drill,)
