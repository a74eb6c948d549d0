"""Wall clocks of a host's own, for programs that ask the C library for the time.

Linux has namespaces for the monotonic and the boot-time clock and none for the wall clock (time_namespaces(7)). So
programs of such a host are started with a few lines of our own in the C library's place (``clock.c``, compiled once a
machine), which add to the machine's time what a page in the host's folder says. A program that asks the kernel itself,
as Go's do, keeps the machine's time. Monotonic time and sleeping are left alone, as when an administrator or NTP sets
a clock. libfaketime does this and more, and by that breaks Python's ``time.sleep``, which sleeps until a monotonic
time: Patroni died of it.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import shutil
import struct
import subprocess
import time
from pathlib import Path
from typing import Final

from outlast.errors import HostError
from outlast.hosts.state import cache_folder
from outlast.pace import scaled

FILE: Final = "clock"
SOURCE: Final = Path(__file__).with_name("clock.c")
COMPILE_TIMEOUT_S: Final = 30.0
_WHICH: Final = struct.Struct("=q")
_SLOT: Final = struct.Struct("=qqd")  # offset, since when it drifts (monotonic), gain per second; nanoseconds
_SIZE: Final = _WHICH.size + 2 * _SLOT.size


def library() -> Path:
    """Return the compiled library, made when it is not there yet. Raises HostError saying why it can't be made."""
    place = cache_folder() / f"clock-{hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]}.so"
    if place.exists():
        return place
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise HostError(
            "no C compiler is installed (Debian package gcc), and a few lines of C give programs a clock of their own"
        )
    new = place.with_suffix(f".{os.getpid()}")
    argv = [compiler, "-shared", "-fPIC", "-O2", "-Wall", "-o", str(new), str(SOURCE), "-ldl"]
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=scaled(COMPILE_TIMEOUT_S), check=False
        )
    except subprocess.TimeoutExpired as error:
        raise HostError(f"{compiler} took over {scaled(COMPILE_TIMEOUT_S):g} s for {SOURCE.name}") from error
    if done.returncode != 0:
        raise HostError(f"{compiler} failed on {SOURCE.name}: {done.stderr.strip().splitlines()[0:1]}")
    new.rename(place)
    return place


def unavailable() -> str | None:
    """Return why hosts of this machine can't have clocks of their own, None when they can."""
    try:
        library()
    except HostError as error:
        return error.message
    return None


class NetnsClock:
    """The clock of the host whose files are in folder. See outlast.hosts.base.Clock."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE

    @classmethod
    def make(cls, folder: Path) -> None:
        """Give a host a clock that shows the machine's time, before its first program starts."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / FILE).write_bytes(bytes(_SIZE))

    @property
    def exists(self) -> bool:
        """Whether this host has one."""
        return self._file.exists()

    @property
    def offset_s(self) -> float:
        """How far it is ahead of the machine's now."""
        page = self._file.read_bytes()
        (which,) = _WHICH.unpack_from(page)
        offset_ns, since_ns, gain = _SLOT.unpack_from(page, _WHICH.size + which * _SLOT.size)
        return float(offset_ns + (time.monotonic_ns() - since_ns) * gain) / 1e9

    def set(self, offset_s: float, pace: float = 1.0) -> None:
        """Move it at once; from then on it gains pace - 1 seconds each second."""
        with self._file.open("r+b") as file, mmap.mmap(file.fileno(), _SIZE) as page:
            other = 1 - _WHICH.unpack_from(page)[0]
            slot = (round(offset_s * 1e9), time.monotonic_ns(), pace - 1)
            _SLOT.pack_into(page, _WHICH.size + other * _SLOT.size, *slot)
            _WHICH.pack_into(page, 0, other)  # readers see the slot whole, or the one before

    def environment(self) -> dict[str, str]:
        """Return what makes a program follow this clock."""
        return {"LD_PRELOAD": str(library()), "OUTLAST_CLOCK": str(self._file)}
