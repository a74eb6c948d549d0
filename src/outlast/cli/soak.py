"""The command that runs for long: soak."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import click

from outlast.checkers.base import Verdict
from outlast.cli.options import (
    Duration,
    as_it_is,
    given,
    json_option,
    junit_option,
    keep_option,
    lab_option,
    profile_option,
    seed_option,
    set_option,
    set_words,
)
from outlast.cli.output import ERR, EXIT_CODES, OUT, asynchronous, print_json, say, write_file
from outlast.clusters import lifecycle
from outlast.config import load_cluster, split_overrides
from outlast.errors import ClusterError, HistoryError, UnavailableError
from outlast.history.history import JSON
from outlast.hosts.state import new_run_folder
from outlast.report.json import run_document
from outlast.report.junit import junit
from outlast.report.literal import literal_text
from outlast.report.terminal import print_run
from outlast.run.conclude import Outcome
from outlast.soak.diary import Diary
from outlast.soak.director import Director
from outlast.soak.plan import NAME, SoakTimes, check_settings
from outlast.systems.base import Cluster, HasPrimary, HasServers, Switchable

PLAIN_EVERY: Final = 10
"""Where nothing can be overwritten, one progress line of so many is printed."""


@click.command()
@click.option(
    "--duration", type=Duration(), default="1800", show_default=True, help="Of the load; 60 s or more."
)
@click.option(
    "--failover-interval", type=Duration(), default="300", show_default=True, help="Between two failovers."
)
@click.option(
    "--validation-interval", type=Duration(), default="60", show_default=True, help="Between two looks."
)
@click.option("--log-dir", type=click.Path(path_type=Path, file_okay=False), default=Path("test-logs"),
              show_default=True, help="Folder for the logs, the counts and the summary.")  # fmt: skip
@click.option("--system", metavar="S", help="The preset to run on, or a cluster file; six-node by default.")
@click.option("--config", metavar="FILE", help="The same, as a file.")
@profile_option
@seed_option()
@junit_option
@keep_option
@lab_option
@set_option
@json_option
@asynchronous
async def soak(
    duration: float,
    failover_interval: float,
    validation_interval: float,
    log_dir: Path,
    system: str | None,
    config: str | None,
    profile: str | None,
    seed: int,
    junit_file: str | None,
    keep: bool,
    lab: str | None,
    sets: Sequence[str],
    as_json: bool,
) -> int:
    """Write and read for a long time, move the primary from node to node, and check every row on every node.

    The primary goes round all nodes, those included that only read. PASS needs every failover done, every validation
    equal, no acknowledged row lost or altered on any node, and standbys less than a second behind.
    """
    if system is not None and config is not None:
        raise click.UsageError("--system and --config say the same: give one")
    times = SoakTimes.asked(duration, failover_interval, validation_interval)
    source = next((one for one in (system, config) if one is not None), "six-node")
    for_cluster, for_drill = split_overrides([*sets, *([f"profile={profile}"] if profile else [])])
    as_it_is(lab, system is not None, config is not None, for_cluster)
    words = [
        "outlast",
        "soak",
        "--duration",
        f"{duration:g}",
        "--failover-interval",
        f"{failover_interval:g}",
    ]
    words += ["--validation-interval", f"{validation_interval:g}"]
    words += given(("--lab", lab), ("--system", None if lab else source), ("--profile", profile))
    words += [*set_words(sets), "--seed", str(seed)]
    # Free ports unless asked for: a soak may run beside a cluster that has the preset's.
    spec = (
        None if lab else load_cluster(source, ["ports={}", *for_cluster] if config is None else for_cluster)
    )
    attached = lifecycle.attach(lab) if spec is None else None
    nodes = len(spec.nodes if spec is not None else attached.spec.nodes if attached is not None else ())
    check_settings(times, for_drill)
    if attached is not None:
        _check_able(attached)
    elif spec is not None:  # before a lab is made for nothing
        async with lifecycle.dry_lab(spec) as cluster:
            _check_able(cluster)
    with _Progress() as progress, Diary(log_dir, nodes, progress.above) as diary:

        async def on(cluster: Cluster) -> Outcome:
            return await Director(
                cluster,
                times,
                diary,
                progress,
                seed=seed,
                folder=new_run_folder(NAME),
                replay=shlex.join(words),
                overrides=for_drill,
            ).run()

        try:
            if attached is not None:
                outcome = await on(attached)
            else:
                assert spec is not None
                name = lifecycle.free_name(NAME)
                async with lifecycle.temporary(spec, name, diary.line, keep=keep) as up:
                    outcome = await on(up.cluster)
        except asyncio.CancelledError:
            return _never_began(diary, "ended early: interrupted before its verdict", as_json)
        except (ClusterError, HistoryError) as error:
            return _never_began(diary, f"ended early: {error.message}", as_json)
    document = run_document(outcome.history, outcome.document, outcome.folder)
    if junit_file is not None:
        write_file(junit_file, junit([document]))
    if as_json:
        print_json(_document(outcome.verdict, document, seed))
    else:
        print_run(OUT, document)
        for kind, path in diary.files.items():
            say(f"  {kind:<10} {path}")
    return EXIT_CODES[outcome.verdict]


def _check_able(cluster: Cluster) -> None:
    """Raise UnavailableError for a system that can't be soaked."""
    for need, what in (
        (HasServers, "has no PostgreSQL servers"),
        (HasPrimary, "has no primary"),
        (Switchable, "cannot move its primary"),
    ):
        if not isinstance(cluster, need):
            raise UnavailableError(f"{cluster.spec.system} {what}, which a soak needs")


def _document(verdict: Verdict, document: dict[str, JSON], seed: int) -> dict[str, JSON]:
    """Return what ``--json`` prints: the figures of the soak, its criteria, and the run as a drill."""
    figures = document["soak"]
    assert isinstance(figures, dict)
    checks = document["checks"]
    assert isinstance(checks, list)
    shown = ("name", "verdict", "summary", "value", "limit", "margin")
    criteria: list[JSON] = [{key: one[key] for key in shown} for one in checks if isinstance(one, dict)]
    return {
        "verdict": verdict,
        **figures,
        "criteria": criteria,
        "acked": document["acked"],
        "acked_lost": document["acked_lost"],
        "replicas_equal": document["replicas_equal"],
        "seed": seed,
        "replay": document["replay"],
        "store": document["store"],
        "drills": [document],
    }


def _never_began(diary: Diary, words: str, as_json: bool) -> int:
    """Leave the files, and a verdict, of a soak that has no history."""
    diary.line(words, "WARNING")
    diary.line("Verdict: FAIL", "WARNING")
    diary.summary(["PostgreSQL HA Cluster - Soak Test Summary", f"Verdict: FAIL ({words})"])
    if as_json:
        files: dict[str, JSON] = {kind: str(path) for kind, path in diary.files.items()}
        print_json({"verdict": Verdict.FAIL, "ended": words, "files": files, "criteria": [], "drills": []})
    return EXIT_CODES[Verdict.FAIL]


class _Progress:
    """The line that changes, on a terminal in place below all others; elsewhere one of PLAIN_EVERY."""

    def __init__(self) -> None:
        self._status = ERR.status("") if ERR.is_terminal else None
        self._count = 0

    def __enter__(self) -> _Progress:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._status is not None:
            self._status.stop()

    def __call__(self, words: str) -> None:
        """Show the line."""
        if self._status is not None:
            self._status.update(literal_text(words))
        elif self._count % PLAIN_EVERY == 0:
            ERR.print(literal_text(words))
        self._count += 1

    @property
    def above(self) -> Callable[[str], None]:
        """What prints a line that stays."""
        return lambda words: ERR.print(literal_text(words))


COMMANDS: Final = (soak,)
