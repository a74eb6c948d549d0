"""The life of a cluster: up, found again, down.

A lab's folder is made first and removed last, so a lab whose tool was killed at any moment can be found and
removed: see hosts/state.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from outlast import pace
from outlast.clock import now_ns, seconds_between
from outlast.clusters.residue import find_residue, take_census
from outlast.clusters.service_registry import SERVICES, start_services
from outlast.clusters.system_registry import system
from outlast.config import ClusterSpec, load_cluster, to_document
from outlast.datasets.load import check_dataset, load_dataset
from outlast.errors import ClusterError, ConfigError, HostError, UnavailableError
from outlast.extras import EXTRAS, MissingExtraError, missing
from outlast.files import write_atomic
from outlast.hosts.netns import clocks, disks
from outlast.hosts.netns.lab import NetnsLab, bind_port
from outlast.hosts.state import labs_folder, state_folder
from outlast.pace import scaled_deadline_ns
from outlast.systems import credentials
from outlast.systems.base import Cluster, Progress
from outlast.systems.postgres.backup import FOLDER as ARCHIVE
from outlast.systems.postgres.backup import prepare_archive, with_archive

SPEC_NAME: Final = "cluster.json"
RUNTIME: Final = "netns"
GONE_TIMEOUT_S: Final = 5.0
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9_.-]{0,40}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class BringUp:
    """A cluster that has come up. writable_s, ready_s: seconds from nothing to the first write, to whole."""

    cluster: Cluster
    writable_s: float
    ready_s: float


@dataclass(frozen=True, slots=True)
class Removal:
    """A lab that was taken down. removed: what it was made of; residue: what is left, [] as it should be."""

    lab: str
    removed: tuple[str, ...]
    residue: tuple[str, ...]


def free_name(wanted: str) -> str:
    """Return a name for a lab that no lab has: wanted, or wanted with a few random letters."""
    return wanted if not (labs_folder() / wanted).exists() else f"{wanted}-{secrets.token_hex(2)}"


def lab_folder(name: str) -> Path:
    """Return where the lab of that name is or would be. Raises ConfigError for a name that can't be one."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is no name for a lab", hint="lower-case letters, digits, - _ and . ; 42 at most"
        )
    return labs_folder() / name


def missing_extra(spec: ClusterSpec) -> MissingExtraError | None:
    """Return the error for a system whose optional packages are not installed; None for any other."""
    return missing(spec.system) if spec.system in EXTRAS else None  # a system's extra has its name


def _check_ports(spec: ClusterSpec) -> None:
    """Raise UnavailableError for a pinned port that is in use, before anything is made."""
    left_out = {
        service.name
        for service in spec.services
        if service.kind in SERVICES and SERVICES[service.kind].available(spec) is not None
    }
    for name, port in spec.ports.items():
        if name.split("/")[0] not in left_out:
            bind_port(name, port).close()


async def bring_up(
    spec: ClusterSpec,
    name: str,
    progress: Progress,
    *,
    keep: bool,
    passwords: Mapping[str, str] | None = None,
) -> BringUp:
    """Bring a cluster up on a new lab. keep: it outlives this process once it is up; without, it ends with it.
    passwords: a person's own, by user; the others are generated.

    On any failure, and when cancelled, nothing stays. Raises ConfigError for a name in use, UnavailableError,
    ClusterError, HostError.
    """
    check_dataset(spec)
    folder = lab_folder(name)
    spec = with_archive(spec, folder)
    kind = system(spec.system)
    if (error := missing_extra(spec)) is not None:
        raise error
    reason = kind.available(spec)
    if reason is not None:
        raise UnavailableError(f"{spec.system} cannot run here: {reason}", hint="outlast doctor says more")
    if spec.disks and (reason := disks.unavailable()):
        raise UnavailableError(f"disks=on is refused: {reason}")
    if spec.clocks and (reason := clocks.unavailable()):
        raise UnavailableError(f"clocks=on is refused: {reason}")
    await sweep()
    if folder.exists():
        raise ConfigError(
            f"there is a lab {name} already", hint=f"outlast down --lab {name}, or choose another --name"
        )
    _check_ports(spec)
    if pace.factor() > 1:
        progress(pace.describe())
    start = now_ns()
    nodes = [node.name for node in spec.nodes]
    lab = await NetnsLab.create(
        folder,
        spec.subnet,
        disks_for=nodes if spec.disks else (),
        clocks_for=nodes if spec.clocks else (),
        shared=(ARCHIVE,) if spec.backup else (),
    )
    try:
        if passwords:
            credentials.choose(folder, passwords)
        _write_spec(folder, spec)
        cluster = await kind.deploy(lab, spec, progress)
        writable = now_ns()
        beside = asyncio.create_task(_beside(cluster, progress))
        try:
            await kind.complete(cluster, progress)
            await beside
        finally:
            beside.cancel()
        for host in lab.hosts.values():
            if host.disk is not None:
                await (
                    host.disk.sync()
                )  # it was brought up in haste; from here on what is lost is the system's doing
        if keep:
            await lab.release()
        return BringUp(cluster, seconds_between(start, writable), seconds_between(start, now_ns()))
    except BaseException:
        await asyncio.shield(take_down(name))
        raise


async def keep_lab(cluster: Cluster) -> None:
    """Let a cluster's lab outlive this process."""
    if isinstance(cluster.lab, NetnsLab):
        await cluster.lab.release()


def keep_spec(cluster: Cluster) -> None:
    """Write down what a lab's cluster is now, after an operator has changed it, for every later attach."""
    _write_spec(cluster.lab.folder, cluster.spec)


def _write_spec(folder: Path, spec: ClusterSpec) -> None:
    write_atomic(folder / SPEC_NAME, json.dumps(to_document(spec)))


async def _beside(cluster: Cluster, progress: Progress) -> None:
    """Do what can be done to a cluster while its standbys join: its archive, its data, and what runs beside it."""
    await prepare_archive(cluster)
    await load_dataset(cluster, progress)
    await start_services(cluster, progress)


def labs() -> tuple[str, ...]:
    """Return the names of all labs, running or not."""
    return tuple(sorted(folder.name for folder in labs_folder().iterdir() if folder.is_dir()))


def the_lab(name: str | None) -> str:
    """Return the name of an existing lab; without a name, of the only one.

    Raises ConfigError when there is none of that name, or there are several to choose from.
    """
    there = labs()
    if name is not None:
        if name not in there:
            raise ConfigError(
                f"there is no lab {name}",
                hint=f"labs up: {', '.join(there) or 'none; outlast up starts one'}",
            )
        return name
    if len(there) != 1:
        what = f"labs up: {', '.join(there)}" if there else "no lab is up"
        raise ConfigError(what, hint="say which with --lab" if there else "outlast up patroni starts one")
    return there[0]


def attach(name: str | None) -> Cluster:
    """Return the cluster of a lab that is up; without a name, of the only one.

    Raises ConfigError as the_lab does, UnavailableError when the lab has ended or is not complete yet.
    """
    name = the_lab(name)
    folder = lab_folder(name)
    lab = NetnsLab.open(folder)
    if not lab.is_running:
        raise UnavailableError(f"lab {name} has ended", hint="outlast down removes what is left of it")
    try:
        spec = load_cluster(str(folder / SPEC_NAME))
    except ConfigError as error:
        raise UnavailableError(
            f"lab {name} is not complete",
            hint=f"wait while outlast up makes it; if nothing does: outlast down --lab {name}",
        ) from error
    found: Cluster = system(spec.system).attach(lab, spec)
    return found


def reload(cluster: Cluster) -> Cluster:
    """Return a cluster with the nodes it has now: the same, unless an operator has changed it meanwhile."""
    path = cluster.lab.folder / SPEC_NAME
    if not path.exists() or load_cluster(str(path)) == cluster.spec:
        return cluster
    return attach(cluster.lab.name)


@contextlib.asynccontextmanager
async def dry_lab(spec: ClusterSpec) -> AsyncIterator[Cluster]:
    """Yield a cluster that is not up, on a lab without hosts, to ask what could be done to it here.

    The lab is real, because what the kernel lets this user do is tried, not guessed. Raises UnavailableError when it
    refuses labs altogether.
    """
    lab = await NetnsLab.create(lab_folder(f"asked-{secrets.token_hex(4)}"), spec.subnet)
    try:
        credentials.generate(lab.folder, ())
        found: Cluster = system(spec.system).attach(lab, spec)
        yield found
    finally:
        await asyncio.shield(take_down(lab.name))


async def take_down(name: str) -> Removal:
    """Remove a lab, whatever state it is in, and look for what it left. Raises HostError when it won't end."""
    folder = lab_folder(name)
    if not folder.exists():
        there = ", ".join(labs()) or "none"
        raise ConfigError(f"there is no lab {name}", hint=f"labs up: {there}")
    census = take_census(folder)
    try:
        lab = NetnsLab.open(folder)
    except HostError:
        lab = NetnsLab.nameless(folder)  # made so recently that nothing was written down yet
    removed = [
        f"{len(census.processes)} processes",
        f"{len(census.namespaces)} namespaces",
        *(f"host {host}" for host in lab.hosts),
        *(f"port {port.port} ({port.name})" for port in lab.published.values()),
        f"folder {folder}",
    ]
    await lab.destroy()
    residue = find_residue(census)
    deadline = scaled_deadline_ns(GONE_TIMEOUT_S)
    while residue and now_ns() < deadline:  # the kernel takes namespaces apart after their last process
        await asyncio.sleep(0.01)
        residue = find_residue(census)
    return Removal(name, tuple(removed), tuple(residue))


async def sweep() -> list[Removal]:
    """Remove labs that were tied to a tool which has died: their init is gone, their folder is not.

    Where another process sweeps at this moment nothing is done.
    """
    swept: list[Removal] = []
    with (state_folder() / "sweep.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return swept
        for name in labs():
            folder = labs_folder() / name
            with contextlib.suppress(HostError):
                lab = NetnsLab.open(folder)
                if lab.is_orphan:
                    swept.append(await take_down(name))
    return swept


@contextlib.asynccontextmanager
async def temporary(
    spec: ClusterSpec, name: str, progress: Progress, *, keep: bool
) -> AsyncIterator[BringUp]:
    """Bring a cluster up for the length of a with block, and remove it after, unless keep.

    Raises ClusterError when something of it is left behind.
    """
    up = await bring_up(spec, name, progress, keep=keep)
    try:
        yield up
    finally:
        if not keep:
            progress("removing the lab")
            removed = await asyncio.shield(take_down(name))
            if removed.residue:
                raise ClusterError(
                    f"lab {name} left something behind: {', '.join(removed.residue)}",
                    hint="outlast down --all",
                )
