"""``outlast ls``: what there is to choose from. Each kind imports the room it lists, so that no list waits for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from outlast.cli.options import json_option
from outlast.cli.output import OUT, print_json, run_async, table
from outlast.errors import UnavailableError
from outlast.hosts.state import labs_folder, runs_folder
from outlast.report.literal import literal_text

if TYPE_CHECKING:
    from outlast.faults.base import Fault
    from outlast.history.history import JSON


def _presets() -> list[dict[str, JSON]]:
    from outlast.config import preset_names

    return [{"name": name} for name in preset_names()]


def _systems() -> list[dict[str, JSON]]:
    from outlast.clusters.system_registry import system_names

    return [{"name": name} for name in system_names()]


def _drills() -> list[dict[str, JSON]]:
    from outlast.config import drill_suites

    found: list[dict[str, JSON]] = [
        {"name": name, "suite": suite} for suite, names in drill_suites().items() for name in names
    ]
    return [*found, {"name": "alerts", "suite": None}]


def _suites() -> list[dict[str, JSON]]:
    from outlast.suites.suite import load_suite, suite_names

    found = [load_suite(name) for name in suite_names()]
    return [
        {
            "name": one.name,
            "title": one.title,
            "members": [
                *(check.name for check in one.checks),
                *one.drills,
                *(case.name for case in one.cases),
            ],
        }
        for one in found
    ]


def _faults() -> list[dict[str, JSON]]:
    """Ask each fault whether it could be injected into the default cluster, by this user, on this kernel."""
    from outlast.clusters import lifecycle
    from outlast.config import load_cluster
    from outlast.faults.registry import faults

    async def ask() -> list[dict[str, JSON]]:
        try:
            async with lifecycle.dry_lab(load_cluster("patroni", ["disks=on"])) as cluster:
                return [_fault(fault, fault.available(cluster)) for fault in faults()]
        except UnavailableError as error:
            return [_fault(fault, error.message) for fault in faults()]

    return run_async(ask())


def _fault(fault: Fault, reason: str | None) -> dict[str, JSON]:
    return {
        "name": fault.name,
        "available": reason or True,
        "about": fault.about,
        "params": [asdict(param) for param in fault.params],
    }


def _workloads() -> list[dict[str, JSON]]:
    """Say of each workload what it does and needs, as its own file begins."""
    import inspect

    from outlast.workloads import WORKLOADS

    return [
        {
            "name": name,
            "about": " ".join((inspect.getdoc(inspect.getmodule(workload)) or "").split("\n\n")[0].split()),
            "params": dict(workload.params),
            "checkers": list(workload.checkers),
        }
        for name, workload in WORKLOADS.items()
    ]


def _settings() -> list[dict[str, JSON]]:
    from outlast.config import settings

    return [asdict(one) for one in settings()]


def _checks() -> list[dict[str, JSON]]:
    from outlast.config.limits import LIMITS
    from outlast.run.checks import CHECKS

    return [
        {
            "name": limit.name,
            "kind": limit.kind.value,
            "default": limit.default,
            "about": limit.about,
            "checkers": [check.name for check in CHECKS if check.limit == limit.name],
        }
        for limit in LIMITS.values()
    ]


def _dashboards() -> list[dict[str, JSON]]:
    from outlast.monitoring.grafana.catalogue import DASHBOARDS

    return [{"name": one.file, "title": one.title, "uid": one.uid, "about": one.about} for one in DASHBOARDS]


def _alerts() -> list[dict[str, JSON]]:
    from outlast.monitoring.prometheus import alerts

    return [asdict(one) for one in alerts()]


def _folders(parent: Path) -> list[dict[str, JSON]]:
    return [{"name": folder.name} for folder in sorted(parent.iterdir()) if folder.is_dir()]


KINDS: Final[Mapping[str, Callable[[], list[dict[str, JSON]]]]] = {
    "presets": _presets,
    "systems": _systems,
    "drills": _drills,
    "suites": _suites,
    "faults": _faults,
    "settings": _settings,
    "workloads": _workloads,
    "checks": _checks,
    "dashboards": _dashboards,
    "alerts": _alerts,
    "labs": lambda: _folders(labs_folder()),
    "runs": lambda: _folders(runs_folder()),
}


@click.command(name="ls")
@click.argument("kind", type=click.Choice(sorted(KINDS)))
@json_option
def ls(kind: str, as_json: bool) -> None:
    """List what there is: presets, systems, drills, suites, faults, checks, settings, alerts, labs, runs and more."""
    found = KINDS[kind]()
    if as_json:
        print_json({kind: list(found)})
        return
    columns = list(dict.fromkeys(key for one in found for key in one if not isinstance(one[key], list)))
    shown = table(*columns)
    for one in found:
        shown.add_row(*(literal_text("" if one.get(key) is None else str(one[key])) for key in columns))
    OUT.print(shown)


COMMANDS: Final = (ls,)
