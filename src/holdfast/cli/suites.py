"""``holdfast suite``: a suite of drills and checks, with one verdict."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Sequence
from typing import Final

import click

from holdfast.cli.drills import SEED_BITS, new_run_folder
from holdfast.cli.output import (
    EXIT_CODES,
    OUT,
    OutputFile,
    Reporter,
    as_it_is,
    asynchronous,
    json_option,
    lab_option,
    print_json,
    say,
    set_option,
    write_file,
)
from holdfast.history.history import JSON
from holdfast.report.json import Document
from holdfast.report.junit import junit
from holdfast.report.terminal import print_brief
from holdfast.run.suite import SuiteRun, load_suite, run_suite
from holdfast.spec import split_overrides


@click.command()
@click.argument("name", metavar="NAME")
@click.option("--system", metavar="S", help="Preset or cluster file; the suite's own by default.")
@click.option(
    "--profile", type=click.Choice(["default", "fast"]), help="Timing: the manager's own, or its fastest."
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Repeat the choices of an earlier run.")
@click.option("--duration", metavar="D", help="Of the load of each drill (60s, 10m, 24h).")
@click.option(
    "--junit", "junit_file", type=OutputFile(), metavar="F", help="Also write the verdicts to F as JUnit XML."
)
@lab_option
@set_option
@json_option
@asynchronous
async def suite(
    name: str,
    system: str | None,
    profile: str | None,
    seed: int | None,
    duration: str | None,
    junit_file: str | None,
    lab: str | None,
    sets: Sequence[str],
    as_json: bool,
) -> int:
    """Run a suite: its drills and checks one after another; ``holdfast ls suites`` names them."""
    found = load_suite(name)
    overrides = [
        *sets,
        *([f"profile={profile}"] if profile else []),
        *([f"duration={duration}"] if duration else []),
    ]
    for_cluster, for_drill = split_overrides(overrides)
    as_it_is(lab, system is not None, for_cluster)
    chosen = seed if seed is not None else secrets.randbits(SEED_BITS)
    words = ["holdfast", "suite", name, *(["--lab", lab] if lab else [])]
    words += ["--system", system] if system else []
    words += [word for text in overrides for word in ("--set", text)]
    words += ["--seed", str(chosen)]

    def shown(document: Document) -> None:
        if not as_json:
            print_brief(OUT, document)

    with Reporter(f"suite {name}") as progress:
        document = await run_suite(
            found,
            SuiteRun(
                system,
                lab,
                for_cluster,
                for_drill,
                chosen,
                shlex.join(words),
                new_run_folder,
                progress,
                shown,
            ),
        )
    if junit_file is not None:
        write_file(junit_file, junit(_drills(document["drills"])))
    if as_json:
        print_json(document)
    else:
        say(
            f"{str(document['verdict']).upper()}  suite {name} on {document['system']}: {document['ran']} ran, "
            f"{document['skipped']} skipped, {document['duration_s']} s"
        )
        say(f"  repeat {document['replay']}")
    return EXIT_CODES[str(document["verdict"])]


def _drills(value: JSON) -> list[Document]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


COMMANDS: Final = (suite,)
