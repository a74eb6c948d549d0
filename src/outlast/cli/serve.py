"""``outlast serve``: the live page and the control API under it."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Final

import click

from outlast.cli.options import json_option
from outlast.cli.output import ERR, asynchronous, print_json
from outlast.errors import ConfigError
from outlast.extras import require
from outlast.report.literal import literal_text

PORT: Final = 8432


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0 for any free one."
)
@click.option(
    "--token-file", metavar="F", help="Take the token from a file of yours, mode 0600, instead of a new one."
)
@click.option("--no-token", is_flag=True, help="Let everybody on this machine look, and nobody act.")
@json_option
@asynchronous
async def serve(port: int, token_file: str | None, no_token: bool, as_json: bool) -> None:
    """Serve the live page on 127.0.0.1: watch labs, break them, read past runs. Until Ctrl-C."""
    require("web")
    from outlast.web import server

    if no_token and token_file is not None:
        raise ConfigError("--no-token and --token-file do not go together")
    token = "" if no_token else server.new_token()
    if token_file is not None:
        token = server.read_token(Path(token_file))

    def ready(address: str) -> None:
        shown = token if token and token_file is None else None
        if as_json:
            print_json({"url": address, "token": shown})
            return
        # The token stands in the fragment: a browser keeps that to itself, and so no log gets it.
        where = f"{address}#token={shown}" if shown else address
        ERR.print(literal_text(f"{where}\nCtrl-C ends it."))

    with contextlib.suppress(asyncio.CancelledError):  # to be stopped is how it ends
        await server.serve(port, token, ready)


COMMANDS: Final = (serve,)
