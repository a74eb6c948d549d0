"""``holdfast notify``: posts the failovers and alerts of a lab that is up, as long as it runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import click

from holdfast.cli.options import Duration, lab_option
from holdfast.cli.output import ERR, asynchronous, say
from holdfast.cluster import lifecycle
from holdfast.report.plain import plain
from holdfast.run.notify import notifying
from holdfast.run.webhook import choose

if TYPE_CHECKING:
    from holdfast.history.history import JSON

FOR_EVER_S: Final = 10 * 365 * 86400.0


@click.command()
@click.argument("url")
@lab_option
@click.option("--for", "for_s", type=Duration(none=True), metavar="SECONDS", help="End after that.")
@asynchronous
async def notify(url: str, lab: str | None, for_s: float | None) -> None:
    """Post failovers and alerts of a lab to URL until Ctrl-C; HOLDFAST_WEBHOOK_SECRET signs them.

    A lab's own hosts reach nothing but the lab, so it is this program that posts.
    """
    choose(url)
    cluster = lifecycle.attach(lab)
    about: dict[str, JSON] = {"lab": cluster.lab.name}
    async with notifying(cluster, about, lambda words: ERR.print(plain(words))) as tell:
        tell("watching", {"system": cluster.spec.system})
        say(f"{cluster.lab.name}: failovers and alerts go to {url}")
        await asyncio.sleep(FOR_EVER_S if for_s is None else for_s)


COMMANDS: Final = (notify,)
