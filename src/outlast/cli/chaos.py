"""Commands that break things: chaos from a seed; inject and heal on a lab that is up."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TextIO

import click

from outlast.campaigns.chaos import ALIASES, SCENARIOS, chaos_drill
from outlast.checkers.base import Verdict
from outlast.cli.options import (
    Duration,
    RunOptions,
    as_it_is,
    collect,
    given,
    json_option,
    lab_option,
    profile_option,
    route_option,
    seed_option,
    set_option,
    set_words,
    webhook_option,
)
from outlast.cli.output import ERR, EXIT_CODES, OUT, Reporter, asynchronous, print_json, say
from outlast.clock import timestamp
from outlast.clusters import lifecycle
from outlast.clusters.service_registry import start_member
from outlast.config import load_cluster
from outlast.config.document import parse_value
from outlast.errors import ConfigError, HostError, UnavailableError
from outlast.faults import journal
from outlast.faults.base import with_defaults
from outlast.faults.registry import fault
from outlast.faults.targets import resolve
from outlast.history.history import JSON, means
from outlast.report.terminal import print_run
from outlast.routes.registry import with_route
from outlast.run.conclude import RunResult
from outlast.run.drill import run_drill
from outlast.run.prepare import plan_drill, prepare_drill
from outlast.run.request import RunRequest
from outlast.systems.wait import wait_for, wait_until_ready

USUAL: Final = "patroni-3dcs"
SHOW_TIMEOUT_S: Final = 3.0
SETTLE_S: Final = 60.0


def _log(folder: Path) -> TextIO:
    """Return a new log in a folder, which is made. Raises ConfigError when it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / f"chaos_test_{timestamp()}.log").open("w", buffering=1)
    except OSError as error:
        raise ConfigError(
            f"cannot be written to: {error.strerror or error}", key="--log", file=str(folder)
        ) from error


@dataclass(frozen=True, slots=True)
class ChaosOptions(RunOptions):
    """RunOptions, and those of chaos alone. duration_s: of the load, seconds."""

    duration_s: float = 300.0
    log_folder: Path = Path()


@click.command()
@click.argument("scenario", default="all", type=click.Choice([*SCENARIOS, *ALIASES]))
@collect(
    ChaosOptions,
    click.option(
        "--duration", "duration_s", type=Duration(), default="300s", show_default=True, help="Of the load."
    ),
    seed_option("Repeat the plan of an earlier run."),
    click.option("--system", metavar="S", show_default=USUAL, help="Preset or cluster file."),
    profile_option,
    click.option(
        "--log",
        "log_folder",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path(),
        help="Folder for chaos_test_<time>.log; this one by default.",
    ),
    route_option,
    lab_option,
    webhook_option,
    set_option,
    json_option,
)
@asynchronous
async def chaos(scenario: str, options: ChaosOptions) -> int:
    """Inject faults drawn from a seed while clients write; heal all of them and judge what came of it.

    SCENARIO is all (also called run), or one of its kinds alone; health injects nothing.
    """
    scenario = ALIASES.get(scenario, scenario)
    as_it_is(options.lab, options.system is not None, options.profile, options.sets)
    with _log(options.log_folder) as log, Reporter(f"chaos {scenario}") as reporter:

        def progress(text: str) -> None:
            log.write(f"{timestamp()} {text}\n")
            reporter(text)

        request = options.request(_replay(scenario, options), progress, options.overrides())
        progress(f"repeat: {request.replay}")
        result = await _run(scenario, options, request)
        progress(f"verdict: {result.verdict}")
    report = result.report()
    if options.as_json:
        print_json(
            {
                "verdict": result.verdict,
                "scenario": scenario,
                "seed": options.seed,
                "plan": [dict(step) for step in report.plan],
                "log": log.name,
                "drills": [report.to_document()],
            }
        )
    else:
        print_run(OUT, report)
        say(f"  log    {log.name}")
    return EXIT_CODES[result.verdict]


def _replay(scenario: str, options: ChaosOptions) -> list[str]:
    """Return the words that repeat a run of chaos."""
    system = None if options.lab else options.system or USUAL
    return [
        *(
            "outlast",
            "chaos",
            scenario,
            "--duration",
            f"{options.duration_s:g}s",
            "--seed",
            str(options.seed),
        ),
        *given(
            ("--lab", options.lab),
            ("--system", system),
            ("--profile", options.profile),
            ("--route", options.route),
        ),
        *set_words(options.sets),
    ]


async def _run(scenario: str, options: ChaosOptions, request: RunRequest) -> RunResult:
    """Draw the drill, tell its plan, and run it; what cannot be drawn is refused before a lab is made."""
    if options.lab is not None:
        spec = lifecycle.attach(options.lab).spec
    else:
        # Free ports: chaos may run beside a cluster that has the preset's.
        overrides = ["ports={}", *request.overrides]
        spec = with_route(load_cluster(options.system or USUAL, overrides), options.route)
    drill = chaos_drill(scenario, options.duration_s, options.seed, spec)
    planned = plan_drill(replace(drill, route=options.route), spec)  # type: ignore[arg-type]
    for step in planned.plan:
        request.say(f"plan: {step.at_s:g} s {step.fault} on {step.on}, healed {step.heal}")
    async with request.cluster(spec, f"chaos-{scenario}") as cluster:
        return await run_drill(cluster, prepare_drill(planned, cluster), request)


@click.command()
@click.argument("name", metavar="FAULT")
@click.option(
    "--on", "target", required=True, metavar="TARGET", help="primary, one-standby, all, …, or a node."
)
@lab_option
@click.option("--set", "sets", multiple=True, metavar="PARAM=VALUE", help="A parameter of the fault.")
@seed_option("Repeat the choices of an earlier injection.")
@json_option
@asynchronous
async def inject(
    name: str, target: str, lab: str | None, sets: Sequence[str], seed: int, as_json: bool
) -> int:
    """Inject a fault into a lab that is up, and say whether it bit. It lasts until ``outlast heal``."""
    cluster = lifecycle.attach(lab)
    kind = fault(name)
    params = with_defaults(kind, dict(_setting(text) for text in sets))
    reason = kind.available(cluster)
    if reason is not None:
        raise UnavailableError(f"the fault {name} cannot be injected here: {reason}")
    rng = random.Random(seed)
    targets = await resolve(target, cluster, rng)
    entry = await journal.inject(kind, cluster, targets, params, rng)
    words = "its effect could not be seen"
    bit: bool | None = None

    async def unseen() -> str:
        nonlocal words, bit
        effect = await kind.effective(cluster, entry.injection)
        words, bit = effect.words, effect.bit
        return "" if bit else words

    try:
        await wait_for(unseen, SHOW_TIMEOUT_S, f"{name} to show")
    except Exception as error:  # noqa: BLE001 - the fault is in; that its effect can't be seen is an answer, too
        words = words if bit is False else f"{error}"
    if as_json:
        hit: list[JSON] = list(entry.injection.targets)
        print_json({"lab": cluster.lab.name, "fault": name, "targets": hit, "params": params,
                    "effective": bit, "evidence": words, "means": list(means(entry.injection.details))})  # fmt: skip
    else:
        verb = {True: "bit", False: "did not bite", None: "may have bitten"}[bit]
        say(f"{name} on {', '.join(entry.injection.targets)} {verb}: {words}")
    return 0 if bit else EXIT_CODES[Verdict.INVALID]


@click.command()
@lab_option
@click.option("--wait", type=Duration(), default="60s", show_default=True, help="For a whole cluster, after.")
@json_option
@asynchronous
async def heal(lab: str | None, wait: float, as_json: bool) -> int:
    """Heal everything that was injected into a lab, by whatever process; wait until the cluster is whole.

    What belongs on a host that is on and does not run there, for whatever reason, is started.
    """
    cluster = lifecycle.attach(lab)
    healed, failed = await journal.heal_all(cluster)
    for words in failed:
        ERR.print(f"NOT HEALED: {words}", style="bold red", markup=False)
    for member in () if failed else cluster.spec.members():
        host = cluster.lab.hosts.get(member.name)
        if host is not None and host.is_on:
            await start_member(cluster, member.name)
    whole_s = None if failed else round(await wait_until_ready(cluster, wait), 3)
    if as_json:
        done: list[JSON] = [{"fault": one.fault, "targets": list(one.targets)} for one in healed]
        left: list[JSON] = list(failed)
        print_json({"lab": cluster.lab.name, "healed": done, "failed": left, "whole_s": whole_s})
    else:
        for one in healed:
            say(f"healed {one.fault} on {', '.join(one.targets)}")
        say(
            f"{len(healed)} healed, {len(failed)} not"
            + ("" if whole_s is None else f"; whole after {whole_s} s")
        )
    return HostError.exit_code if failed else 0


def _setting(text: str) -> tuple[str, JSON]:
    name, sign, value = text.partition("=")
    if not sign:
        raise ConfigError(f"{text!r} is not PARAM=VALUE", key="--set")
    return name, parse_value(value, place=f"--set {text}")


COMMANDS: Final = (chaos, inject, heal)
