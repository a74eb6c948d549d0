"""Where the kernel's control groups of version 1 are, and which of them a process is in.

Two faults need them: a disk's pace and a limit of memory. What is missing is said in one sentence. A control group of
version 2 is another interface with other rules. Source: cgroups(7), proc_pid_mountinfo(5).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

V1: Final = "cgroup"
V2: Final = "cgroup2"
MOUNTS: Final = Path("/proc/self/mountinfo")


def mounted(controller: str, mounts: Path = MOUNTS) -> tuple[Path, str] | None:
    """Return where a controller of version 1 is mounted, and which group is the top there; None: it is not."""
    return next(
        (
            (place, top)
            for kind, options, place, top in _mounts(mounts)
            if kind == V1 and controller in options
        ),
        None,
    )


def mounted_v2(mounts: Path = MOUNTS) -> tuple[Path, str] | None:
    """Return where version 2 is mounted, and which group is the top there; None: it is not."""
    return next(((place, top) for kind, _options, place, top in _mounts(mounts) if kind == V2), None)


def group_of(pid: int | str, controller: str, mounts: Path = MOUNTS) -> Path | None:
    """Return the folder of the group that a process is in; None when it has ended or its group is not to be seen.

    controller: of version 1; "" for version 2.
    """
    found = mounted(controller, mounts) if controller else mounted_v2(mounts)
    if found is None:
        return None
    place, top = found
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        _number, names, path = line.split(":", 2)
        if controller in names.split(","):
            inside = Path(os.path.relpath(path, top))
            return None if inside.parts[:1] == ("..",) else place / inside
    return None


def _mounts(mounts: Path) -> Iterator[tuple[str, list[str], Path, str]]:
    """Yield kind, options, place and top group of each mount."""
    for line in mounts.read_text().splitlines():
        words, _, rest = line.partition(" - ")
        kind, _source, options = rest.split(" ", 2)
        fields = words.split()
        yield kind, options.split(","), Path(fields[4]), fields[3]
