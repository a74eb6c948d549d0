"""Commands that move the primary or restart servers: switchover, failover, restart."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import click

from outlast.cli.options import json_option, lab_option
from outlast.cli.output import Reporter, asynchronous, print_json, say
from outlast.clock import now_ns, seconds_between
from outlast.clusters import lifecycle
from outlast.clusters import operation as operate
from outlast.errors import UnavailableError
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


COMMANDS: Final = (switchover, failover, restart)
