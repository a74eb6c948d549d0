"""A limit of memory for some programs of a host: a control group of their own; the kernel kills once it is full.

The group lies below the one that the programs are in, so what bounds the lab goes on to bound them; in version 2 it
lies below the nearest group that may pass memory on. Where it is, and where the programs came from, is written into the
lab's folder before it is made. Sources: Linux, Documentation/admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from outlast.clock import now_ns
from outlast.errors import HostError
from outlast.files import write_atomic
from outlast.hosts.base import Program
from outlast.hosts.netns import cgroups
from outlast.hosts.netns.programs import Programs
from outlast.pace import scaled_deadline_ns

CONTROLLER: Final = "memory"
FOLDER: Final = "memory"
END_TIMEOUT_S: Final = 10.0
LOOK_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Interface:
    """What one version of control groups calls things. swap: a limit file that not every kernel has, and its value
    for a limit of n bytes with no swap at all; kills: the file with the count of kills."""

    version: int
    limit: str
    swap: str
    kills: str

    def swap_bytes(self, limit_bytes: int) -> int:
        """Version 1 counts memory and swap together there, version 2 swap alone."""
        return limit_bytes if self.version == 1 else 0


V1: Final = Interface(1, "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.oom_control")
V2: Final = Interface(2, "memory.max", "memory.swap.max", "memory.events")


def parent_for(pid: int | str) -> tuple[Path, Interface] | None:
    """Return below which group a limited one can be made for a process, and how; None when there is none."""
    if (group := cgroups.group_of(pid, CONTROLLER)) is not None:
        return group, V1
    group, found = cgroups.group_of(pid, ""), cgroups.mounted_v2()
    while group is not None and found is not None and group.is_relative_to(found[0]):
        with contextlib.suppress(OSError):
            if CONTROLLER in (group / "cgroup.subtree_control").read_text().split():
                return group, V2
        group = group.parent
    return None


def unavailable() -> str | None:
    """Return why this user or kernel can't limit memory so, None when it can."""
    found = parent_for("self")
    if found is None:
        return "no memory controller of cgroups, version 1 or 2, is mounted here for this process to use"
    return (
        None
        if os.access(found[0], os.W_OK)
        else f"{found[0]}: a control group can't be made there; it needs root"
    )


def means() -> str:
    """Say by what a limit would be held here."""
    found = parent_for("self")
    return "" if found is None else f"{found[1].limit} (cgroup version {found[1].version})"


class Limited:
    """The limited group of one host. record: the file that says where it is, below the lab's folder."""

    def __init__(self, record: Path) -> None:
        self._record = record

    @property
    def group(self) -> Path | None:
        """The control group, None when nothing is limited."""
        read = self._read()
        return None if read is None else read[0]

    def limit(self, pids: Sequence[int], limit_bytes: int) -> None:
        """Let processes, by their pids on the machine, take so much more together, and whatever they start.

        What they hold already stays on the account of the group they were in. Called again it takes in more of them.
        Raises HostError.
        """
        group, _back, interface = self._read() or self._chosen(pids)
        try:
            group.mkdir(exist_ok=True)
            (group / interface.limit).write_text(str(limit_bytes))
            with contextlib.suppress(FileNotFoundError):
                (group / interface.swap).write_text(str(interface.swap_bytes(limit_bytes)))
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    (group / "cgroup.procs").write_text(str(pid))
        except OSError as error:
            raise HostError(f"{error.filename or group}: {error.strerror}") from error

    @property
    def kills(self) -> int | None:
        """How many of its processes the kernel has killed; None when nothing is limited."""
        read = self._read()
        if read is None:
            return None
        group, _back, interface = read
        try:
            lines = (group / interface.kills).read_text().splitlines()
        except OSError:
            return None
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)

    def free(self) -> None:
        """Put the processes back where they were and remove the group; safe to call again. Raises HostError."""
        read = self._read()
        if read is None:
            return
        group, back, _interface = read
        deadline = scaled_deadline_ns(END_TIMEOUT_S)
        while group.exists():
            for pid in (group / "cgroup.procs").read_text().split():
                with contextlib.suppress(OSError):
                    (back / "cgroup.procs").write_text(pid)
            try:
                group.rmdir()
            except FileNotFoundError:
                break
            except OSError as error:
                if now_ns() > deadline:
                    raise HostError(f"{group} could not be removed: {error.strerror}") from error
                time.sleep(0.01)
        self._record.unlink(missing_ok=True)

    def _chosen(self, pids: Sequence[int]) -> tuple[Path, Path, Interface]:
        """Decide where the group will be and write it down."""
        found = parent_for(pids[0]) if pids else None
        back = None
        if found is not None:
            back = cgroups.group_of(pids[0], CONTROLLER if found[1] is V1 else "")
        if found is None or back is None:
            raise HostError(
                f"no memory of {self._record.stem} to limit: {unavailable() or 'its programs have ended'}"
            )
        lab_folder = self._record.parent.parent
        # Labs of the same name may be in several state folders.
        name = f"outlast-{lab_folder.name}-{self._record.stem}-{zlib.crc32(bytes(lab_folder)):08x}"
        self._record.parent.mkdir(exist_ok=True, mode=0o700)
        write_atomic(self._record, json.dumps([str(found[0] / name), str(back), found[1].version]))
        return found[0] / name, back, found[1]

    def _read(self) -> tuple[Path, Path, Interface] | None:
        try:
            group, back, version = json.loads(self._record.read_text())
        except FileNotFoundError:
            return None
        return Path(group), Path(back), V1 if version == 1 else V2


class NetnsMemory:
    """The memory of programs of one host. See outlast.hosts.base.Memory."""

    def __init__(self, lab_folder: Path, host: Programs) -> None:
        self._host = host
        self._limited = Limited(lab_folder / FOLDER / f"{host.name}.json")

    async def limit(self, pids: Sequence[int], limit_bytes: int) -> None:
        """Let programs, and whatever they start, take so many bytes more together. Raises HostError."""
        asked = Program("readlink", ["readlink", "/proc/self/ns/pid"], "log/fault.log")
        done = await self._host.run(asked, timeout_s=LOOK_TIMEOUT_S)
        self._limited.limit(_on_machine(done.stdout.strip(), pids), limit_bytes)

    @property
    def kills(self) -> int | None:
        """How many of them the kernel has killed for want of memory; None when nothing is limited."""
        return self._limited.kills

    async def free(self) -> None:
        """Lift the limit; safe to call again. Raises HostError."""
        await asyncio.to_thread(self._limited.free)


def _on_machine(namespace: str, pids: Iterable[int]) -> list[int]:
    """Return what pids of a pid namespace (``pid:[…]``) are on the machine, those that live. O(its processes)."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        with contextlib.suppress(OSError, StopIteration):
            if str((entry / "ns/pid").readlink()) == namespace:
                lines = (entry / "status").read_text().splitlines()
                inside = next(line for line in lines if line.startswith("NSpid:"))
                found[int(inside.split()[-1])] = int(entry.name)
    return [found[pid] for pid in pids if pid in found]


def free_all(lab_folder: Path) -> None:
    """Remove the groups of a lab; safe to call again. Raises HostError."""
    for record in _records(lab_folder):
        Limited(record).free()


def groups(lab_folder: Path) -> frozenset[Path]:
    """Return the groups that a lab's folder says were made."""
    found = (Limited(record).group for record in _records(lab_folder))
    return frozenset(group for group in found if group is not None)


def left(groups: Iterable[Path]) -> list[str]:
    """Return those that are still there, as words."""
    return [f"control group {group}" for group in sorted(groups) if group.exists()]


def _records(lab_folder: Path) -> list[Path]:
    return sorted((lab_folder / FOLDER).glob("*.json"))
