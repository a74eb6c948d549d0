"""``outlast notify``: posts the failovers and alerts of a lab that is up, as long as it runs."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import click

from outlast.cli.options import Duration, json_option, lab_option
from outlast.cli.output import ERR, asynchronous, print_json, say
from outlast.clusters import lifecycle
from outlast.notify.notifier import notifying
from outlast.notify.webhook import choose
from outlast.report.literal import literal_text

if TYPE_CHECKING:
    from outlast.history.history import JSON

FOR_EVER_S: Final = 10 * 365 * 86400.0


@click.command()
@click.argument("url")
@lab_option
@click.option("--for", "for_s", type=Duration(none=True), metavar="SECONDS", help="End after that.")
@json_option
@asynchronous
async def notify(url: str, lab: str | None, for_s: float | None, as_json: bool) -> None:
    """Post failovers and alerts of a lab to URL until Ctrl-C; OUTLAST_WEBHOOK_SECRET signs them.

    A lab's own hosts reach nothing but the lab, so it is this program that posts.
    """
    choose(url)
    cluster = lifecycle.attach(lab)
    about: dict[str, JSON] = {"lab": cluster.lab.name}
    events: list[JSON] = []
    with contextlib.suppress(asyncio.CancelledError):  # Ctrl-C is how it ends
        async with notifying(
            cluster,
            about,
            lambda words: ERR.print(literal_text(words)),
            lambda event, body: events.append({"event": event, **body}),
        ) as tell:
            tell("watching", {"system": cluster.spec.system})
            if not as_json:
                say(f"{cluster.lab.name}: failovers and alerts go to {url}")
            await asyncio.sleep(FOR_EVER_S if for_s is None else for_s)
    if as_json:
        print_json({**about, "events": events})


COMMANDS: Final = (notify,)
