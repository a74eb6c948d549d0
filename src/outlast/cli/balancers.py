"""The program ``pgbalancer-cluster``: clusters with balancers, from one JSON file, under its makers' commands.

A thin way to the same labs that ``outlast`` works on: one lab a balancer, named after the cluster. The commands may be
spelled as options too (``--init``), and without ``--config`` the file of the last call is taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from outlast.cli.labs import node_document
from outlast.cli.main import run
from outlast.cli.options import json_option
from outlast.cli.output import ERR, asynchronous, print_json, say
from outlast.clusters import lifecycle
from outlast.clusters import operation as operate
from outlast.clusters.service_registry import BalancerView, balancer_views, with_services
from outlast.config import BalancerCluster, ClusterSpec, load_balancers
from outlast.config.loader import load_clusters
from outlast.errors import ConfigError
from outlast.hosts.state import state_folder
from outlast.report.literal import literal_text
from outlast.systems.base import Cluster, ClusterView, Progress, Role

if TYPE_CHECKING:
    from outlast.history.history import JSON

ACTIONS: Final = ("init", "status", "destroy", "add-replica", "remove-replica")
REMEMBERED: Final = "pgbalancer-cluster.json"
HEALTH_POLL_S: Final = 0.1
HEALTH_CHECKS_MAX: Final = 300
_ROLES: Final = {Role.PRIMARY: "PRIMARY", Role.STANDBY: "REPLICA", Role.READ_ONLY: "REPLICA"}


def main() -> None:
    """Run the program; exits as ``outlast`` does."""
    sys.exit(run(spelled(sys.argv[1:]), balancers, "pgbalancer-cluster"))


def spelled(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with an action that is spelled as an option as the word that it is."""
    options = {f"--{action}": action for action in ACTIONS}
    return [options.get(one, one) for one in arguments]


@click.command(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Each ACTION may be written as an option too: --init, --status, --destroy, …",
)
@click.argument("action", type=click.Choice(ACTIONS), metavar="ACTION")
@click.argument("replica", required=False)
@click.option("--config", metavar="FILE", help="The cluster's JSON; the last one used without.")
@click.option("--balancer", metavar="NAME", help="Which balancer's replicas, where the file has several.")
@click.option("--port", type=click.IntRange(1, 65535), help="Where add-replica publishes the new one.")
@click.option("-v", "--verbose", is_flag=True, help="Say what the work is at.")
@json_option
@asynchronous
async def balancers(
    action: str,
    replica: str | None,
    config: str | None,
    balancer: str | None,
    port: int | None,
    verbose: bool,
    as_json: bool,
) -> int:
    """Manage PostgreSQL clusters behind balancers: init, status, destroy, add-replica, remove-replica [REPLICA]."""
    file = _config(config)
    described, specs = load_balancers(file), load_clusters(file)
    _remember(file)
    match action:
        case "init":
            await _init(described, specs, verbose, as_json)
        case "status":
            return await _status(described, specs, as_json)
        case "destroy":
            return await _destroy(described, specs, as_json)
        case _:
            spec = _which(described, specs, balancer)
            cluster = lifecycle.attach(spec.name)
            if action == "add-replica":
                added = await operate.add_node(cluster, replica, _teller(verbose), port=port)
                if as_json:
                    print_json({"lab": spec.name, "node": node_document(added)})
                else:
                    say(f"{added.name} streams at {added.address}, port {added.published_port}")
            elif replica is None:
                raise ConfigError("remove-replica needs the name of a replica", hint="status lists them")
            else:
                await operate.remove_node(cluster, replica, _teller(verbose))
                left: list[JSON] = [node.name for node in cluster.spec.nodes]
                if as_json:
                    print_json({"lab": spec.name, "removed": replica, "nodes": left})
                else:
                    say(f"Removed: {replica}; {', '.join(map(str, left))} stay")
    return 0


async def _init(
    described: BalancerCluster, specs: Sequence[ClusterSpec], verbose: bool, as_json: bool
) -> None:
    """Bring every balancer's cluster up, or none of them."""
    made: list[str] = []
    tell = _teller(verbose)
    shown: list[JSON] = []
    try:
        for spec in specs:
            ERR.print(literal_text(f"Creating network: {spec.network} ({spec.subnet})"))
            found = await lifecycle.bring_up(spec, spec.name, tell, keep=True)
            made.append(spec.name)
            for node in spec.nodes:
                checks = await _healthy(found.cluster, node.name)
                ERR.print(
                    literal_text(f"   {node.name} is healthy (after {checks} check{'s' * (checks > 1)})")
                )
            shown.append(
                {
                    "lab": spec.name,
                    "writable_s": round(found.writable_s, 3),
                    "ready_s": round(found.ready_s, 3),
                }
            )
    except BaseException:
        for name in reversed(made):
            await asyncio.shield(lifecycle.take_down(name))
        raise
    if as_json:
        print_json({"cluster": described.cluster_name, "labs": shown})
    else:
        say(f"Cluster initialization complete: {described.cluster_name}")


async def _healthy(cluster: Cluster, node: str) -> int:
    """Return after how many looks a node was healthy. Raises ConfigError when it never was."""
    for checks in range(1, HEALTH_CHECKS_MAX + 1):
        if (await cluster.view()).node(node).healthy:
            return checks
        await asyncio.sleep(HEALTH_POLL_S)
    raise ConfigError(f"{node} does not become healthy", hint=f"outlast logs {node}")


async def _status(described: BalancerCluster, specs: Sequence[ClusterSpec], as_json: bool) -> int:
    """Show every balancer and the servers behind it; returns 1 when something of it is not well."""
    up = lifecycle.labs()
    documents: list[JSON] = []
    well = True
    if not as_json:
        say(f"Configuration loaded: {described.cluster_name}")
        say(f"   Balancers: {len(specs)}")
        for one in described.balancers:
            say(f"     - {one.name}: 1 primary + {len(one.replicas)} replicas")
    for spec, one in zip(specs, described.balancers, strict=True):
        if spec.name not in up:
            documents.append({"balancer": one.name, "lab": spec.name, "up": False, "nodes": []})
            well = False
            if not as_json:
                say(f"\npgBalancer: {one.name}: not up; pgbalancer-cluster init brings it up")
            continue
        cluster = lifecycle.attach(spec.name)
        view = await with_services(cluster)
        well = well and view.ready
        views = balancer_views(cluster, view)
        if as_json:
            nodes: list[JSON] = [node_document(node) for node in view.nodes]
            shown = next((asdict(found) for found in views if found.name == one.name), {})
            ports: dict[str, JSON] = {key: shown.get(key) for key in ("port", "pcp_port", "rest_port")}
            documents.append(
                {
                    "balancer": one.name,
                    "lab": spec.name,
                    "up": True,
                    "ready": view.ready,
                    "address": one.ip_address,
                    **ports,
                    "nodes": nodes,
                }
            )
        else:
            _show(one.name, views, view)
    if as_json:
        print_json({"cluster": described.cluster_name, "balancers": documents})
    return 0 if well else 1


def _show(name: str, views: Sequence[BalancerView], view: ClusterView) -> None:
    found = next((one for one in views if one.name == name), None)
    if found is None:
        say(f"\npgBalancer: {name}: left out, its program is not installed (make systems)")
    else:
        say(f"\npgBalancer: {name} - {'healthy' if found.healthy else 'unhealthy'}")
        say(f"   Ports: {found.port} (main), {found.pcp_port} (PCP), {found.rest_port or '-'} (REST)")
        say(f"   IP: {found.address}")
    say("   Backend Nodes:")
    count = 0
    for node in view.nodes:
        if node.role not in _ROLES:
            continue
        role = _ROLES[node.role]
        if node.role is not Role.PRIMARY:
            count += 1
            role = f"{role} {count}"
        status = "stopped" if node.lsn is None else "running"
        health = "healthy" if node.healthy else "unhealthy"
        lag = (
            ""
            if node.lag_bytes is None
            else f" | Lag: {node.lag_bytes} bytes, {node.replay_lag_s or 0:.3f} s"
        )
        say(
            f"      [{role}] {node.name} - Status: {status} | Health: {health}{lag} | Port: {node.published_port}"
        )


async def _destroy(described: BalancerCluster, specs: Sequence[ClusterSpec], as_json: bool) -> int:
    """Remove every lab of the file and prove that nothing is left of it."""
    up = lifecycle.labs()
    there = [spec for spec in specs if spec.name in up]
    documents: list[JSON] = []
    residue: list[JSON] = []
    for spec in there:
        done = await lifecycle.take_down(spec.name)
        hosts = [line.removeprefix("host ") for line in done.removed if line.startswith("host ")]
        residue += list(done.residue)
        documents.append({"lab": done.lab, "removed": list(done.removed), "residue": list(done.residue)})
        if not as_json:
            for host in hosts:
                say(f"Removed: {host}")
            say(f"Removing network: {spec.network}")
    if as_json:
        print_json({"cluster": described.cluster_name, "labs": documents, "residue": residue})
    elif not there:
        say(f"Nothing of {described.cluster_name} is up")
    else:
        say(
            f"Cluster destroyed: {described.cluster_name}; left behind: {', '.join(map(str, residue)) or 'nothing'}"
        )
    return 1 if residue else 0


def _which(described: BalancerCluster, specs: Sequence[ClusterSpec], balancer: str | None) -> ClusterSpec:
    names = [one.name for one in described.balancers]
    if balancer is None and len(names) > 1:
        raise ConfigError("the file has several balancers", hint=f"--balancer {' or '.join(names)}")
    if balancer is not None and balancer not in names:
        raise ConfigError(f"there is no balancer {balancer}", hint=f"there is: {', '.join(names)}")
    return specs[names.index(balancer) if balancer else 0]


def _teller(verbose: bool) -> Progress:
    def tell(words: str) -> None:
        if verbose or words.startswith("left out"):
            ERR.print(literal_text(f"   {words}"))

    return tell


def _config(given: str | None) -> str:
    """Return the file to work on: the given one, else that of the last call. Raises ConfigError."""
    if given is not None:
        return given
    try:
        return str(json.loads((state_folder() / REMEMBERED).read_text())["config"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError("no configuration was used before", hint="--config FILE names one") from None


def _remember(file: str) -> None:
    text = json.dumps({"config": str(Path(file).resolve())})
    with contextlib.suppress(OSError):  # a state folder that is read-only: only the convenience is lost
        (state_folder() / REMEMBERED).write_text(text)


if __name__ == "__main__":
    main()
