"""How fast a host's disk is: limits that the kernel's block I/O controller (version 1) holds on one loop device.

A limit stays with the device's number when the device is detached, and holds for the next file that is attached there.
So the device is written into the lab's folder before it gets a limit, the lab's removal lifts what stands there, and a
device that is attached for a lab is freed of what a stranger may have left. Limits do not pass on to groups below: each
is set for the root group, to which the kernel's own threads belong, and for the lab's.
Source: Linux, Documentation/admin-guide/cgroup-v1/blkio-controller.rst.

Processes that wait for a slow disk cannot be killed until it has answered; ``lifted`` is for those who must.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from outlast.errors import HostError
from outlast.files import write_atomic
from outlast.hosts.base import DiskPace
from outlast.hosts.netns import cgroups

CONTROLLER: Final = "blkio"
FOLDER: Final = "disks"
SUFFIX: Final = ".pace"
LIMITS: Final = tuple(asdict(DiskPace()))
LOOP_MAJOR: Final = 7
MEANS: Final = "the blkio controller (cgroup version 1) on its loop device"


def unavailable() -> str | None:
    """Return why this user or kernel can't slow a disk down, None when it can."""
    found = cgroups.mounted(CONTROLLER)
    if found is None:
        return (
            "the kernel's blkio controller of cgroup version 1 is not mounted here; version 2 limits groups of "
            "processes and not a disk, and is not used"
        )
    rules = [_file(found[0], limit) for limit in LIMITS]
    missing = [rule for rule in rules if not os.access(rule, os.W_OK)]
    return (
        f"{missing[0]} cannot be written (it needs CONFIG_BLK_DEV_THROTTLING, and root)" if missing else None
    )


@dataclass(frozen=True, slots=True)
class Throttle:
    """What the disk of one host is held to. record: the file that says so, below the lab's folder."""

    record: Path

    @property
    def pace(self) -> DiskPace | None:
        """What it is held to, None when it may do what it can."""
        return DiskPace(**self._read()[1]) if self.record.exists() else None

    def hold(self, device: str, pace: DiskPace, init: int | None) -> None:
        """Hold a device (``7:3``) to a pace, instead of the one before. init: a process of its host's group.

        Raises HostError when the kernel refuses.
        """
        before = self._read()[0]
        limits = asdict(pace)
        write_atomic(self.record, json.dumps({"devices": [*before, device], "pace": limits}))
        for old in before:
            lift(old)
        _set(device, limits, init)
        write_atomic(self.record, json.dumps({"devices": [device], "pace": limits}))

    def moved(self, device: str, init: int | None) -> None:
        """Have another device take the place of the one before."""
        if (pace := self.pace) is not None:
            self.hold(device, pace, init)

    def end(self) -> None:
        """Let the disk do what it can; safe to call again."""
        for device in self._read()[0]:
            if not _is_anothers(device, self.record.parent):
                lift(device)
        self.record.unlink(missing_ok=True)

    @contextlib.contextmanager
    def lifted(self, init: int | None) -> Iterator[None]:
        """Let the disk do what it can for a while."""
        devices, limits = self._read()
        for device in devices:
            lift(device)
        try:
            yield
        finally:
            if devices and self.record.exists():  # else it was healed meanwhile
                _set(devices[-1], limits, init)

    def _read(self) -> tuple[list[str], dict[str, int]]:
        try:
            saved = json.loads(self.record.read_text())
        except FileNotFoundError:
            return [], {}
        return list(saved["devices"]), dict(saved["pace"])


def records(lab_folder: Path) -> list[Path]:
    """Return the records of the disks of a lab that are held to a pace."""
    return sorted((lab_folder / FOLDER).glob(f"*{SUFFIX}"))


def end_all(lab_folder: Path) -> None:
    """Let all disks of a lab do what they can; safe to call again, and after its devices have gone."""
    for record in records(lab_folder):
        Throttle(record).end()


def devices(lab_folder: Path) -> frozenset[str]:
    """Return the devices that a lab's folder says were held to a pace."""
    return frozenset(device for record in records(lab_folder) for device in Throttle(record)._read()[0])


def left(devices: Iterable[str], lab_folder: Path) -> list[str]:
    """Return those limits that are still on devices which were a lab's, as words."""
    return [
        f"{path.name.removeprefix('blkio.throttle.')} {value} on block device {device}"
        for device in sorted(devices)
        if not _is_anothers(device, lab_folder / FOLDER)
        for path, value in _held(device)
    ]


def lift(device: str) -> None:
    """Take every limit from a device, in whichever group."""
    for path, _value in _held(device):
        with contextlib.suppress(FileNotFoundError):
            path.write_text(f"{device} 0")


def number_of(device: str) -> str:
    """Return the number of a device (``/dev/loop3``) as rules have it: ``7:3``."""
    found = Path(device).stat().st_rdev
    return f"{os.major(found)}:{os.minor(found)}"


def loop_below(folder: Path, image: Path) -> str:
    """Return the number of the loop device that is mounted on folder. Raises HostError unless it is image's.

    The machine's own disk is never taken for it.
    """
    found = folder.stat().st_dev
    device = f"{os.major(found)}:{os.minor(found)}"
    if os.major(found) != LOOP_MAJOR or not (_backing(device) or "").startswith(str(image.resolve())):
        raise HostError(f"{folder.name}: its disk is not mounted")
    return device


def _is_anothers(device: str, folder: Path) -> bool:
    """Whether a device belongs to somebody else by now. folder: where the lab's own images are."""
    backing = _backing(device)
    return backing is not None and not backing.startswith(f"{folder.resolve()}/")


def _backing(device: str) -> str | None:
    try:
        return Path(f"/sys/dev/block/{device}/loop/backing_file").read_text().strip()
    except OSError:
        return None


def _set(device: str, limits: dict[str, int], init: int | None) -> None:
    found = cgroups.mounted(CONTROLLER)
    if found is None:
        raise HostError(unavailable() or "the blkio controller has gone")
    mine = None if init is None else cgroups.group_of(init, CONTROLLER)
    for group in {found[0], mine or found[0]}:
        for limit, value in limits.items():
            try:
                _file(group, limit).write_text(f"{device} {value}")
            except OSError as error:
                raise HostError(f"{_file(group, limit)}: {device} {value}: {error.strerror}") from error


def _held(device: str) -> list[tuple[Path, str]]:
    """Return the limits that a device has: the file of each, and its value. Reads four files a group."""
    found = cgroups.mounted(CONTROLLER)
    if found is None:
        return []
    held = []
    for folder, _folders, _files in os.walk(found[0]):
        for path in (_file(Path(folder), limit) for limit in LIMITS):
            with contextlib.suppress(OSError):
                rules: Sequence[Sequence[str]] = [line.split() for line in path.read_text().splitlines()]
                held += [(path, rule[1]) for rule in rules if len(rule) == 2 and rule[0] == device]
    return held


def _file(group: Path, limit: str) -> Path:
    """Return a limit's file: ``write_iops`` is blkio.throttle.write_iops_device."""
    return group / f"blkio.throttle.{limit}_device"
