"""``outlast doctor``: what this machine has and lacks; with --lab, what is wrong with a cluster."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from outlast.checkers.base import Verdict
from outlast.cli.options import json_option
from outlast.cli.output import EXIT_CODES, OUT, asynchronous, print_json
from outlast.clusters import lifecycle
from outlast.clusters.cluster_checks import examine
from outlast.clusters.diagnosis import CheckState, is_well
from outlast.clusters.machine_checks import examine_machine
from outlast.report.literal import literal_text

if TYPE_CHECKING:
    from outlast.history.history import JSON

_STYLES: Final = {
    CheckState.OK: "green",
    CheckState.NOTE: "yellow",
    CheckState.MISSING: "yellow",
    CheckState.BAD: "bold red",
    CheckState.UNSEEN: "magenta",
}


@click.command()
@click.option("--lab", metavar="L", help="Examine this lab's cluster instead of the machine.")
@json_option
@asynchronous
async def doctor(lab: str | None, as_json: bool) -> int:
    """Say what is found, missing and known bad, each with the command that helps, and what could not be looked at."""
    found = await examine_machine() if lab is None else await examine(lifecycle.attach(lab))
    if as_json:
        checks: list[JSON] = [asdict(one) for one in found]
        print_json({"lab": lab, "well": is_well(found), "checks": checks})
    else:
        for one in found:
            OUT.print(
                literal_text(f"{one.state:<8}", _STYLES[one.state]) + literal_text(f"{one.check}: {one.said}")
            )
            if one.remedy:
                OUT.print(literal_text(f"        → {one.remedy}"))
    if any(one.state is CheckState.BAD for one in found):
        return EXIT_CODES[Verdict.FAIL]
    return EXIT_CODES[Verdict.PASS if is_well(found) else Verdict.UNKNOWN]


COMMANDS: Final = (doctor,)
