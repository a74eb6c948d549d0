"""``outlast bench``: measures Outlast beside its peers. The benches live in the checkout, not in the wheel."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

import outlast
from outlast.cli.options import json_option
from outlast.cli.output import OUT, Reporter, print_json, table
from outlast.errors import UnavailableError
from outlast.extras import install_command
from outlast.history.history import JSON

if TYPE_CHECKING:
    from benchmarks.case import Case

CHECKOUT: Final = Path(outlast.__file__).parents[2]
BENCHES: Final = (
    "bringup",
    "destroy",
    "faults",
    "healthcare",
    "idle",
    "linearizable",
    "list-append",
    "load",
    "monitoring",
    "outage",
    "raftlog",
    "recorder",
    "report",
    "soak",
)


@click.command()
@click.argument("name", type=click.Choice(BENCHES))
@json_option
def bench(name: str, as_json: bool) -> None:
    """Measure Outlast, beside a peer that does the same work where there is one."""
    with Reporter(f"bench {name}", quiet=as_json) as progress:
        progress("measuring")
        cases = _cases(name)
    if as_json:
        print_json({"bench": name, "cases": [_document(one) for one in cases]})
        return
    shown = table("case", "ours", "peer", "unit", "ratio", "peer is")
    for one in cases:
        shown.add_row(
            one.case, _figure(one.ours), _figure(one.peer), one.unit, _figure(one.ratio), one.peer_name
        )
    OUT.print(shown)


def _cases(name: str) -> list[Case]:
    """Run the bench ``benchmarks/<name>.py`` of the checkout. Raises UnavailableError without it or what it needs."""
    module = name.replace("-", "_")
    if not (CHECKOUT / "benchmarks" / f"{module}.py").is_file():
        raise UnavailableError(
            "the benches are not part of the installed package",
            hint="run it from a checkout of the source: pip install -e . there brings this command with them",
        )
    sys.path.insert(0, str(CHECKOUT))
    try:
        found: list[Case] = importlib.import_module(f"benchmarks.{module}").cases()
    except ModuleNotFoundError as error:  # a peer's client, or a part of ours that is optional
        raise UnavailableError(
            f"bench {name} needs a package that is not installed: {error.name}", hint=install_command("dev")
        ) from None
    return found


def _document(one: Case) -> JSON:
    return {
        "case": one.case,
        "ours": one.ours,
        "peer": one.peer,
        "peer_name": one.peer_name,
        "unit": one.unit,
        "ratio": one.ratio,
    }


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


COMMANDS: Final = (bench,)
