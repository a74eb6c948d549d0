"""Commands of an operator: switchover, failover, restart, exec, validate."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import click

from outlast.cli.options import json_option, lab_option
from outlast.cli.output import Reporter, asynchronous, print_json, say
from outlast.clock import now_ns, seconds_between
from outlast.clusters import lifecycle
from outlast.clusters import operation as operate
from outlast.clusters.system_registry import system
from outlast.config import DrillSpec, load_any, load_cluster
from outlast.errors import ConfigError, HostError, UnavailableError
from outlast.hosts.base import Program
from outlast.hosts.netns.host import NetnsHost
from outlast.systems.base import Cluster, Maintainable, Switchable
from outlast.systems.wait import wait_until_ready

if TYPE_CHECKING:
    from outlast.history.history import JSON

WHOLE_TIMEOUT_S: Final = 120.0


@click.command()
@lab_option
@click.option("--to", "target", metavar="NODE", help="The node to lead; the manager's choice by default.")
@json_option
@asynchronous
async def switchover(lab: str | None, target: str | None, as_json: bool) -> None:
    """Move the primary while it is healthy."""
    cluster = lifecycle.attach(lab)
    if not isinstance(cluster, Switchable):
        raise UnavailableError(f"{cluster.spec.system} cannot switch over")
    if target is not None:
        operate.known(cluster, target)
    await _move(cluster, "switchover", lambda: cluster.switchover(target), as_json)


@click.command()
@lab_option
@click.option("--to", "target", metavar="NODE", help="The node to lead; any healthy standby by default.")
@json_option
@asynchronous
async def failover(lab: str | None, target: str | None, as_json: bool) -> None:
    """Have the manager promote a standby, whether or not there is a primary."""
    cluster = lifecycle.attach(lab)
    if not isinstance(cluster, Switchable):
        raise UnavailableError(f"{cluster.spec.system} cannot fail over on demand")
    if target is not None:
        operate.known(cluster, target)
    await _move(cluster, "failover", lambda: cluster.failover(target), as_json)


@click.command()
@lab_option
@click.argument("nodes", nargs=-1)
@json_option
@asynchronous
async def restart(lab: str | None, nodes: tuple[str, ...], as_json: bool) -> None:
    """Restart servers, one after another, standbys first; all nodes without NODES."""
    cluster = lifecycle.attach(lab)
    start = now_ns()
    with Reporter("restart", quiet=as_json) as progress:
        out = await cluster.in_maintenance() if isinstance(cluster, Maintainable) else frozenset()
        everyone = [node.name for node in cluster.spec.nodes if node.name not in out]
        order = await operate.restart_all(cluster, list(dict.fromkeys(nodes)) or everyone, progress)
    took_s = round(seconds_between(start, now_ns()), 3)
    if as_json:
        done: list[JSON] = list(order)
        print_json({"lab": cluster.lab.name, "restarted": done, "took_s": took_s})
    else:
        say(f"restarted {', '.join(order)} in {took_s} s")


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


@click.command()
@click.argument("file")
@json_option
def validate(file: str, as_json: bool) -> None:
    """Check a cluster or drill file, and say what it describes; nothing is made."""
    found = load_any(file)
    if isinstance(found, DrillSpec):
        # Here: operating a cluster needs none of it.
        from outlast.routes.registry import with_route
        from outlast.run.prepare import plan_drill

        own = found.cluster.preset
        cluster = with_route(load_cluster(own or "patroni", needs=found.cluster), found.route)
        plan_drill(found, cluster if own else None)
        described: JSON = {"kind": "drill", "name": found.name, "duration_s": found.duration_s}
        words = f"drill {found.name}: {len(found.timeline)} entries in {found.duration_s:g} s"
    else:
        for one in found:
            if illegal := system(one.system).illegal(one):
                raise ConfigError(illegal, file=file)
        described = {
            "kind": "cluster",
            "clusters": [{"name": one.name, "system": one.system} for one in found],
        }
        words = "; ".join(f"cluster {one.name}: {one.system}, {len(one.nodes)} nodes" for one in found)
    if as_json:
        print_json({"file": file, "valid": True, **described} if isinstance(described, dict) else described)
    else:
        say(f"{file}: {words}")


async def _move(cluster: Cluster, what: str, move: Callable[[], Awaitable[str]], as_json: bool) -> None:
    """Move the primary, wait until all is whole again, and say how long both took."""
    start = now_ns()
    with Reporter(what, quiet=as_json) as progress:
        progress("asking the manager")
        primary = await move()
        moved_s = round(seconds_between(start, now_ns()), 3)
        progress(f"{primary} leads; waiting for the others")
        await wait_until_ready(cluster, WHOLE_TIMEOUT_S)
    whole_s = round(seconds_between(start, now_ns()), 3)
    if as_json:
        print_json({"lab": cluster.lab.name, "primary": primary, "moved_s": moved_s, "whole_s": whole_s})
    else:
        say(f"{primary} leads after {moved_s} s; whole after {whole_s} s")


COMMANDS: Final = (switchover, failover, restart, execute, validate)
