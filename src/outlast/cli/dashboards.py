"""``outlast dashboards``: the Grafana dashboards, written for a person's own Grafana."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from outlast.cli.options import json_option
from outlast.cli.output import print_json, say
from outlast.monitoring.grafana.export import write_all

if TYPE_CHECKING:
    from outlast.history.history import JSON


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--prometheus", "url", metavar="URL", default="http://127.0.0.1:9090", show_default=True,
              help="Where that Grafana finds Prometheus.")  # fmt: skip
@json_option
def dashboards(folder: Path, url: str, as_json: bool) -> None:
    """Write the Grafana dashboards and the provisioning files that load them below FOLDER."""
    written = write_all(folder, url)
    if as_json:
        paths: list[JSON] = [str(path) for path in written]
        print_json({"written": paths})
        return
    for path in written:
        say(str(path))


COMMANDS: Final = (dashboards,)
