"""What an operator does to a cluster that runs, on any system that can: add, remove, reseed, maintain, configure.

The system does it (its capabilities, systems/base.py); here is what is the same for all: names and addresses, the
lab's own description kept true, one operator at a time, and a rolling change that goes back when the first node
does not come back with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

import psycopg
from pydantic import ValidationError

from outlast.clusters.lifecycle import keep_spec
from outlast.clusters.service_registry import refresh_services
from outlast.config.cluster import ClusterSpec, NodeSpec, Role, with_node
from outlast.errors import ClusterError, ConfigError, UnavailableError
from outlast.hosts.base import Program
from outlast.hosts.netns.lab import bind_port
from outlast.systems.base import (
    Cluster,
    Configurable,
    HasServers,
    Maintainable,
    NodeView,
    Progress,
    Reseedable,
    Resizable,
    Restartable,
)
from outlast.systems.postgres.install import find
from outlast.systems.postgres.seed import POSTGRES_UID, cached_seed
from outlast.systems.postgres.views import settings_of
from outlast.systems.wait import wait_for, wait_until_ready

WHOLE_TIMEOUT_S: Final = 120.0
CHECK_TIMEOUT_S: Final = 20.0
SEEN_TIMEOUT_S: Final = 30.0
ROUNDS_MAX: Final = 3
"""A smaller max_connections is taken by a standby only after its primary: then standbys restart twice."""

ANOTHER_PORT: Final = "choose another with --port; without it any free one is taken"
LOCK: Final = "operate.lock"
_NUMBERED: Final = re.compile(r"(?P<stem>.*[^0-9])(?P<number>[0-9]+)")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?")

MANAGED: Final = frozenset(
    (
        "archive_cleanup_command",
        "cluster_name",
        "config_file",
        "data_directory",
        "external_pid_file",
        "hba_file",
        "hot_standby",
        "ident_file",
        "listen_addresses",
        "port",
        "primary_conninfo",
        "primary_slot_name",
        "promote_trigger_file",
        "recovery_target_timeline",
        "restore_command",
        "synchronous_standby_names",
        "unix_socket_directories",
    )
)
"""Parameters that the manager or the lab sets for itself on each node."""


@contextlib.contextmanager
def one_operator(cluster: Cluster) -> Iterator[None]:
    """Hold a lab for one change at a time. Raises ClusterError when another command changes it now."""
    with (cluster.lab.folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ClusterError(
                f"another command changes the lab {cluster.lab.name} now", hint="try again when it has ended"
            ) from error
        yield


def known(cluster: Cluster, node: str) -> None:
    """Raise ConfigError when a cluster has no node of that name."""
    names = [node.name for node in cluster.spec.nodes]
    if node not in names:
        raise ConfigError(f"there is no node {node}", hint=f"nodes: {', '.join(names)}")


def next_name(spec: ClusterSpec) -> str:
    """Return a name for one more node: the last one's with the next number that is free."""
    matches = [match for node in spec.nodes if (match := _NUMBERED.fullmatch(node.name))]
    taken = {member.name for member in spec.members()}
    stem = matches[-1]["stem"] if matches else "pg-node-"
    number = 1 + max((int(match["number"]) for match in matches if match["stem"] == stem), default=0)
    while f"{stem}{number}" in taken:
        number += 1
    return f"{stem}{number}"


async def add_node(
    cluster: Cluster,
    name: str | None,
    progress: Progress,
    *,
    role: Role = "standby",
    port: int | None = None,
    priority: int | None = None,
) -> NodeView:
    """Add a node, by default with the next name, and return what it shows once it streams.

    On a failure nothing of it stays. Raises ConfigError for a name or port in use, UnavailableError where the system
    can't, ClusterError when it does not come to stream.
    """
    if not isinstance(cluster, Resizable):
        raise UnavailableError(f"{cluster.spec.system} cannot take in a node while it runs")
    for setting, owned in (("disks", cluster.spec.disks), ("clocks", cluster.spec.clocks)):
        if owned:
            raise UnavailableError(
                f"this lab's nodes have {setting} of their own ({setting}=on), which are only made with the lab"
            )
    with one_operator(cluster):
        before = cluster.spec
        wanted = name or next_name(before)
        used = {host.address for host in cluster.lab.hosts.values()}
        if wanted in cluster.lab.hosts:
            raise ConfigError(f"there is a host {wanted} already", hint="outlast status lists them")
        address = next((one for one in before.spare_addresses() if one not in used), None)
        if address is None:
            raise ConfigError(f"the subnet {before.subnet} has no address left")
        try:
            node = NodeSpec(name=wanted, address=address, role=role, port=port, priority=priority)
            after = with_node(before, node)
        except ValidationError as error:
            said = error.errors()[0]["msg"].removeprefix("Value error, ")
            hint = None if port is None else ANOTHER_PORT
            raise ConfigError(said, key=wanted[:80], hint=hint) from error
        if port is not None:
            _check_free(wanted, port)
        cluster.spec = after
        keep_spec(cluster)  # first, so that a tool that is killed now leaves a node that remove-node knows
        try:
            progress(f"{wanted} copies the primary")
            await cluster.add_node(next(node for node in after.nodes if node.name == wanted))
        except BaseException:
            with contextlib.suppress(Exception):
                await cluster.remove_node(wanted)
            cluster.spec = before
            keep_spec(cluster)
            raise
        await refresh_services(cluster)
        return (await cluster.view()).node(wanted)


def _check_free(name: str, port: int) -> None:
    """Raise ConfigError when a port is in use, before anything is made."""
    try:
        bind_port(name, port).close()
    except UnavailableError as error:
        raise ConfigError(error.message, hint=ANOTHER_PORT) from error


async def remove_node(cluster: Cluster, name: str, progress: Progress) -> None:
    """Remove a standby from the cluster and the lab. Raises as Resizable.remove_node does."""
    if not isinstance(cluster, Resizable):
        raise UnavailableError(f"{cluster.spec.system} cannot let a node go while it runs")
    known(cluster, name)
    if len(cluster.spec.nodes) == 1:
        raise ConfigError(f"{name} is the only node", hint="outlast down removes the lab")
    with one_operator(cluster):
        progress(f"{name} leaves")
        await cluster.remove_node(name)
        keep_spec(cluster)
        await refresh_services(cluster)


async def reseed(cluster: Cluster, node: str, progress: Progress) -> None:
    """Replace all data of a standby by a copy of the primary's. Raises as Reseedable.reseed does."""
    if not isinstance(cluster, Reseedable):
        raise UnavailableError(f"{cluster.spec.system} cannot reseed a node")
    known(cluster, node)
    with one_operator(cluster):
        progress(f"{node} copies the primary anew")
        await cluster.reseed(node)


async def set_maintenance(cluster: Cluster, node: str, on: bool, progress: Progress) -> None:
    """Take a standby out for maintenance, or let it join again. Raises as Maintainable.set_maintenance does."""
    if not isinstance(cluster, Maintainable):
        raise UnavailableError(f"{cluster.spec.system} has no maintenance of a node")
    known(cluster, node)
    with one_operator(cluster):
        if on != (node in await cluster.in_maintenance()):
            progress(f"{node} {'is taken out' if on else 'joins again'}")
            await cluster.set_maintenance(node, on)


async def restart_all(cluster: Cluster, nodes: Sequence[str], progress: Progress) -> list[str]:
    """Restart servers one after another, the primary last, each only when all is whole; returns their order."""
    if not isinstance(cluster, Restartable):
        raise UnavailableError(f"{cluster.spec.system} cannot restart a server on demand")
    for node in nodes:
        known(cluster, node)
    primary = (await cluster.view()).primary
    order = sorted(nodes, key=lambda name: name == primary)
    for node in order:
        progress(f"restarting {node}")
        await cluster.restart(node)
        await wait_until_ready(cluster, WHOLE_TIMEOUT_S)
    return order


async def set_parameters(cluster: Cluster, parameters: Mapping[str, str], progress: Progress) -> list[str]:
    """Change PostgreSQL parameters on every node and return the nodes that restarted for it, in order.

    Values are checked by PostgreSQL itself before anything is touched. Only nodes that need it restart, one after
    another; when one does not come back, the old values return. Raises ConfigError, UnavailableError, ClusterError.
    """
    if not isinstance(cluster, Configurable) or not isinstance(cluster, HasServers):
        raise UnavailableError(f"the settings of {cluster.spec.system} cannot be changed while it runs")
    wanted = await _checked(cluster, parameters)
    with one_operator(cluster):
        await wait_until_ready(cluster, WHOLE_TIMEOUT_S)
        contexts = await _contexts(cluster, list(wanted))
        before = await _raw(cluster, list(wanted))
        progress(", ".join(f"{name} = {value}" for name, value in parameters.items()))
        await cluster.set_parameters(parameters)
        at_once = {name: value for name, value in wanted.items() if contexts.get(name) != "postmaster"}
        await wait_for(lambda: _not_yet(cluster, at_once), SEEN_TIMEOUT_S, "the servers to read the settings")
        restarted: list[str] = []
        try:
            for _round in range(ROUNDS_MAX):
                late = await _late(cluster, wanted)
                if not late:
                    break
                restarted += await restart_all(cluster, late, progress)
            if words := await _not_yet(cluster, wanted):
                raise ClusterError(f"the settings did not take effect: {words}")
        except ClusterError as error:
            progress("going back to the old values")
            await cluster.set_parameters(before)
            await wait_until_ready(
                cluster, WHOLE_TIMEOUT_S
            )  # its manager starts the node that did not come back
            await restart_all(cluster, await _late(cluster, await _checked(cluster, before)), progress)
            raise ClusterError(f"{error.message}; the old values are back", hint=error.hint) from error
        spec = cluster.spec
        kept = {**spec.postgresql.parameters, **parameters}
        cluster.spec = _with_parameters(spec, kept)
        keep_spec(cluster)
    return restarted


class _Served(Cluster, HasServers, Protocol):
    pass


def _with_parameters(spec: ClusterSpec, parameters: Mapping[str, object]) -> ClusterSpec:
    return replace(spec, postgresql=replace(spec.postgresql, parameters=parameters))  # type: ignore[arg-type]


async def _checked(cluster: Cluster, parameters: Mapping[str, str]) -> dict[str, str]:
    """Return parameters in their base units, as PostgreSQL itself reads them. Raises ConfigError.

    Asked with ``postgres -C`` on a data directory that nobody uses; it starts no server.
    """
    spec = cluster.spec
    install = find(spec.version)
    seed = cached_seed(install, checksums=spec.checksums)
    found = {}
    for name, value in parameters.items():
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{name!r} is no PostgreSQL parameter", hint="outlast psql -- -c 'show all'")
        if name in MANAGED:
            raise ConfigError(f"{name} is set by the cluster's manager and the lab, on each node")
        if seed is None:
            found[name] = value
            continue
        argv = [install.program("postgres"), "-C", name, "-D", str(seed), "-c", f"{name}={value}"]
        done = await cluster.lab.run(
            Program("postgres", argv, "check.log", uid=POSTGRES_UID), timeout_s=CHECK_TIMEOUT_S
        )
        if done.code != 0:
            said = done.stderr.strip().splitlines()
            raise ConfigError(f"{name}={value}: {_words(said)}", hint=_hint(said))
        found[name] = done.stdout.strip()
    return found


def _words(lines: Sequence[str]) -> str:
    line = next(
        (line for line in lines if "FATAL:" in line or "ERROR:" in line), lines[0] if lines else "refused"
    )
    return re.sub(r"^.*?(FATAL|ERROR):\s*", "", line)


def _hint(lines: Sequence[str]) -> str | None:
    return next((line.split("HINT:", 1)[1].strip() for line in lines if "HINT:" in line), None)


async def _contexts(cluster: _Served, names: Sequence[str]) -> dict[str, str]:
    """Return what a change of each needs (``postmaster``: a restart). Raises ConfigError for an unknown one."""
    primary = await _any_node(cluster)
    async with await cluster.connect(primary) as connection:
        rows = await connection.execute(
            "SELECT name, context FROM pg_settings WHERE name = ANY(%s)", (list(names),)
        )
        found: dict[str, str] = dict(await rows.fetchall())
    for name in names:
        if name not in found and "." not in name:
            raise ConfigError(f"there is no PostgreSQL parameter {name}")
        if found.get(name) == "internal":
            raise ConfigError(f"{name} cannot be changed: it is decided when a database is made")
    return found


async def _raw(cluster: _Served, names: Sequence[str]) -> dict[str, str]:
    """Return the values now, as SHOW prints them."""
    values = {}
    async with await cluster.connect(await _any_node(cluster)) as connection:
        for name in names:
            row = await (await connection.execute("SELECT current_setting(%s, true)", (name,))).fetchone()
            values[name] = str(row[0]) if row and row[0] is not None else ""
    return values


async def _any_node(cluster: _Served) -> str:
    primary = (await cluster.view()).primary
    if primary is None:
        raise ClusterError("no node accepts writes", hint="outlast status")
    return primary


async def _late(cluster: _Served, wanted: Mapping[str, str]) -> list[str]:
    """Return the nodes that run and use another value than the wanted."""
    view = await cluster.view()
    late = []
    for node in cluster.spec.nodes:
        if view.node(node.name).lsn is None:
            continue
        try:
            async with await cluster.connect(node.name) as connection:
                now = await settings_of(connection, list(wanted))
        except (psycopg.Error, OSError, TimeoutError):
            continue
        if any(now.get(name, value) != value for name, value in wanted.items()):
            late.append(node.name)
    return late


async def _not_yet(cluster: _Served, wanted: Mapping[str, str]) -> str:
    late = await _late(cluster, wanted)
    return f"{', '.join(late)} use other values" if late else ""
