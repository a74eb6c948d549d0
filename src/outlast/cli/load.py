"""``outlast load``: a recorded workload on a lab that is up, or on a cluster of the person's own."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from typing import Final

import click

from outlast.cli.options import Duration, given, json_option, lab_option, route_option, seed_option
from outlast.cli.output import EXIT_CODES, OUT, Reporter, asynchronous, print_json
from outlast.clusters import lifecycle
from outlast.config import DrillSpec, WorkloadSpec
from outlast.errors import ConfigError
from outlast.hosts.state import new_run_folder
from outlast.report.json import run_document
from outlast.report.terminal import print_run
from outlast.run.conclude import Outcome
from outlast.run.drill import run_drill
from outlast.run.external import DEFAULT_PROTOCOL, PROTOCOLS, Endpoint, load_external
from outlast.units import parse_rate_per_s
from outlast.workloads import WORKLOADS


@click.command()
@click.argument("workload")
@click.argument("argv", nargs=-1, type=click.UNPROCESSED, metavar="[-- PROGRAM…]")
@lab_option
@click.option("--duration", type=Duration(), default="30s", show_default=True)
@click.option("--clients", type=click.IntRange(1, 1000), default=8, show_default=True)
@route_option
@click.option("--rate", metavar="R", help="Operations per second (500/s); as fast as answers come without.")
@seed_option()
@click.option(
    "--bootstrap", metavar="HOST:PORT,…", help="No lab: a cluster of your own, for workloads log and kv."
)
@click.option(
    "--protocol",
    type=click.Choice(PROTOCOLS),
    help="Of --bootstrap: kafka for log and etcd for kv by default.",
)
@click.option(
    "--topic", metavar="T", help="With --bootstrap: an empty topic or prefix of keys; else a new one."
)
@json_option
@asynchronous
async def load(
    workload: str,
    argv: Sequence[str],
    lab: str | None,
    duration: float,
    clients: int,
    route: str | None,
    rate: str | None,
    seed: int,
    bootstrap: str | None,
    protocol: str | None,
    topic: str | None,
    as_json: bool,
) -> int:
    """Drive a recorded workload through a lab that is up, inject nothing, and judge the history.

    The workload command runs a PROGRAM of yours, with the way to the primary in its environment.
    With --bootstrap through any cluster that speaks the Kafka protocol (log) or etcd's (kv and log).
    """
    if argv and workload != "command":
        raise click.UsageError(f"{workload} takes no program; outlast load command -- PROGRAM… runs one")
    if bootstrap is None and (protocol or topic):
        raise ConfigError("means nothing without --bootstrap", key="--protocol" if protocol else "--topic")
    if bootstrap is not None and lab is not None:
        raise ConfigError("is a cluster of your own, and --lab one of Outlast's", key="--bootstrap")
    if bootstrap is not None and route is not None:
        raise ConfigError("is a way through a lab, and --bootstrap has none", key="--route")
    if workload not in WORKLOADS:
        raise ConfigError(
            f"there is no workload {workload}", hint=f"there is: {', '.join(sorted(WORKLOADS))}"
        )
    if argv and shutil.which(argv[0]) is None:
        raise ConfigError(f"there is no program {argv[0][:200]}", hint="a path, or a name found on PATH")
    try:
        rate_per_s = None if rate is None else parse_rate_per_s(rate)
    except ValueError as error:
        raise ConfigError(str(error), key="--rate") from error
    spec = WorkloadSpec(
        name=workload,
        clients=clients,  # type: ignore[arg-type]
        rate_per_s=rate_per_s,
        params={"argv": list(argv)} if argv else {},
    )
    words = ["outlast", "load", workload, "--duration", f"{duration:g}s", "--clients", str(clients)]
    words += given(
        ("--lab", lab),
        ("--rate", rate),
        ("--route", route),
        ("--bootstrap", bootstrap),
        ("--protocol", protocol),
    )
    words += ["--seed", str(seed), *(["--", *argv] if argv else [])]
    folder_name = f"load-{workload}"
    with Reporter(folder_name) as progress:
        if bootstrap is not None:
            kind = protocol or DEFAULT_PROTOCOL.get(workload)
            if kind is None:
                raise ConfigError(
                    f"{workload} needs a lab: it speaks PostgreSQL's protocol",
                    key="--bootstrap",
                    hint=f"from outside: {', '.join(DEFAULT_PROTOCOL)}",
                )
            outcome: Outcome = await load_external(
                Endpoint(bootstrap, kind, topic or ""),
                spec,
                duration_s=duration,
                seed=seed,
                new_folder=lambda: new_run_folder(folder_name),
                replay=shlex.join(words),
                say=progress,
            )
        else:
            drill = DrillSpec(
                name=folder_name,
                title=f"Load: {workload}, and no fault",
                workload={workload: spec},
                duration_s=duration,
                route=route,  # type: ignore[arg-type]
            )
            outcome = await run_drill(
                lifecycle.attach(lab),
                drill,
                seed=seed,
                folder=new_run_folder(folder_name),
                replay=shlex.join(words),
                say=progress,
            )
    document = run_document(outcome.history, outcome.document, outcome.folder)
    if as_json:
        print_json(document)
    else:
        print_run(OUT, document)
    return EXIT_CODES[outcome.verdict]


COMMANDS: Final = (load,)
