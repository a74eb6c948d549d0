"""Commands that run experiments: drill."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

import click

from outlast.checkers.base import worst
from outlast.cli import watching
from outlast.cli.options import (
    as_it_is,
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
from outlast.config import ClusterSpec, DrillSpec, load_cluster, load_drill, preset_names, split_overrides
from outlast.errors import ConfigError
from outlast.history.history import JSON
from outlast.hosts.state import new_run_folder
from outlast.monitoring.services import with_monitoring
from outlast.report.json import run_document
from outlast.report.junit import junit
from outlast.report.terminal import print_run
from outlast.routes.registry import with_route
from outlast.run.conclude import Outcome
from outlast.run.drill import check_words, run_drill
from outlast.systems.base import Cluster

ALERTS: Final = "alerts"


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME|FILE…")
@click.option(
    "--system",
    metavar="S",
    help="The preset to run on, or a cluster file; the drill's own or patroni by default.",
)
@profile_option
@route_option
@seed_option()
@junit_option
@keep_option
@lab_option
@webhook_option
@set_option
@json_option
@asynchronous
async def drill(
    names: Sequence[str],
    system: str | None,
    profile: str | None,
    route: str | None,
    seed: int,
    junit_file: str | None,
    keep: bool,
    lab: str | None,
    sets: Sequence[str],
    as_json: bool,
) -> int:
    """Run drills, each on a fresh lab of its own or, with --lab, on one that is up; print their verdicts."""
    overrides = [*sets, *([f"profile={profile}"] if profile else []), *([f"route={route}"] if route else [])]
    for_cluster, for_drill = split_overrides(overrides)
    as_it_is(lab, system is not None, for_cluster)
    if ALERTS in names:
        if len(names) > 1:
            raise ConfigError(f"{ALERTS} is a drill of its own kind", hint="run it alone")
        return await _alerts(system, for_cluster, seed, junit_file, keep, lab, as_json)
    planned = [(name, load_drill(name, for_drill)) for name in names]
    clusters = [
        with_route(
            load_cluster(system or one.cluster.preset or "patroni", for_cluster, needs=one.cluster), one.route
        )
        for _, one in planned
    ]
    for (_, one), spec in zip(planned, clusters, strict=True):
        check_words(one, lifecycle.attach(lab).spec if lab is not None else spec)
    documents = []
    verdicts = []
    for (name, one), spec in zip(planned, clusters, strict=True):
        words = ["outlast", "drill", name, *given(("--lab", lab), ("--system", system))]
        words += set_words(overrides)
        words += ["--seed", str(seed)]
        with Reporter(f"drill {one.name}") as progress:
            outcome = await _run(one, spec, lab, seed, shlex.join(words), keep, progress)
        verdicts.append(outcome.verdict)
        document = run_document(outcome.history, outcome.document, outcome.folder)
        documents.append(document)
        if not as_json:
            print_run(OUT, document)
    if junit_file is not None:
        write_file(junit_file, junit(documents))
    if as_json:
        whole: list[JSON] = list(documents)
        print_json(documents[0] if len(documents) == 1 else {"verdict": worst(verdicts), "drills": whole})
    return EXIT_CODES[worst(verdicts)]


async def _alerts(
    system: str | None,
    overrides: Sequence[str],
    seed: int,
    junit_file: str | None,
    keep: bool,
    lab: str | None,
    as_json: bool,
) -> int:
    from outlast.cli.alerts import drill_alerts, print_alerts

    if junit_file is not None:
        raise ConfigError(f"--junit does not go with {ALERTS}", hint="its findings are in --json")
    # Free ports: it may run beside a cluster that has the preset's.
    wanted = ["ports={}", *overrides] if system is None or system in preset_names() else overrides
    spec = with_monitoring(load_cluster(system or "patroni-3dcs", wanted))
    with Reporter("drill alerts") as progress:
        report = await drill_alerts(spec, lab, seed, keep, new_run_folder(ALERTS), progress)
    if as_json:
        print_json(report.to_document())
    else:
        print_alerts(report)
    return EXIT_CODES[report.verdict]


async def _run(
    drill: DrillSpec,
    spec: ClusterSpec,
    lab: str | None,
    seed: int,
    replay: str,
    keep: bool,
    progress: Reporter,
) -> Outcome:
    folder = new_run_folder(drill.name)

    async def on(cluster: Cluster) -> Outcome:
        async with watching.shown_below(cluster, progress):
            return await run_drill(cluster, drill, seed=seed, folder=folder, replay=replay, say=progress)

    if lab is not None:
        return await on(lifecycle.attach(lab))
    async with lifecycle.temporary(spec, lifecycle.free_name(drill.name), progress, keep=keep) as up:
        return await on(up.cluster)


COMMANDS: Final = (drill,)
