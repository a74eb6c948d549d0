"""``outlast matrix``: the same drills on several systems and profiles, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from outlast.campaigns.matrix import MatrixPlan, run_matrix
from outlast.cli.options import RunOptions, collect, json_option, seed_option, set_option, set_words
from outlast.cli.output import EXIT_CODES, OUT, Reporter, asynchronous, print_json
from outlast.cli.stored_runs import write_matrix
from outlast.config import split_overrides
from outlast.errors import ConfigError
from outlast.report.matrix import print_matrix
from outlast.report.matrix_report import CellReport

PROFILES: Final = ("default", "fast")
RUNS_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class MatrixOptions(RunOptions):
    """RunOptions, and those of a matrix alone; names are as they were written, with commas."""

    systems: str = ""
    drills: str = ""
    profiles: str = ""
    runs: int = 1
    html_file: str | None = None


@click.command()
@collect(
    MatrixOptions,
    click.option(
        "--systems",
        metavar="S,…",
        default="patroni,pg_auto_failover,streaming,pgpool",
        show_default=True,
        help="Presets or cluster files.",
    ),
    click.option(
        "--drills",
        metavar="D,…",
        default="primary-power-off,postgres-kill,switchover",
        show_default=True,
        help="Drills, by name or file.",
    ),
    click.option("--profiles", metavar="P,…", default="default,fast", show_default=True, help="Timings."),
    click.option(
        "--runs", type=click.IntRange(1, RUNS_MAX), default=1, show_default=True, help="Of each cell."
    ),
    seed_option("Of the first run of each cell; the next has one more.", top=2**62),
    click.option("--html", "html_file", metavar="FILE", help="Also write it as one self-contained web page."),
    set_option,
    json_option,
)
@asynchronous
async def matrix(options: MatrixOptions) -> int:
    """Run the same drills on each system and profile, and set their figures beside each manager's own model.

    Each run has a fresh lab. A cell that cannot be run here says why. The result is stored: ``outlast report``.
    """
    split_overrides(options.sets)  # a key that is none is refused first
    if options.html_file is not None:
        from outlast.report.html import check_page_file

        check_page_file(Path(options.html_file))
    profiles = _names(options.profiles, "--profiles")
    for profile in profiles:
        if profile not in PROFILES:
            raise ConfigError(f"there is no profile {profile}", key="--profiles", hint=", ".join(PROFILES))
    plan = MatrixPlan(
        _names(options.systems, "--systems"), profiles, _names(options.drills, "--drills"), options.runs
    )
    replay = [
        *("outlast", "matrix", "--systems", options.systems, "--drills", options.drills),
        *("--profiles", options.profiles, "--runs", str(options.runs)),
        *(*set_words(options.sets), "--seed", str(options.seed)),
    ]
    with Reporter("matrix") as progress:

        def shown(cell: CellReport) -> None:
            progress(f"{cell.drill} on {cell.system}, {cell.profile}: {cell.verdict}")

        report = await run_matrix(plan, options.request(replay, progress, options.sets), shown)
    if options.html_file is not None:
        write_matrix(options.html_file, report)
    if options.as_json:
        print_json(report.to_document())
    else:
        print_matrix(OUT, report)
    return EXIT_CODES[report.verdict]


def _names(text: str, option: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise ConfigError("names nothing between two commas", key=option)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"names {', '.join(twice)} twice", key=option)
    return names


COMMANDS: Final = (matrix,)
