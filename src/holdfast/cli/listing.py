"""``holdfast ls``: what there is to choose from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Final

import click
from rich.text import Text

from holdfast.cli.output import OUT, json_option, print_json, table
from holdfast.cluster import lifecycle
from holdfast.cluster.systems import system_names
from holdfast.faults.registry import faults
from holdfast.history.history import JSON
from holdfast.hosts.state import runs_folder
from holdfast.spec import drill_suites, load_cluster, preset_names, settings


def _faults() -> list[dict[str, JSON]]:
    """Ask each fault whether it could be injected into the default cluster, by this user, on this kernel."""
    with lifecycle.imagined(load_cluster("patroni", ["disks=on"])) as cluster:
        return [
            {
                "name": fault.name,
                "available": fault.available(cluster) or True,
                "about": fault.about,
                "params": [asdict(param) for param in fault.params],
            }
            for fault in faults()
        ]


def _drills() -> list[dict[str, JSON]]:
    return [{"name": name, "suite": suite} for suite, names in drill_suites().items() for name in names]


def _settings() -> list[dict[str, JSON]]:
    return [asdict(one) for one in settings()]


def _named(names: Callable[[], tuple[str, ...]]) -> Callable[[], list[dict[str, JSON]]]:
    return lambda: [{"name": name} for name in names()]


def _runs() -> tuple[str, ...]:
    return tuple(sorted(folder.name for folder in runs_folder().iterdir() if folder.is_dir()))


KINDS: Final[Mapping[str, Callable[[], list[dict[str, JSON]]]]] = {
    "presets": _named(preset_names),
    "systems": _named(system_names),
    "drills": _drills,
    "faults": _faults,
    "settings": _settings,
    "labs": _named(lifecycle.labs),
    "runs": _named(_runs),
}


@click.command(name="ls")
@click.argument("kind", type=click.Choice(sorted(KINDS)))
@json_option
def ls(kind: str, as_json: bool) -> None:
    """List what there is: presets, systems, drills, faults, settings, labs, runs."""
    found = KINDS[kind]()
    if as_json:
        print_json({kind: list(found)})
        return
    columns = list(dict.fromkeys(key for one in found for key in one if not isinstance(one[key], list)))
    shown = table(*columns)
    for one in found:
        shown.add_row(*(Text("" if one.get(key) is None else str(one[key])) for key in columns))
    OUT.print(shown)


COMMANDS: Final = (ls,)
