"""Commands that change a cluster that runs: add-node, remove-node, reseed, maintenance, set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import click

from outlast.cli.labs import node_document
from outlast.cli.options import json_option, lab_option
from outlast.cli.output import Reporter, asynchronous, print_json, say
from outlast.clock import now_ns, seconds_between
from outlast.clusters import lifecycle
from outlast.clusters import operation as operate
from outlast.clusters.backups import is_restored
from outlast.errors import ConfigError

if TYPE_CHECKING:
    from outlast.config.cluster import Role
    from outlast.history.history import JSON


@click.command(name="add-node")
@click.argument("name", required=False)
@lab_option
@click.option("--role", type=click.Choice(["standby", "read-only"]), default="standby", show_default=True)
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Publish it there on 127.0.0.1; at a free port without."
)
@click.option("--priority", type=click.IntRange(0, 100), help="Higher is promoted first.")
@json_option
@asynchronous
async def add_node(
    name: str | None, lab: str | None, role: Role, port: int | None, priority: int | None, as_json: bool
) -> None:
    """Add a node to a cluster that runs; it copies the primary, also under load. NAME: the next free number."""
    cluster = lifecycle.attach(lab)
    start = now_ns()
    with Reporter("add-node") as progress:
        node = await operate.add_node(cluster, name, progress, role=role, port=port, priority=priority)
    took_s = _since(start)
    if as_json:
        print_json({"lab": cluster.lab.name, "node": node_document(node), "streaming_s": took_s})
    else:
        say(
            f"{node.name} streams at {node.address}:{node.port}, 127.0.0.1:{node.published_port}, after {took_s} s"
        )


@click.command(name="remove-node")
@click.argument("name")
@lab_option
@json_option
@asynchronous
async def remove_node(name: str, lab: str | None, as_json: bool) -> None:
    """Remove a standby from a cluster that runs: its server, its slot, its entry with the manager, its host.

    A server that was restored goes too, with all its data.
    """
    cluster = lifecycle.attach(lab)
    start = now_ns()
    with Reporter("remove-node") as progress:
        if is_restored(cluster.lab, name):
            await cluster.lab.remove_host(name)
        else:
            await operate.remove_node(cluster, name, progress)
    took_s = _since(start)
    left: list[JSON] = [node.name for node in cluster.spec.nodes]
    if as_json:
        print_json({"lab": cluster.lab.name, "removed": name, "nodes": left, "took_s": took_s})
    else:
        say(f"removed {name} in {took_s} s; {', '.join(map(str, left))} stay")


@click.command()
@click.argument("node")
@lab_option
@json_option
@asynchronous
async def reseed(node: str, lab: str | None, as_json: bool) -> None:
    """Throw all data of a standby away and copy the primary's, whether or not its server runs."""
    cluster = lifecycle.attach(lab)
    start = now_ns()
    with Reporter("reseed") as progress:
        await operate.reseed(cluster, node, progress)
    took_s = _since(start)
    if as_json:
        print_json({"lab": cluster.lab.name, "node": node, "took_s": took_s})
    else:
        say(f"{node} streams from a new copy after {took_s} s")


@click.command()
@click.argument("node")
@click.argument("switch", type=click.Choice(["on", "off"]))
@lab_option
@json_option
@asynchronous
async def maintenance(node: str, switch: str, lab: str | None, as_json: bool) -> None:
    """Stop a standby for work on it and keep it stopped (on), or let it join again (off)."""
    cluster = lifecycle.attach(lab)
    start = now_ns()
    with Reporter("maintenance") as progress:
        await operate.set_maintenance(cluster, node, switch == "on", progress)
    took_s = _since(start)
    if as_json:
        print_json({"lab": cluster.lab.name, "node": node, "maintenance": switch == "on", "took_s": took_s})
    else:
        say(f"{node} is {'in maintenance' if switch == 'on' else 'back and streams'} after {took_s} s")


@click.command(name="set")
@click.argument("settings", nargs=-1, required=True, metavar="NAME=VALUE…")
@lab_option
@json_option
@asynchronous
async def set_settings(settings: Sequence[str], lab: str | None, as_json: bool) -> None:
    """Change PostgreSQL settings on every node; only nodes that must restart do, one after another.

    When a node does not come back with them, the old values return.
    """
    parameters = dict(_setting(text) for text in settings)
    cluster = lifecycle.attach(lab)
    start = now_ns()
    with Reporter("set") as progress:
        restarted = await operate.set_parameters(cluster, parameters, progress)
    took_s = _since(start)
    if as_json:
        nodes: list[JSON] = list(restarted)
        print_json(
            {"lab": cluster.lab.name, "settings": dict(parameters), "restarted": nodes, "took_s": took_s}
        )
    else:
        words = f"restarted {', '.join(restarted)}" if restarted else "nothing had to restart"
        say(f"set in {took_s} s; {words}")


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"{text!r} is not NAME=VALUE", hint="for example work_mem=8MB")
    return name.strip().removeprefix("postgresql.parameters."), value.strip()


def _since(start_ns: int) -> float:
    return round(seconds_between(start_ns, now_ns()), 3)


COMMANDS: Final = (add_node, remove_node, reseed, maintenance, set_settings)
