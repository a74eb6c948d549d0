"""``outlast matrix``: the same drills on several systems and profiles, side by side."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from outlast.campaigns.matrix import MatrixRun, run_matrix
from outlast.cli.judging import write_matrix
from outlast.cli.options import json_option, seed_option, set_option, set_words
from outlast.cli.output import EXIT_CODES, OUT, Reporter, asynchronous, print_json
from outlast.config import split_overrides
from outlast.errors import ConfigError
from outlast.hosts.state import new_run_folder
from outlast.report.json import Document
from outlast.report.matrix import print_matrix

PROFILES: Final = ("default", "fast")
RUNS_MAX: Final = 100


@click.command()
@click.option("--systems", metavar="S,…", default="patroni,pg_auto_failover,streaming,pgpool", show_default=True,
              help="Presets or cluster files.")  # fmt: skip
@click.option("--drills", metavar="D,…", default="primary-power-off,postgres-kill,switchover", show_default=True,
              help="Drills, by name or file.")  # fmt: skip
@click.option("--profiles", metavar="P,…", default="default,fast", show_default=True, help="Timings.")
@click.option("--runs", type=click.IntRange(1, RUNS_MAX), default=1, show_default=True, help="Of each cell.")
@seed_option("Of the first run of each cell; the next has one more.", top=2**62)
@click.option("--html", "html_file", metavar="FILE", help="Also write it as one self-contained web page.")
@set_option
@json_option
@asynchronous
async def matrix(
    systems: str,
    drills: str,
    profiles: str,
    runs: int,
    seed: int,
    html_file: str | None,
    sets: Sequence[str],
    as_json: bool,
) -> int:
    """Run the same drills on each system and profile, and set their figures beside each manager's own model.

    Each run has a fresh lab. A cell that cannot be run here says why. The result is stored: ``outlast report``.
    """
    for_cluster, for_drill = split_overrides(list(sets))
    words = ["outlast", "matrix", "--systems", systems, "--drills", drills, "--profiles", profiles]
    words += ["--runs", str(runs), *set_words(sets), "--seed", str(seed)]
    if html_file is not None:
        from outlast.report.html import check_page_file

        check_page_file(Path(html_file))
    asked = _names(profiles, "--profiles")
    for profile in asked:
        if profile not in PROFILES:
            raise ConfigError(f"there is no profile {profile}", key="--profiles", hint=", ".join(PROFILES))
    with Reporter("matrix") as progress:

        def shown(cell: Document) -> None:
            progress(f"{cell['drill']} on {cell['system']}, {cell['profile']}: {cell['verdict']}")

        document = await run_matrix(
            MatrixRun(
                _names(systems, "--systems"),
                asked,
                _names(drills, "--drills"),
                runs,
                for_cluster,
                for_drill,
                seed,
                shlex.join(words),
                new_run_folder,
                progress,
                shown,
            )
        )
    if html_file is not None:
        write_matrix(html_file, document)
    if as_json:
        print_json(document)
    else:
        print_matrix(OUT, document)
    return EXIT_CODES[str(document["verdict"])]


def _names(text: str, option: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise ConfigError("names nothing between two commas", key=option)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"names {', '.join(twice)} twice", key=option)
    return names


COMMANDS: Final = (matrix,)
