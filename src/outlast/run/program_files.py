"""Brings a person's load program to where the lab's hosts can see it.

Hosts have a /tmp, /run and /dev/shm of their own, so a program that lies below one of those is not there for them. Then
its folder is copied into the client's host, when it is small, or else the files that the command names.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from outlast.errors import ConfigError
from outlast.hosts.netns.syscalls import PRIVATE_PLACES

FILES_MAX: Final = 1000
BYTES_MAX: Final = 32 << 20


def stage_program(argv: Sequence[str], folder: Path, into: Path) -> tuple[tuple[str, ...], Path]:
    """Return a command and its folder as a host sees them, with what it would not see copied to into.

    folder: where the person stands. Raises ConfigError when something can't be read.
    """
    try:
        shutil.rmtree(into, ignore_errors=True)
        place = folder
        if is_hidden(folder):
            place = into / "folder"
            if _is_small(folder):
                shutil.copytree(folder, place, ignore_dangling_symlinks=True)
            else:
                place.mkdir(parents=True)
        words = tuple(_brought(word, folder, place, into / f"{n}") for n, word in enumerate(argv))
    except (OSError, shutil.Error) as error:
        raise ConfigError(f"cannot be brought to the lab: {error}", key="workload.command.argv") from error
    return words, place


def is_hidden(path: Path) -> bool:
    """Return whether hosts of a lab have something else at a path of the machine."""
    return any(path == Path(place) or Path(place) in path.parents for place in PRIVATE_PLACES)


def _brought(word: str, folder: Path, place: Path, aside: Path) -> str:
    """Return a word of the command, a path in it led to its copy."""
    path = Path(word)
    named = path if path.is_absolute() else folder / path
    if not named.is_file() or not is_hidden(named) or Path(sys.prefix) in named.parents:
        return word
    inside = named.is_relative_to(folder) and place != folder
    copy = place / named.relative_to(folder) if inside else aside / named.name
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(named, copy)
    return str(copy) if path.is_absolute() or not inside else word


def _is_small(folder: Path) -> bool:
    files = size = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            files += 1
            size += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118 - thousands of them
            if files > FILES_MAX or size > BYTES_MAX:
                return False
    return True
