"""The few Linux calls that Python 3.11 lacks: unshare, setns, mount, mount_setattr, prctl.

Thin: each raises OSError as the os module would. Sources: unshare(2), setns(2), mount(2), mount_setattr(2),
user_namespaces(7), prctl(2).
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

CLONE_NEWNS: Final = 0x00020000
CLONE_NEWUTS: Final = 0x04000000
CLONE_NEWIPC: Final = 0x08000000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000

MS_RDONLY: Final = 0x1
MS_NOSUID: Final = 0x2
MS_NODEV: Final = 0x4
MS_NOEXEC: Final = 0x8
MS_BIND: Final = 0x1000
MS_REC: Final = 0x4000
MS_PRIVATE: Final = 0x40000

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_SYS_MOUNT_SETATTR: Final = 442  # the same number on every architecture that Linux 5.12 runs on
_AT_FDCWD: Final = -100
_AT_RECURSIVE: Final = 0x8000
_MOUNT_ATTR_RDONLY: Final = 0x1

PRIVATE_PLACES: Final = {"/run": "0755", "/tmp": "1777", "/dev/shm": "1777"}

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), what)


def unshare(flags: int) -> None:
    """Leave the namespaces named by flags for new ones. CLONE_NEWPID counts for children only."""
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def setns(fd: int, kind: int) -> None:
    """Enter the namespace behind fd; kind is its CLONE_NEW… flag."""
    _check(_libc.setns(ctypes.c_int(fd), ctypes.c_int(kind)), "setns")


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """Mount source on target."""
    _check(
        _libc.mount(
            source.encode(),
            target.encode(),
            kind.encode() if kind else None,
            ctypes.c_ulong(flags),
            data.encode() if data else None,
        ),
        target,
    )


def set_read_only(path: str, read_only: bool, *, recursive: bool) -> None:
    """Make the mount at path read-only or writable, with those below it when recursive (Linux ≥ 5.12)."""
    attr = _MountAttr(attr_set=_MOUNT_ATTR_RDONLY) if read_only else _MountAttr(attr_clr=_MOUNT_ATTR_RDONLY)
    _check(
        _libc.syscall(
            ctypes.c_long(_SYS_MOUNT_SETATTR),
            ctypes.c_int(_AT_FDCWD),
            path.encode(),
            ctypes.c_uint(_AT_RECURSIVE if recursive else 0),
            ctypes.byref(attr),
            ctypes.c_size_t(ctypes.sizeof(attr)),
        ),
        path,
    )


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send signal_number to this process when the thread that made it ends."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0), "prctl")


def set_process_name(name: str) -> None:
    """Set what ps shows for this process: 15 bytes at most."""
    _check(_libc.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0), "prctl")


def sethostname(name: str) -> None:
    """Set the host name of this process's UTS namespace."""
    raw = name.encode()
    _check(_libc.sethostname(raw, ctypes.c_size_t(len(raw))), "sethostname")


def map_user(inside: int, outside_uid: int, outside_gid: int) -> None:
    """Map one id pair of a user namespace that this process has just made: inside ↔ the ids outside it.

    An unprivileged process may map only its own ids, and groups only after setgroups is denied.
    Source: user_namespaces(7).
    """
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{inside} {outside_uid} 1\n")
    Path("/proc/self/gid_map").write_text(f"{inside} {outside_gid} 1\n")


def become_unprivileged(uid: int) -> None:
    """Continue as uid in a user namespace of our own.

    PostgreSQL refuses euid 0, which both root and a lab's init are. Inside this namespace the process is
    uid; outside it keeps its owner, so that files need no change of owner and no copy.
    """
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER)
    map_user(uid, outer_uid, outer_gid)


def isolate_mounts(writable: Sequence[Path], visible: Sequence[Path]) -> None:
    """Give this process, in a fresh mount namespace, private /proc, /tmp, /run and /dev/shm.

    writable: folders that stay writable; the rest of the machine's files becomes read-only. visible:
    folders that stay to be seen even where they lie below one of the private places (an interpreter
    installed below /tmp, say).
    """
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    for folder in map(str, writable):
        mount(folder, folder, None, MS_BIND | MS_REC)
    try:
        set_read_only("/", True, recursive=True)
        for folder in map(str, writable):
            set_read_only(folder, False, recursive=False)
    except OSError as error:
        # Linux before 5.12 has no mount_setattr: the lab works, without this guard. doctor says so.
        print(f"the machine's files stay writable in this lab: {error}", file=sys.stderr)
    handles = {
        folder: os.open(folder, os.O_PATH | os.O_DIRECTORY)
        for folder in map(str, (*writable, *visible))
        if any(folder.startswith(place + "/") for place in PRIVATE_PLACES)
    }
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    for place, mode in PRIVATE_PLACES.items():
        if Path(place).is_dir():
            mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NODEV, f"mode={mode}")
    for folder in sorted(handles):  # parents first
        Path(folder).mkdir(parents=True, exist_ok=True)
        mount(f"/proc/self/fd/{handles[folder]}", folder, None, MS_BIND | MS_REC)
        os.close(handles[folder])
