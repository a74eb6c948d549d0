"""What is mounted where this process runs. Source: proc_pid_mounts(5), getmntent(3)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MOUNTS: Final = Path("/proc/self/mounts")
_ESCAPED: Final = re.compile(rb"\\([0-7]{3})")
"""How the kernel writes a blank, a tab, a newline, a number sign and a backslash in a name."""


def mounts(table: Path = MOUNTS) -> Iterator[tuple[str, str]]:
    """Yield the source and the mount point of each mount, in the order they were made."""
    for line in table.read_bytes().splitlines():
        source, point = line.split()[:2]
        yield _unescaped(source), _unescaped(point)


def mount_points_below(folder: Path | str, table: Path = MOUNTS) -> list[str]:
    """Return the mount points in a folder and at it, in the order they were made."""
    return [point for _, point in mounts(table) if point == str(folder) or point.startswith(f"{folder}/")]


def _unescaped(word: bytes) -> str:
    return os.fsdecode(_ESCAPED.sub(lambda match: bytes([int(match[1], 8)]), word))
