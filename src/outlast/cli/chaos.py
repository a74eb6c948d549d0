"""Commands that break things: chaos from a seed; inject and heal on a lab that is up."""

from __future__ import annotations

import random
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, TextIO

import click

from outlast.campaigns.chaos import SCENARIOS, chaos_drill
from outlast.checkers.base import Verdict
from outlast.cli.options import (
    Duration,
    as_it_is,
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
from outlast.hosts.state import new_run_folder
from outlast.report.json import run_document
from outlast.report.terminal import print_run
from outlast.routes.registry import with_route
from outlast.run.conclude import Outcome
from outlast.run.drill import run_drill
from outlast.run.plan import make_plan
from outlast.systems.base import Cluster
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


@click.command()
@click.argument("scenario", default="all", type=click.Choice(list(SCENARIOS)))
@click.option("--duration", type=Duration(), default="300s", show_default=True, help="Of the load.")
@seed_option("Repeat the plan of an earlier run.")
@click.option("--system", metavar="S", show_default=USUAL, help="Preset or cluster file.")
@profile_option
@click.option("--log", "log_folder", type=click.Path(path_type=Path, file_okay=False), default=Path(),
              help="Folder for chaos_test_<time>.log; this one by default.")  # fmt: skip
@route_option
@lab_option
@webhook_option
@set_option
@json_option
@asynchronous
async def chaos(
    scenario: str,
    duration: float,
    seed: int,
    system: str | None,
    profile: str | None,
    log_folder: Path,
    route: str | None,
    lab: str | None,
    sets: Sequence[str],
    as_json: bool,
) -> int:
    """Inject faults drawn from a seed while clients write; heal all of them and judge what came of it.

    SCENARIO is all, or one of its kinds alone; health and sustained-load inject nothing.
    """
    words = ["outlast", "chaos", scenario, "--duration", f"{duration:g}s", "--seed", str(seed)]
    as_it_is(lab, system is not None, profile, sets)
    system = USUAL if system is None else system
    words += given(
        ("--lab", lab), ("--system", None if lab else system), ("--profile", profile), ("--route", route)
    )
    words += set_words(sets)
    with (
        _log(log_folder) as log,
        Reporter(f"chaos {scenario}") as reporter,
    ):

        def progress(text: str) -> None:
            log.write(f"{timestamp()} {text}\n")
            reporter(text)

        progress(f"repeat: {shlex.join(words)}")

        async def on(cluster: Cluster) -> Outcome:
            drill = chaos_drill(scenario, duration, seed, cluster.spec)
            drill = replace(drill, route=route)  # type: ignore[arg-type]
            for step in make_plan(drill):
                progress(f"plan: {step.at_s:g} s {step.fault} on {step.on}, healed {step.heal}")
            return await run_drill(
                cluster,
                drill,
                seed=seed,
                folder=new_run_folder(drill.name),
                replay=shlex.join(words),
                say=progress,
            )

        if lab is not None:
            outcome = await on(lifecycle.attach(lab))
        else:
            # Free ports: chaos may run beside a cluster that has the preset's.
            overrides = ["ports={}", *sets, *([f"profile={profile}"] if profile else [])]
            spec = with_route(load_cluster(system, overrides), route)
            chaos_drill(scenario, duration, seed, spec)  # refuses before a lab is made
            name = lifecycle.free_name(f"chaos-{scenario}")
            async with lifecycle.temporary(spec, name, progress, keep=False) as up:
                outcome = await on(up.cluster)
        progress(f"verdict: {outcome.verdict}")
    document = run_document(outcome.history, outcome.document, outcome.folder)
    if as_json:
        drills: list[JSON] = [document]
        print_json(
            {
                "verdict": outcome.verdict,
                "scenario": scenario,
                "seed": seed,
                "plan": document["plan"],
                "log": log.name,
                "drills": drills,
            }
        )
    else:
        print_run(OUT, document)
        say(f"  log    {log.name}")
    return EXIT_CODES[outcome.verdict]


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
