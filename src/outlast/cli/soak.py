"""The command that runs for long: soak."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from outlast.checkers.base import Verdict
from outlast.cli.options import (
    Duration,
    RunOptions,
    as_it_is,
    collect,
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
from outlast.config import ClusterSpec, load_cluster, split_overrides
from outlast.errors import ClusterError, HistoryError, UnavailableError
from outlast.history.history import JSON
from outlast.report.junit import junit
from outlast.report.literal import literal_text
from outlast.report.run_report import RunReport
from outlast.report.terminal import print_run
from outlast.soak.diary import Diary
from outlast.soak.director import Director
from outlast.soak.plan import NAME, SoakTimes, check_settings
from outlast.systems.base import Cluster, HasPrimary, HasServers, Switchable

PLAIN_EVERY: Final = 10
"""Where nothing can be overwritten, one progress line of so many is printed."""


@dataclass(frozen=True, slots=True)
class SoakOptions(RunOptions):
    """RunOptions, and those of a soak alone. Times in seconds. config: the system, as a file."""

    duration: float = 1800.0
    failover_interval: float = 300.0
    validation_interval: float = 60.0
    log_dir: Path = Path("test-logs")
    config: str | None = None

    @property
    def source(self) -> str:
        """The preset or file of the cluster."""
        return next((source for source in (self.system, self.config) if source is not None), "six-node")

    def replay(self) -> list[str]:
        """Return the words that repeat the soak."""
        return [
            *("outlast", "soak", "--duration", f"{self.duration:g}"),
            *("--failover-interval", f"{self.failover_interval:g}"),
            *("--validation-interval", f"{self.validation_interval:g}"),
            *given(
                ("--lab", self.lab),
                ("--system", None if self.lab else self.source),
                ("--profile", self.profile),
            ),
            *(*set_words(self.sets), "--seed", str(self.seed)),
        ]


@click.command()
@collect(
    SoakOptions,
    click.option(
        "--duration", type=Duration(), default="1800", show_default=True, help="Of the load; 60 s or more."
    ),
    click.option(
        "--failover-interval",
        type=Duration(),
        default="300",
        show_default=True,
        help="Between two failovers.",
    ),
    click.option(
        "--validation-interval", type=Duration(), default="60", show_default=True, help="Between two looks."
    ),
    click.option(
        "--log-dir",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("test-logs"),
        show_default=True,
        help="Folder for the logs, the counts and the summary.",
    ),
    click.option(
        "--system", metavar="S", help="The preset to run on, or a cluster file; six-node by default."
    ),
    click.option("--config", metavar="FILE", help="The same, as a file."),
    profile_option,
    seed_option(),
    junit_option,
    keep_option,
    lab_option,
    set_option,
    json_option,
)
@asynchronous
async def soak(options: SoakOptions) -> int:
    """Write and read for a long time, move the primary from node to node, and check every row on every node.

    The primary goes round all nodes, those included that only read. PASS needs every failover done, every validation
    equal, no acknowledged row lost or altered on any node, and standbys less than a second behind.
    """
    if options.system is not None and options.config is not None:
        raise click.UsageError("--system and --config say the same: give one")
    times = SoakTimes.asked(options.duration, options.failover_interval, options.validation_interval)
    spec = await _cluster(options, times)
    with _Progress() as progress, Diary(options.log_dir, len(spec.nodes), progress.above) as diary:
        request = options.request(options.replay(), diary.line, options.overrides())
        try:
            async with request.cluster(spec, NAME) as cluster:
                result = await Director(cluster, times, diary, progress, request).run()
        except asyncio.CancelledError:
            return _never_began(diary, "ended early: interrupted before its verdict", options.as_json)
        except (ClusterError, HistoryError) as error:
            return _never_began(diary, f"ended early: {error.message}", options.as_json)
    report = result.report()
    if options.junit_file is not None:
        write_file(options.junit_file, junit([report]))
    if options.as_json:
        print_json(_document(report))
    else:
        print_run(OUT, report)
        for kind, path in diary.files.items():
            say(f"  {kind:<10} {path}")
    return EXIT_CODES[result.verdict]


async def _cluster(options: SoakOptions, times: SoakTimes) -> ClusterSpec:
    """Return the cluster to soak, refused before a lab is made for nothing.

    Raises ConfigError, and UnavailableError for a system that can't be soaked.
    """
    for_cluster, for_drill = split_overrides(options.overrides())
    as_it_is(options.lab, options.system is not None, options.config is not None, for_cluster)
    if options.lab is not None:
        attached = lifecycle.attach(options.lab)
        check_settings(times, for_drill)
        _check_able(attached)
        return attached.spec
    # Free ports unless asked for: a soak may run beside a cluster that has the preset's.
    ports = ["ports={}"] if options.config is None else []
    spec = load_cluster(options.source, [*ports, *for_cluster])
    check_settings(times, for_drill)
    async with lifecycle.dry_lab(spec) as cluster:
        _check_able(cluster)
    return spec


def _check_able(cluster: Cluster) -> None:
    """Raise UnavailableError for a system that can't be soaked."""
    for need, what in (
        (HasServers, "has no PostgreSQL servers"),
        (HasPrimary, "has no primary"),
        (Switchable, "cannot move its primary"),
    ):
        if not isinstance(cluster, need):
            raise UnavailableError(f"{cluster.spec.system} {what}, which a soak needs")


def _document(report: RunReport) -> dict[str, JSON]:
    """Return what ``--json`` prints: the figures of the soak, its criteria, and the run as a drill."""
    shown = ("name", "verdict", "summary", "value", "limit", "margin")
    documents = [check.to_document() for check in report.checks]
    return {
        "verdict": report.verdict,
        **(report.soak or {}),
        "criteria": [{key: document[key] for key in shown} for document in documents],
        "acked": report.acked,
        "acked_lost": report.acked_lost,
        "replicas_equal": report.replicas_equal,
        "seed": report.seed,
        "replay": report.replay,
        "store": report.store,
        "drills": [report.to_document()],
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
