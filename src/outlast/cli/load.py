"""``outlast load``: a recorded workload on a lab that is up, or on a cluster of the person's own."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import click

from outlast.cli.options import (
    Duration,
    RunOptions,
    collect,
    given,
    json_option,
    lab_option,
    route_option,
    seed_option,
)
from outlast.cli.output import EXIT_CODES, OUT, Reporter, asynchronous, print_json
from outlast.clusters import lifecycle
from outlast.config import DrillSpec, WorkloadSpec
from outlast.errors import ConfigError
from outlast.report.terminal import print_run
from outlast.run.conclude import RunResult
from outlast.run.drill import run_drill
from outlast.run.external_load import DEFAULT_PROTOCOL, PROTOCOLS, ExternalEndpoint, load_external
from outlast.run.prepare import plan_drill, prepare_drill
from outlast.run.request import RunRequest
from outlast.units import parse_rate_per_s
from outlast.workloads import WORKLOADS


@dataclass(frozen=True, slots=True)
class LoadOptions(RunOptions):
    """RunOptions, and those of a load alone. duration: seconds. rate: as it was written.

    bootstrap, protocol, topic: of a cluster that is not in a lab.
    """

    duration: float = 30.0
    clients: int = 8
    rate: str | None = None
    bootstrap: str | None = None
    protocol: str | None = None
    topic: str | None = None

    def replay(self, workload: str, argv: Sequence[str]) -> list[str]:
        """Return the words that repeat the load."""
        return [
            *(
                "outlast",
                "load",
                workload,
                "--duration",
                f"{self.duration:g}s",
                "--clients",
                str(self.clients),
            ),
            *given(
                ("--lab", self.lab),
                ("--rate", self.rate),
                ("--route", self.route),
                ("--bootstrap", self.bootstrap),
                ("--protocol", self.protocol),
            ),
            *("--seed", str(self.seed), *(["--", *argv] if argv else [])),
        ]


@click.command()
@click.argument("workload")
@click.argument("argv", nargs=-1, type=click.UNPROCESSED, metavar="[-- PROGRAM…]")
@collect(
    LoadOptions,
    lab_option,
    click.option("--duration", type=Duration(), default="30s", show_default=True),
    click.option("--clients", type=click.IntRange(1, 1000), default=8, show_default=True),
    route_option,
    click.option(
        "--rate", metavar="R", help="Operations per second (500/s); as fast as answers come without."
    ),
    seed_option(),
    click.option(
        "--bootstrap", metavar="HOST:PORT,…", help="No lab: a cluster of your own, for workloads log and kv."
    ),
    click.option(
        "--protocol",
        type=click.Choice(PROTOCOLS),
        help="Of --bootstrap: kafka for log and etcd for kv by default.",
    ),
    click.option(
        "--topic", metavar="T", help="With --bootstrap: an empty topic or prefix of keys; else a new one."
    ),
    json_option,
)
@asynchronous
async def load(workload: str, argv: Sequence[str], options: LoadOptions) -> int:
    """Drive a recorded workload through a lab that is up, inject nothing, and judge the history.

    The workload command runs a PROGRAM of yours, with the way to the primary in its environment.
    With --bootstrap through any cluster that speaks the Kafka protocol (log) or etcd's (kv and log).
    """
    _check(workload, argv, options)
    try:
        rate_per_s = None if options.rate is None else parse_rate_per_s(options.rate)
    except ValueError as error:
        raise ConfigError(str(error), key="--rate") from error
    spec = WorkloadSpec(
        name=workload,
        clients=options.clients,  # type: ignore[arg-type]
        rate_per_s=rate_per_s,
        params={"argv": list(argv)} if argv else {},
    )
    with Reporter(f"load-{workload}") as progress:
        request = options.request(options.replay(workload, argv), progress, ())
        if options.bootstrap is not None:
            result = await _load_external(options.bootstrap, spec, options, request)
        else:
            result = await _load_lab(spec, options, request)
    report = result.report()
    if options.as_json:
        print_json(report.to_document())
    else:
        print_run(OUT, report)
    return EXIT_CODES[result.verdict]


def _check(workload: str, argv: Sequence[str], options: LoadOptions) -> None:
    """Raise ConfigError or UsageError for options that make no sense together."""
    if argv and workload != "command":
        raise click.UsageError(f"{workload} takes no program; outlast load command -- PROGRAM… runs one")
    if options.bootstrap is None and (options.protocol or options.topic):
        key = "--protocol" if options.protocol else "--topic"
        raise ConfigError("means nothing without --bootstrap", key=key)
    if options.bootstrap is not None and options.lab is not None:
        raise ConfigError("is a cluster of your own, and --lab one of Outlast's", key="--bootstrap")
    if options.bootstrap is not None and options.route is not None:
        raise ConfigError("is a way through a lab, and --bootstrap has none", key="--route")
    if workload not in WORKLOADS:
        raise ConfigError(
            f"there is no workload {workload}", hint=f"choose from: {', '.join(sorted(WORKLOADS))}"
        )
    if argv and shutil.which(argv[0]) is None:
        raise ConfigError(f"there is no program {argv[0][:200]}", hint="a path, or a name found on PATH")


async def _load_external(
    addresses: str, spec: WorkloadSpec, options: LoadOptions, request: RunRequest
) -> RunResult:
    protocol = options.protocol or DEFAULT_PROTOCOL.get(spec.name)
    if protocol is None:
        raise ConfigError(
            f"{spec.name} needs a lab: it speaks PostgreSQL's protocol",
            key="--bootstrap",
            hint=f"from outside: {', '.join(DEFAULT_PROTOCOL)}",
        )
    there = ExternalEndpoint(addresses, protocol, options.topic or "")
    return await load_external(there, spec, options.duration, request)


async def _load_lab(spec: WorkloadSpec, options: LoadOptions, request: RunRequest) -> RunResult:
    drill = DrillSpec(
        name=f"load-{spec.name}",
        title=f"Load: {spec.name}, and no fault",
        workload={spec.name: spec},
        duration_s=options.duration,
        route=options.route,  # type: ignore[arg-type]
    )
    cluster = lifecycle.attach(options.lab)
    return await run_drill(cluster, prepare_drill(plan_drill(drill, cluster.spec), cluster), request)


COMMANDS: Final = (load,)
