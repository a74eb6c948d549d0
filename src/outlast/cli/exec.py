"""``outlast exec``: a program on a host of a lab, on this terminal."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

import click

from outlast.cli.options import json_option, lab_option
from outlast.cli.output import asynchronous, print_json
from outlast.clusters import lifecycle
from outlast.errors import ConfigError, HostError, UnavailableError
from outlast.hosts.base import Program
from outlast.hosts.netns.host import NetnsHost

if TYPE_CHECKING:
    pass


@click.command(
    name="exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@lab_option
@click.argument("host")
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED)
@json_option
@asynchronous
async def execute(lab: str | None, host: str, argv: tuple[str, ...], as_json: bool) -> int:
    """Run a program on a host of the lab, on this terminal; with --json, before HOST, what it says is part of it."""
    cluster = lifecycle.attach(lab)
    found = cluster.lab.hosts.get(host)
    if not isinstance(found, NetnsHost):
        raise ConfigError(f"there is no host {host}", hint=f"hosts: {', '.join(cluster.lab.hosts)}")
    words = list(argv[1:] if argv[0] == "--" else argv)
    if not words:
        raise click.UsageError("name a program after --")
    streams = _terminal()
    if as_json:
        streams[1:] = [os.memfd_create("stdout"), os.memfd_create("stderr")]
    try:
        process = await found.attach(Program(words[0], words, "log/exec.log"), streams)
    except HostError as error:  # no such program, a host that is off
        raise UnavailableError(error.message, hint=f"outlast exec {host} ls /usr/bin") from error
    code = await process.wait(None)
    if as_json:
        said = [_written(one) for one in streams[1:]]
        print_json({"host": host, "code": code, "stdout": said[0], "stderr": said[1]})
    return code if code >= 0 else 128 - code


def _written(file: int) -> str:
    """Return all that was written to a file in memory, and close it."""
    with os.fdopen(file, "rb") as opened:
        opened.seek(0)
        return opened.read().decode(errors="replace")


def _terminal() -> list[int]:
    """Return our own input, output and errors, as descriptors; /dev/null for one that was closed."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return [os.open(os.devnull, os.O_RDWR) if one is None else one.fileno() for one in streams]


COMMANDS: Final = (execute,)
