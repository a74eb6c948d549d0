"""Commands on labs: up, status, down, psql, logs, exec, credentials."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import click
from psycopg.conninfo import make_conninfo

from outlast.cli import live_view
from outlast.cli.options import Duration, collect, json_option, lab_option, profile_option, set_option
from outlast.cli.output import ERR, OUT, Reporter, Watcher, asynchronous, print_json, run_async, say
from outlast.clock import deadline_ns
from outlast.clusters import lifecycle
from outlast.clusters.backups import is_restored
from outlast.clusters.service_registry import balancer_views, log_files, with_services
from outlast.config import ClusterSpec, load_env_file
from outlast.config.loader import load_clusters
from outlast.errors import ClusterError, ConfigError
from outlast.monitoring.services import addresses, with_monitoring
from outlast.report.literal import literal_text
from outlast.routes.registry import routes
from outlast.systems.base import Cluster, ClusterView, HasServers, NodeView, Role
from outlast.systems.postgres.install import find
from outlast.systems.postgres.seed import SUPERUSER

if TYPE_CHECKING:
    from outlast.history.history import JSON


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What a person said of a cluster that is to come up. extras: what to start beside it."""

    config: str | None
    name: str | None
    profile: str | None
    extras: tuple[str, ...]
    env_file: str | None
    interactive: bool
    sets: tuple[str, ...]
    as_json: bool


@click.command()
@click.argument("what", default="patroni", metavar="[PRESET|FILE]")
@collect(
    UpOptions,
    click.option("--config", metavar="FILE", help="The same as FILE."),
    click.option("--name", metavar="L", help="Name of the lab; the preset's name by default."),
    profile_option,
    click.option(
        "--with",
        "extras",
        multiple=True,
        type=click.Choice(["monitoring"]),
        help="What to start beside it.",
    ),
    click.option("--env-file", metavar="F", help="Settings and passwords from a file of KEY=value lines."),
    click.option("-i", "interactive", is_flag=True, help="Ask on the terminal what it should be."),
    set_option,
    json_option,
)
def up(what: str, options: UpOptions) -> None:
    """Bring up a cluster on a lab of its own."""
    source = options.config or what
    overrides = [*options.sets, *([f"profile={options.profile}"] if options.profile else [])]
    if options.interactive:
        from outlast.cli.questions import ask  # here: whoever is not asked need not wait for it

        answers = ask(source, overrides, options.name, options.extras)
        if answers.up:
            run_async(_up_all((answers.spec,), answers.name, (), options.env_file, options.as_json))
        return
    specs = load_clusters(source, overrides)
    if options.name is not None and len(specs) > 1:
        raise ConfigError(
            f"--name names one lab, and {source} describes {len(specs)} clusters",
            hint="without it each lab is named after its cluster",
        )
    run_async(_up_all(specs, options.name, options.extras, options.env_file, options.as_json))


async def _up_all(
    specs: Sequence[ClusterSpec],
    name: str | None,
    extras: Sequence[str],
    env_file: str | None,
    as_json: bool,
) -> None:
    made: list[tuple[lifecycle.BringUp, ClusterView]] = []
    try:
        for spec in specs:
            made.append(await _up(spec, name, extras, env_file))
    except BaseException:  # all of a file, or nothing of it
        for found, _view in reversed(made):
            await asyncio.shield(lifecycle.take_down(found.cluster.lab.name))
        raise
    if as_json:
        documents: list[JSON] = [_up_document(*one) for one in made]
        print_json(documents[0] if len(documents) == 1 else {"labs": documents})
        return
    for found, view in made:
        cluster = found.cluster
        say(
            f"{cluster.lab.name}: {cluster.spec.system}, writable after {found.writable_s:.1f} s, "
            f"whole after {found.ready_s:.1f} s"
        )
        OUT.print(live_view.node_table(view))
        for line in addresses(cluster):
            say(line)


async def _up(
    spec: ClusterSpec, name: str | None, extras: Sequence[str], env_file: str | None
) -> tuple[lifecycle.BringUp, ClusterView]:
    passwords: dict[str, str] = {}
    if env_file is not None:
        env = load_env_file(env_file)
        spec = env.applied_to(spec)
        passwords = env.passwords(spec.user, SUPERUSER)
    if "monitoring" in extras:
        spec = with_monitoring(spec)
    lab = lifecycle.free_name(spec.name) if name is None else name
    with Reporter(f"up {lab}") as progress:
        found = await lifecycle.bring_up(spec, lab, progress, keep=True, passwords=passwords)
        return found, await with_services(found.cluster)


def _up_document(found: lifecycle.BringUp, view: ClusterView) -> JSON:
    return {
        "lab": found.cluster.lab.name,
        "system": found.cluster.spec.system,
        "writable_s": round(found.writable_s, 3),
        "ready_s": round(found.ready_s, 3),
        "nodes": node_documents(view, found.cluster),
    }


@click.command()
@lab_option
@click.option(
    "--dsn", metavar="DSN", help="Look at a cluster that outlast did not make; libpq's form, no password."
)
@click.option("--watch", is_flag=True, help="Look again every second, until Ctrl-C.")
@click.option("--for", "for_s", type=Duration(none=True), metavar="SECONDS", help="End a --watch after that.")
@json_option
@asynchronous
async def status(lab: str | None, dsn: str | None, watch: bool, for_s: float | None, as_json: bool) -> int:
    """Show the nodes of a lab, their roles and lags; with --dsn, of any PostgreSQL cluster, only looking."""
    if dsn is not None:
        if lab is not None or watch:
            raise ConfigError("does not go together with --lab and --watch", key="--dsn")
        from outlast.cli.foreign import status_of

        return await status_of(dsn, as_json=as_json)
    cluster = lifecycle.attach(lab)
    if watch:
        if as_json:
            raise ConfigError("--watch and --json do not go together")
        end_ns = deadline_ns(for_s) if for_s is not None else None
        with contextlib.suppress(asyncio.CancelledError), Watcher() as show:
            await live_view.watch(cluster, end_ns, show)
        return 0
    view = await with_services(cluster)
    if as_json:
        print_json(
            {
                "lab": cluster.lab.name,
                "system": cluster.spec.system,
                "runtime": lifecycle.RUNTIME,
                "profile": cluster.spec.profile,
                "ready": view.ready,
                "primary": view.primary,
                "nodes": node_documents(view, cluster),
                "balancers": [asdict(one) for one in balancer_views(cluster, view)],
                "routes": [asdict(route) for route in routes(cluster)],
            }
        )
    else:
        say(live_view.headline(view, cluster))
        OUT.print(live_view.node_table(view))
        for line in addresses(cluster):
            say(line)
    return 0


@click.command()
@lab_option
@click.option("--all", "everything", is_flag=True, help="All labs, and whatever a killed tool left of one.")
@json_option
@asynchronous
async def down(lab: str | None, everything: bool, as_json: bool) -> int:
    """Remove a lab and prove that nothing of it is left."""
    names = lifecycle.labs() if everything else (lifecycle.the_lab(lab),)
    with Reporter("down", quiet=as_json) as progress:
        done = []
        for name in names:
            progress(name)
            done.append(await lifecycle.take_down(name))
    residue = [line for one in done for line in one.residue]
    if as_json:
        labs: list[JSON] = [
            {"lab": one.lab, "removed": list(one.removed), "residue": list(one.residue)} for one in done
        ]
        print_json({"labs": labs, "residue": list(residue)})
    else:
        for one in done:
            say(f"{one.lab}: removed {', '.join(one.removed)}")
        say(f"left behind: {', '.join(residue) or 'nothing'}")
    return 1 if residue else 0


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@lab_option
@click.option("--node", metavar="N", help="The node; the primary by default.")
@click.option("--database", metavar="D", help="The database; the cluster's own by default.")
@click.option("--superuser", is_flag=True, help="As postgres, not as the application's user.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@json_option
@asynchronous
async def psql(
    lab: str | None,
    node: str | None,
    database: str | None,
    superuser: bool,
    arguments: tuple[str, ...],
    as_json: bool,
) -> int:
    """Open psql on a node, through its published port; ARGUMENTS go to psql."""
    cluster = lifecycle.attach(lab)
    if not isinstance(cluster, HasServers):
        raise ConfigError(f"{cluster.spec.system} has no PostgreSQL servers")
    target = node or (await cluster.view()).primary
    if target is None:
        raise ClusterError("no node accepts writes now", hint="outlast status; or name one with --node")
    port = cluster.lab.published.get(target)
    asked_of = {one.name for one in cluster.spec.nodes}
    if port is None or not (target in asked_of or is_restored(cluster.lab, target)):
        names = ", ".join(one.name for one in cluster.spec.nodes)
        raise ConfigError(f"there is no node {target}", hint=f"nodes: {names}")
    user = "postgres" if superuser else cluster.spec.user
    argv = [
        find(cluster.spec.version).program("psql"),
        make_conninfo(
            host="127.0.0.1",
            port=port.port,
            user=user,
            dbname=cluster.spec.database if database is None else database,
            connect_timeout=5,
        ),
        *arguments,
    ]
    env = {**os.environ, "PGPASSFILE": str(cluster.credentials.passfile)}
    # psql talks to the person's own terminal; this process waits and passes its status on.
    done = await asyncio.to_thread(
        lambda: subprocess.run(
            argv, env=env, capture_output=as_json, text=True, errors="replace", check=False
        )
    )
    if as_json:
        print_json({"node": target, "code": done.returncode, "stdout": done.stdout, "stderr": done.stderr})
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


@click.command()
@lab_option
@click.argument("node", required=False)
@click.option(
    "-n", "--lines", type=click.IntRange(1), default=20, show_default=True, help="Last lines of each log."
)
@json_option
@asynchronous
async def logs(lab: str | None, node: str | None, lines: int, as_json: bool) -> None:
    """Print the last lines of a node's logs; of all nodes without NODE."""
    cluster = lifecycle.attach(lab)
    names = [member.name for member in cluster.spec.members()]
    if node is not None and node not in names:
        raise ConfigError(f"there is no node {node}", hint=f"nodes: {', '.join(names)}")
    documents: list[JSON] = []
    for name in [node] if node else names:
        for log, path in log_files(cluster, name).items():
            text = path.read_text(errors="replace") if path.exists() else ""
            last: list[JSON] = list(text.splitlines()[-lines:])
            documents.append({"node": name, "log": log, "path": str(path), "lines": last})
            if not as_json:
                ERR.print(literal_text(f"== {name}: {log} ({path})", "bold"))
                for line in last:
                    say(str(line))
    if as_json:
        print_json({"logs": documents})


@click.command()
@lab_option
@json_option
def credentials(lab: str | None, as_json: bool) -> None:
    """Print a lab's generated passwords."""
    cluster = lifecycle.attach(lab)
    if as_json:
        print_json(
            {"users": dict(cluster.credentials.passwords), "passfile": str(cluster.credentials.passfile)}
        )
        return
    for user, password in cluster.credentials.passwords.items():
        say(f"{user}: {password}")
    say(f"PGPASSFILE={cluster.credentials.passfile}")


def node_documents(view: ClusterView, cluster: Cluster) -> list[JSON]:
    """Return the nodes as status prints them, the lab's other hosts last: clients, and what was restored."""
    known = {node.name for node in view.nodes}
    others = []
    for name, host in cluster.lab.hosts.items():
        if name in known:
            continue
        port = cluster.lab.published.get(name) if is_restored(cluster.lab, name) else None
        state = "restored" if port else "on"
        others.append(
            NodeView(
                name,
                Role.CLIENT,
                host.address,
                port.target_port if port else 0,
                port.port if port else None,
                state if host.is_on else "off",
                host.is_on,
            )
        )
    return [node_document(node) for node in (*view.nodes, *others)]


def node_document(node: NodeView) -> dict[str, JSON]:
    """Return one node as status prints it."""
    return asdict(node)


COMMANDS: Final = (up, status, down, psql, logs, credentials)
