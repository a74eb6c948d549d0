"""Disks that can lose power: a file as a loop device with ext4, mounted where its host's files are.

The image in the lab's folder is made first, so that whatever is left of a disk can be found from it. A loop device
goes with its last mount (autoclear); mounts inside the lab go with the lab, and ``remove`` undoes those outside.

Losing power is ext4's own shutdown: from that moment nothing more reaches the device, neither data nor journal, and
what was not synced is gone; the next mount replays the journal. So do xfstests test crash consistency
(EXT4_IOC_SHUTDOWN in Linux' include/uapi/linux/ext4.h).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from outlast.errors import HostError
from outlast.hosts.base import DiskPace, Program
from outlast.hosts.netns import throttle
from outlast.hosts.netns.launch import init_pid
from outlast.hosts.netns.mounts import mount_points_below, mounts
from outlast.hosts.netns.programs import Programs
from outlast.pace import scaled

FOLDER: Final = throttle.FOLDER
SIZE_BYTES: Final = 2 * 1024**3
"""Of the file system; the image is sparse and holds what is written."""

PROGRAMS: Final = ("losetup", "mkfs.ext4", "mount", "umount")
OPTIONS: Final = "noatime,errors=remount-ro"
TIMEOUT_S: Final = 30.0
_SHUTDOWN: Final = 0x8004587D
_NO_LOG_FLUSH: Final = 2


def unavailable() -> str | None:
    """Return why this user or machine can't make disks, None when it can."""
    if os.geteuid() != 0:
        return "a disk of its own for each node needs root: an ordinary user may not set up loop devices"
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"not found: {', '.join(missing)} (packages mount and e2fsprogs)"
    return None if Path("/dev/loop-control").exists() else "this kernel has no loop devices"


class NetnsDisk:
    """The disk of one host. See outlast.hosts.base.Disk."""

    def __init__(self, lab_folder: Path, host: str) -> None:
        self._lab_folder = lab_folder
        self._image = lab_folder / FOLDER / f"{host}.img"
        self._place = lab_folder / "hosts" / host
        self._throttle = throttle.Throttle(self._image.with_suffix(throttle.SUFFIX))

    @property
    def exists(self) -> bool:
        """Whether this host has one."""
        return self._image.exists()

    async def make(self) -> None:
        """Make it, empty, and mount it; before the lab's own processes are started. Raises HostError."""
        self._image.parent.mkdir(exist_ok=True, mode=0o700)
        with self._image.open("xb") as file:
            file.truncate(SIZE_BYTES)
        self._place.mkdir(parents=True, mode=0o700)
        await _run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard",
                   str(self._image))  # fmt: skip
        await _detach(await self._attach_and_mount())

    async def stop(self) -> None:
        """Cut its power."""
        await asyncio.to_thread(self._stop)

    def _stop(self) -> None:
        try:
            place = os.open(self._place, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            return  # it has no power already
        try:
            fcntl.ioctl(place, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        except OSError as error:
            raise HostError(f"{self._place.name}: its disk cannot be stopped: {error.strerror}") from error
        finally:
            os.close(place)

    async def fail(self) -> None:
        """Have ext4 find an error: it turns read-only. Raises HostError."""
        if self.is_stopped:
            return
        device = next(
            (source for source, point in reversed(list(mounts())) if point == str(self._place)), None
        )
        if device is None:
            raise HostError(f"{self._place.name}: its disk is not mounted")
        switch = Path("/sys/fs/ext4") / Path(device).name / "trigger_fs_error"
        try:
            switch.write_text("outlast")
        except OSError as error:
            raise HostError(f"{self._place.name}: {switch}: {error.strerror}") from error

    @property
    def is_stopped(self) -> bool:
        """Whether nothing reaches it any more: a file cannot be made there."""
        probe = self._place / ".probe"
        try:
            probe.touch()
            probe.unlink()
        except OSError:
            return True
        return False

    async def start(self) -> None:
        """Give it power again: its journal is replayed. The host must be off. Raises HostError."""
        if not self.is_stopped:
            return
        # Other hosts' namespaces still hold the dead mount, so the same device would give the same dead file
        # system again. And the kernel may write old buffers to that device yet, so the image becomes another file.
        copy = self._image.with_suffix(".new")
        await _run("cp", "--sparse=always", str(self._image), str(copy))
        copy.rename(self._image)
        with contextlib.suppress(HostError):
            await _run("umount", "--lazy", str(self._place))
        device = await self._attach_and_mount()
        words = ["mount", "-t", "ext4", "-o", OPTIONS, device, str(self._place)]
        done = await Programs(self._lab_folder, self._lab_folder.name).run(
            Program("mount", words, "mount.log"), timeout_s=TIMEOUT_S
        )
        await _detach(device)
        if done.code != 0:
            raise HostError(f"{self._place.name}: its disk could not be mounted: {done.stderr.strip()}")
        self._throttle.moved(
            throttle.number_of(device), self._init
        )  # a slow disk is slow after a loss of power too

    async def sync(self) -> None:
        """Have everything written so far reach the device."""
        place = os.open(self._place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            await asyncio.to_thread(os.fsync, place)
        finally:
            os.close(place)
        await _run("sync", "--file-system", str(self._place))

    @property
    def pace(self) -> DiskPace | None:
        """What it is held to, None when it may do what it can."""
        return self._throttle.pace

    async def set_pace(self, pace: DiskPace | None) -> None:
        """Hold it to a pace, also when it is mounted anew; None: no more. Raises HostError."""
        if pace is None:
            self._throttle.end()
        else:
            self._throttle.hold(throttle.loop_below(self._place, self._image), pace, self._init)

    def at_full_speed(self) -> contextlib.AbstractContextManager[None]:
        """Have no process wait for it for a while: one that waits for a disk does not die before it answers."""
        return self._throttle.lifted(self._init)

    @property
    def _init(self) -> int | None:
        return init_pid(self._lab_folder)

    async def _attach_and_mount(self) -> str:
        device = (await _run("losetup", "--find", "--show", str(self._image))).strip()
        throttle.lift(throttle.number_of(device))  # what a lab that nobody took down may have left there
        try:
            await _run("mount", "-t", "ext4", "-o", OPTIONS, device, str(self._place))
        except HostError:
            await _detach(device)
            raise
        return device


async def make_all(lab_folder: Path, hosts: Sequence[str]) -> None:
    """Make a disk for each host. Raises HostError."""
    await asyncio.gather(*(NetnsDisk(lab_folder, host).make() for host in hosts))


def remove(lab_folder: Path) -> None:
    """Unmount all that is mounted below a lab's folder and free its loop devices; safe to call again."""
    throttle.end_all(lab_folder)
    below = str(lab_folder) + "/"
    for point in reversed(mount_points_below(lab_folder)):
        subprocess.run(
            ["umount", "--lazy", point], capture_output=True, timeout=scaled(TIMEOUT_S), check=False
        )
    for loop in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            if loop.read_text().startswith(below):
                words = ["losetup", "--detach", f"/dev/{loop.parent.parent.name}"]
                subprocess.run(words, capture_output=True, timeout=scaled(TIMEOUT_S), check=False)


async def _detach(device: str) -> None:
    """Have a loop device go with its last mount, or at once when there is none."""
    await _run("losetup", "--detach", device)


async def _run(*words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(scaled(TIMEOUT_S)):
        out, err = await process.communicate()
    if process.returncode != 0:
        raise HostError(f"{' '.join(words)}: {err.decode(errors='replace').strip()}")
    return out.decode()
