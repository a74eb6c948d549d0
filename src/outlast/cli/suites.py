"""``outlast suite``: a suite of drills and checks, with one verdict."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

import click

from outlast.cli.options import (
    as_it_is,
    given,
    json_option,
    junit_option,
    lab_option,
    profile_option,
    seed_option,
    set_option,
    set_words,
)
from outlast.cli.output import EXIT_CODES, OUT, Reporter, asynchronous, print_json, say, write_file
from outlast.config import split_overrides
from outlast.history.history import JSON
from outlast.hosts.state import new_run_folder
from outlast.report.json import Document
from outlast.report.junit import junit
from outlast.report.terminal import print_brief
from outlast.suites.suite import SuiteRun, load_suite, run_suite


@click.command()
@click.argument("name", metavar="NAME")
@click.option("--system", metavar="S", help="Preset or cluster file; the suite's own by default.")
@profile_option
@seed_option()
@click.option("--duration", metavar="D", help="Of the load of each drill (60s, 10m, 24h).")
@junit_option
@lab_option
@set_option
@json_option
@asynchronous
async def suite(
    name: str,
    system: str | None,
    profile: str | None,
    seed: int,
    duration: str | None,
    junit_file: str | None,
    lab: str | None,
    sets: Sequence[str],
    as_json: bool,
) -> int:
    """Run a suite: its drills and checks one after another; ``outlast ls suites`` names them."""
    found = load_suite(name)
    overrides = [
        *sets,
        *([f"profile={profile}"] if profile else []),
        *([f"duration={duration}"] if duration else []),
    ]
    for_cluster, for_drill = split_overrides(overrides)
    as_it_is(lab, system is not None, for_cluster)
    words = ["outlast", "suite", name, *given(("--lab", lab), ("--system", system)), *set_words(overrides)]
    words += ["--seed", str(seed)]

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
                seed,
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
            + (f"; {document['ended']}" if document["ended"] else "")
        )
        say(f"  repeat {document['replay']}")
    return EXIT_CODES[str(document["verdict"])]


def _drills(value: JSON) -> list[Document]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


COMMANDS: Final = (suite,)
