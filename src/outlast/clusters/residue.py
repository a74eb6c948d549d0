"""Looks for what a lab left on the machine. Empty is the only good answer.

A census is taken while the lab lives: its processes (by pid and start time), their namespaces, its folder. After
the lab is gone the machine is searched for each of them.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from outlast.hosts.netns import memory, throttle
from outlast.hosts.netns.launch import init_pid, process_start_ticks
from outlast.hosts.netns.mounts import mount_points_below

_KINDS: Final = ("pid", "net", "mnt", "ipc", "uts", "user")


@dataclass(frozen=True, slots=True)
class Census:
    """What there was of a lab. processes: (pid, start ticks); namespaces: as /proc shows them, pid:[…].

    taken_ticks: when, in clock ticks since boot. slowed: loop devices that were held to a pace; groups: control groups.
    others: processes of the machine that were not the lab's.
    """

    folder: Path
    processes: frozenset[tuple[int, int]]
    namespaces: frozenset[str]
    taken_ticks: int
    slowed: frozenset[str] = frozenset()
    groups: frozenset[Path] = frozenset()
    others: frozenset[tuple[int, int]] = frozenset()


def take_census(folder: Path) -> Census:
    """Count what lives of the lab in folder: its init and all below it. O(processes of the machine)."""
    slowed, groups = throttle.devices(folder), memory.groups(folder)
    root = init_pid(folder)
    if root is None:
        return Census(folder, frozenset(), frozenset(), _now_ticks(), slowed, groups)
    members = _descendants(root)
    mine = {kind: _namespace("self", kind) for kind in _KINDS}
    spaces = {
        space
        for pid in members
        for kind in _KINDS
        if (space := _namespace(str(pid), kind)) is not None and space != mine[kind]
    }
    others = {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()} - members
    return Census(
        folder, _identified(members), frozenset(spaces), _now_ticks(), slowed, groups, _identified(others)
    )


def find_residue(census: Census) -> list[str]:
    """Return what is still there, one line each; [] when the lab is gone without a trace."""
    found = []
    for pid, ticks in sorted(census.processes):
        try:
            if process_start_ticks(pid) == ticks and not _is_zombie(pid):
                found.append(f"process {pid}")
        except ProcessLookupError:
            continue
    found += [f"namespace {space}" for space in sorted(_held(census))]
    folder = str(census.folder)
    found += [f"mount {point}" for point in mount_points_below(folder)]
    found += [f"loop device {device}" for device in _loops_below(folder)]
    found += throttle.left(census.slowed, census.folder)
    found += memory.left(census.groups)
    if census.folder.exists():
        found.append(f"folder {folder}")
    return found


def _held(census: Census) -> set[str]:
    """Return the census's namespaces that a process still holds.

    The kernel gives the number of a namespace that is gone to the next one that is made, so a process that started
    after the census does not count: one of the lab's own would have a parent in it that is older. Nor does one that was
    there and not the lab's: another lab that comes up at this moment.
    """
    held = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        pid = int(entry.name)
        spaces = {_namespace(entry.name, kind) for kind in _KINDS} & census.namespaces
        try:
            ticks = process_start_ticks(pid)
            if (pid, ticks) in census.others:
                continue
            if spaces and not _is_zombie(pid) and ticks <= census.taken_ticks:
                held |= {space for space in spaces if space is not None}
        except ProcessLookupError:
            continue
    return held


def _identified(pids: Iterable[int]) -> frozenset[tuple[int, int]]:
    """Return the processes with their start times, without those that have ended meanwhile."""
    found = set()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            found.add((pid, process_start_ticks(pid)))
    return frozenset(found)


def _now_ticks() -> int:
    """Return the time since boot in clock ticks, the unit of process_start_ticks."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def _descendants(root: int) -> set[int]:
    """Return root and every process below it. In a lab all orphans fall to its inits, so nothing escapes."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            stat = (entry / "stat").read_text()
        except OSError:
            continue
        parent = int(stat.rpartition(")")[2].split()[1])
        children.setdefault(parent, []).append(int(entry.name))
    found = {root}
    waiting = [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found.update(below)
        waiting.extend(below)
    return found


def _namespace(pid: str, kind: str) -> str | None:
    try:
        return str(Path(f"/proc/{pid}/ns/{kind}").readlink())
    except OSError:
        return None


def _is_zombie(pid: int) -> bool:
    """A zombie holds nothing but its entry; it waits for a parent outside the lab to read its status."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False


def _loops_below(folder: str) -> Iterable[str]:
    for device in Path("/sys/block").glob("loop*"):
        try:
            backing = (device / "loop/backing_file").read_text().strip()
        except OSError:
            continue  # not in use
        if backing.startswith(folder + "/"):
            yield f"{device.name} ({backing})"
