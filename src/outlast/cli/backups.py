"""Commands on backups: backup, backups, restore."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, get_args

import click
from rich.table import Table

from outlast.cli.options import collect, json_option
from outlast.cli.output import OUT, Reporter, asynchronous, print_json, say
from outlast.clock import now_ns, seconds_between
from outlast.clusters import backups as cluster_backups
from outlast.clusters import lifecycle
from outlast.systems.postgres.backup import Kind, RecoveryTarget
from outlast.units import format_lsn

if TYPE_CHECKING:
    from outlast.history.history import JSON
    from outlast.systems.postgres.backup import Backup

lab_argument = click.argument("lab", required=False)
also_lab_option = click.option("--lab", "lab_too", metavar="L", help="The same as LAB.")


class Moment(click.ParamType[datetime]):
    """A time as ISO 8601 has it; without a zone it is this machine's."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, context: click.Context | None
    ) -> datetime:
        """Return the moment, with its zone."""
        if isinstance(value, datetime):
            return value
        try:
            return datetime.fromisoformat(str(value)).astimezone()
        except (ValueError, OverflowError):
            return self.fail(f"{value!r} is no time; write 2026-01-02T03:04:05.678+00:00", param, context)


@click.command()
@lab_argument
@also_lab_option
@click.option(
    "--type",
    "kind",
    type=click.Choice(get_args(Kind)),
    default="full",
    show_default=True,
    help="All, or what has changed since the last full one (diff) or the last of any kind (incr).",
)
@json_option
@asynchronous
async def backup(lab: str | None, lab_too: str | None, kind: Kind, as_json: bool) -> None:
    """Back up the primary of LAB, which has backup=on, while it is used."""
    cluster = lifecycle.attach(_one(lab, lab_too))
    start = now_ns()
    with Reporter("backup") as progress:
        made = await cluster_backups.back_up(cluster, kind, progress)
    took_s = round(seconds_between(start, now_ns()), 3)
    if as_json:
        print_json({"lab": cluster.lab.name, **_document(made), "took_s": took_s})
    else:
        say(f"{made.label}: {_mb(made.size_bytes)} in {took_s} s, {_mb(made.stored_bytes)} stored")


@click.command()
@lab_argument
@also_lab_option
@json_option
@asynchronous
async def backups(lab: str | None, lab_too: str | None, as_json: bool) -> None:
    """List the backups of LAB, and the WAL that its archive holds."""
    cluster = lifecycle.attach(_one(lab, lab_too))
    there, archive = await cluster_backups.backups(cluster)
    if as_json:
        documents: list[JSON] = [_document(one) for one in there]
        held: JSON = None if archive is None else {"first": archive[0], "last": archive[1]}
        print_json({"lab": cluster.lab.name, "backups": documents, "archive": held})
        return
    table = Table("backup", "type", "ended", "size", "stored", "WAL from", "to", box=None)
    for one in there:
        table.add_row(
            one.label,
            one.kind,
            f"{one.stopped.astimezone():%Y-%m-%d %H:%M:%S%z}",
            _mb(one.size_bytes),
            _mb(one.stored_bytes),
            one.wal_start,
            one.wal_stop,
        )
    OUT.print(table)
    say("the archive is empty" if archive is None else f"archived WAL: {archive[0]} to {archive[1]}")


@dataclass(frozen=True, slots=True)
class RestoreOptions:
    """What a person said of a restore. to: a time; point: the name of a restore point. lab_too: LAB, as an option."""

    lab_too: str | None
    to: datetime | None
    point: str | None
    latest: bool
    node: str | None
    port: int | None
    as_json: bool

    def target(self) -> RecoveryTarget:
        """Return where to stop. Raises UsageError for two of them."""
        if sum((self.to is not None, self.point is not None, self.latest)) > 1:
            raise click.UsageError("--to, --name and --latest exclude each other")
        if self.to is not None:
            return RecoveryTarget("time", self.to.astimezone(UTC).isoformat())
        return RecoveryTarget("latest") if self.point is None else RecoveryTarget("name", self.point)


@click.command()
@lab_argument
@collect(
    RestoreOptions,
    also_lab_option,
    click.option(
        "--to", "to", type=Moment(), metavar="TIME", help="To what was committed by then; ISO 8601."
    ),
    click.option("--name", "point", metavar="POINT", help="To a restore point (pg_create_restore_point)."),
    click.option("--latest", is_flag=True, help="To the end of the archive: the default."),
    click.option(
        "--node", metavar="N", help="Name of the server that is made; restored-1, -2, … by default."
    ),
    click.option(
        "--port", type=click.IntRange(1, 65535), help="Publish it there on 127.0.0.1; at a free port without."
    ),
    json_option,
)
@asynchronous
async def restore(lab: str | None, options: RestoreOptions) -> None:
    """Restore a server of its own from the backups of LAB and its archive; the cluster goes on as it is."""
    target = options.target()
    cluster = lifecycle.attach(_one(lab, options.lab_too))
    with Reporter("restore") as progress:
        found = await cluster_backups.restore(cluster, target, progress, name=options.node, port=options.port)
    if options.as_json:
        print_json(
            {
                "lab": cluster.lab.name,
                "node": found.name,
                "address": found.address,
                "port": found.port,
                "published_port": found.published_port,
                "backup": found.backup,
                "target": found.target,
                "timeline": found.timeline,
                "lsn": format_lsn(found.lsn),
                "took_s": found.took_s,
            }
        )
        return
    say(f"{found.name}: {found.backup} and the archive up to {found.target}, after {found.took_s} s")
    say(f"it takes writes on timeline {found.timeline}, which begins at {format_lsn(found.lsn)}")
    say(
        f"127.0.0.1:{found.published_port}; outlast psql --node {found.name}; outlast remove-node {found.name}"
    )


def _one(lab: str | None, lab_too: str | None) -> str | None:
    if lab is not None and lab_too is not None and lab != lab_too:
        raise click.UsageError(f"LAB says {lab} and --lab {lab_too}")
    return lab or lab_too


def _document(one: Backup) -> dict[str, JSON]:
    return {
        "label": one.label,
        "type": one.kind,
        "started": one.started.isoformat(),
        "stopped": one.stopped.isoformat(),
        "size_bytes": one.size_bytes,
        "stored_bytes": one.stored_bytes,
        "wal_start": one.wal_start,
        "wal_stop": one.wal_stop,
    }


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


COMMANDS: Final = (backup, backups, restore)
