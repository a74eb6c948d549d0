"""``outlast suite``: a suite of drills and checks, with one verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import click

from outlast.cli.options import (
    RunOptions,
    as_it_is,
    collect,
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
from outlast.report.junit import junit
from outlast.report.suite_report import MemberReport
from outlast.report.terminal import print_brief
from outlast.suites.suite import load_suite, run_suite


@dataclass(frozen=True, slots=True)
class SuiteOptions(RunOptions):
    """RunOptions, and those of a suite alone. duration: of the load of each drill, as it was written."""

    duration: str | None = None


@click.command()
@click.argument("name", metavar="NAME")
@collect(
    SuiteOptions,
    click.option("--system", metavar="S", help="Preset or cluster file; the suite's own by default."),
    profile_option,
    seed_option(),
    click.option("--duration", metavar="D", help="Of the load of each drill (60s, 10m, 24h)."),
    junit_option,
    lab_option,
    set_option,
    json_option,
)
@asynchronous
async def suite(name: str, options: SuiteOptions) -> int:
    """Run a suite: its drills and checks one after another; ``outlast ls suites`` names them."""
    found = load_suite(name)
    overrides = options.overrides(duration=options.duration)
    as_it_is(options.lab, options.system is not None, split_overrides(overrides)[0])
    replay = ["outlast", "suite", name, *given(("--lab", options.lab), ("--system", options.system))]
    replay += [*set_words(overrides), "--seed", str(options.seed)]

    def shown(member: MemberReport) -> None:
        if not options.as_json:
            print_brief(OUT, member)

    with Reporter(f"suite {name}") as progress:
        report = await run_suite(found, options.request(replay, progress, overrides), shown)
    if options.junit_file is not None:
        write_file(options.junit_file, junit(report.members))
    if options.as_json:
        print_json(report.to_document())
    else:
        say(
            f"{report.verdict.upper()}  suite {name} on {report.system}: {report.ran} ran, "
            f"{report.skipped} skipped, {report.duration_s} s" + (f"; {report.ended}" if report.ended else "")
        )
        say(f"  repeat {report.replay}")
    return EXIT_CODES[report.verdict]


COMMANDS: Final = (suite,)
